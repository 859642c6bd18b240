"""Frozen parameters: those that training leaves as they were drawn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from interp.errors import InterpError, UnknownName, kind_of, nearest


def as_patterns(given: Any) -> tuple[str, ...]:
    """The patterns that a user gave.

    Args:
        given: a text with commas between several, a list of texts, or None for none.

    Returns:
        one text per pattern.

    Raises:
        InterpError: something else.

    >>> as_patterns("embedding, layers.0"), as_patterns(None)
    (('embedding', 'layers.0'), ())
    """
    if given is None:
        return ()
    several = given.split(",") if isinstance(given, str) else given
    if not isinstance(several, Iterable) or isinstance(several, Mapping):
        raise InterpError(f"frozen takes names of parameters, such as 'embedding,layers.0', got {kind_of(given)}")
    found = [one.strip() if isinstance(one, str) else one for one in several]
    for one in found:
        if not isinstance(one, str):
            raise InterpError(f"frozen takes names of parameters, got {kind_of(one)} among them")
    return tuple(one for one in found if one)


def frozen_names(groups: Mapping[str, Sequence[str]], patterns: Sequence[str]) -> frozenset[str]:
    """The parameters that patterns name.

    Args:
        groups: the groups of every parameter, as `HookedModel.parameter_groups` gives them.
        patterns: each a group (``embedding``, ``decoder``, ``last``), a parameter, a module (``layers.0``), or a glob of
            either (``blocks.*.attn``).

    Returns:
        names of parameters.

    Raises:
        UnknownName: a pattern that names none; the nearest names are given.
        InterpError: nothing would be left to train.

    >>> groups = {"embed.W_E": ("embedding",), "layers.0.W": ("decoder",), "layers.0.b": ("decoder",)}
    >>> sorted(frozen_names(groups, ["layers.*"])), sorted(frozen_names(groups, ["embedding"]))
    (['layers.0.W', 'layers.0.b'], ['embed.W_E'])
    """
    found: set[str] = set()
    for pattern in patterns:
        own = {n for n in groups if pattern in groups[n] or fnmatchcase(n, pattern) or fnmatchcase(n, f"{pattern}.*")}
        if not own:
            known = _known(groups)
            close = nearest(pattern, known) or known[:3]
            raise UnknownName(
                f"frozen: no parameter, module or group matches {pattern!r}; nearest: {', '.join(close)} "
                f"(parameters: {', '.join(list(groups)[:12])}{', ...' if len(groups) > 12 else ''})"
            )
        found |= own
    if found and len(found) == len(groups):
        raise InterpError(f"frozen: {', '.join(patterns)} names every parameter, so nothing is left to train")
    return frozenset(found)


def _known(groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Groups, parameters, and the modules that hold them."""
    modules = [name.rsplit(".", n)[0] for name in groups for n in range(1, name.count(".") + 1)]
    return list(dict.fromkeys([*(g for own in groups.values() for g in own), *groups, *modules]))
