"""Sites: where in a network to look or to act. The one place where names of hook points are resolved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from interp.errors import InterpError, UnknownSite, nearest

if TYPE_CHECKING:
    from interp.hooked.base import HookedModel

Index = int | Sequence[int] | slice


class Directions(Protocol):
    """What a site needs of a Basis: orthonormal rows ``[n, unit]``."""

    @property
    def directions(self) -> Tensor: ...


@dataclass(frozen=True)
class Site:
    """A hook point and, optionally, a part of it.

    ``name`` may be a glob (``blocks.*.mlp.hook_post``). ``pos``, ``head`` and ``unit`` index the axes of those names,
    wherever they stand: ``pos=-1`` is the last position and never the last example; on attention patterns it is the
    query. ``basis`` restricts to directions of the feature axis.
    """

    name: str
    pos: Index | None = None
    head: Index | None = None
    unit: Index | None = None
    basis: Directions | None = None

    def __str__(self) -> str:
        parts = [f"{f.name}={getattr(self, f.name)}" for f in fields(self)[1:] if getattr(self, f.name) is not None]
        return self.name + (f"[{', '.join(parts)}]" if parts else "")

    def mask(self, shape: Sequence[int], axes: Sequence[str], device: torch.device) -> Tensor | None:
        """Boolean mask of the selected entries, broadcastable over ``shape``; None where all are selected.

        Raises:
            InterpError: an axis that this hook point has not, or an index outside it.
        """
        mask = None
        for axis in ("pos", "head", "unit"):
            index = getattr(self, axis)
            if index is None:
                continue
            dim = find_axis(axis, axes, self.name)
            along = torch.zeros(shape[dim], dtype=torch.bool, device=device)
            try:
                along[index if isinstance(index, (int, slice)) else list(index)] = True
            except IndexError:
                raise InterpError(f"{self}: {axis} {index} is outside an axis of {shape[dim]}") from None
            along = along.reshape([-1 if d == dim else 1 for d in range(len(axes))])
            mask = along if mask is None else mask & along
        return mask


SitePattern = str | Site | Iterable[str | Site]


def find_axis(axis: str, axes: Sequence[str], where: str) -> int:
    """Position of a named axis; ``pos`` also finds the ``query`` axis of attention scores and patterns.

    >>> find_axis("pos", ("batch", "head", "query", "key"), "hook_pattern")
    2
    """
    if axis == "pos" and "query" in axes:
        axis = "query"
    if axis not in axes:
        raise InterpError(f"{where} has no axis {axis!r}; its axes are {', '.join(axes)}")
    return list(axes).index(axis)


def resolve_sites(model: HookedModel | Any, pattern: SitePattern) -> list[Site]:
    """Turn names, globs and sites into sites with exact names, in the model's order, without repeats.

    Raises:
        UnknownSite: a pattern that matches no hook point; the nearest names are in the message.
    """
    known = list(model.hook_dict)
    found: dict[str, list[Site]] = {name: [] for name in known}  # by name: an LSTM has thousands
    for item in [pattern] if isinstance(pattern, (str, Site)) else list(pattern):
        site = item if isinstance(item, Site) else Site(item)
        matches = [name for name in known if fnmatchcase(name, site.name)]
        if not matches:
            raise UnknownSite(_no_such_site(site.name, known))
        for name in matches:
            exact = replace(site, name=name)
            if exact not in found[name]:
                found[name].append(exact)
    sites = [site for of_name in found.values() for site in of_name]
    if not sites:
        raise UnknownSite("no sites were given; name at least one hook point, such as " + repr(known[-1]))
    return sites


def _no_such_site(name: str, known: Sequence[str]) -> str:
    close = nearest(name, known) or [k for k in known if name.strip("*.").split(".")[-1] in k][:3] or known[:3]
    return f"no hook point matches {name!r}; nearest: {', '.join(close)} ({len(known)} in all: list(model.hook_dict))"


def hidden_sites(model: HookedModel) -> list[str]:
    """The hook points behind the activations of all hidden layers, first to last; of an LSTM, the state that is read.

    Of a foreign module, whose layers have no such names, what each of its submodules returns for each input.
    """
    named = [n for n in model.hook_dict if n.endswith("hook_post") or n == "hook_final"]
    foreign = [n for n in model.hook_dict if n.endswith(".hook_out")]
    return named or [n for n in foreign if (axes := model.axes_of(n))[0] == "batch" and "unit" in axes]
