"""Sites: where in a network to look or to act. All names of hook points are resolved here."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Any, Protocol

import torch
from torch import Tensor

from interp.errors import InterpError, UnknownSite, kind_of, nearest

Index = int | Sequence[int] | slice


class HasHookPoints(Protocol):
    """What sites need of a model."""

    @property
    def hook_dict(self) -> Mapping[str, Any]:
        """The hook points by name, in the model's order."""
        ...

    def axes_of(self, name: str) -> tuple[str, ...]:
        """The axis names of a hook point's activation."""
        ...


class HasModel(Protocol):
    """What holds a model, such as a Subject."""

    @property
    def model(self) -> HasHookPoints:
        """The model that it holds."""
        ...


class Directions(Protocol):
    """What a site needs of a Basis."""

    @property
    def directions(self) -> Tensor:
        """Orthonormal rows ``[n, unit]``."""
        ...


@dataclass(frozen=True)
class Site:
    """A hook point and, optionally, a part of it.

    Args:
        name: of the hook point; may be a glob (``blocks.*.mlp.hook_post``).
        pos: index along the position axis, wherever it is: ``pos=-1`` is the last position and never the last example.
            On attention patterns it indexes the query.
        head: index along the head axis.
        unit: index along the feature axis.
        basis: directions of the feature axis to restrict the site to.

    Raises:
        InterpError: a name that is not a string, or an index that is not a whole number, several of them or a slice.

    >>> Site("blocks.0.attn.hook_z", pos=torch.tensor(-1), head=torch.arange(2))
    Site(name='blocks.0.attn.hook_z', pos=-1, head=[0, 1], unit=None, basis=None)
    """

    name: str
    pos: Index | None = None
    head: Index | None = None
    unit: Index | None = None
    basis: Directions | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise InterpError(f"a Site needs the name of a hook point as a string, got {type(self.name).__name__}")
        for axis in ("pos", "head", "unit"):
            object.__setattr__(self, axis, _as_index(axis, getattr(self, axis)))

    def __str__(self) -> str:
        parts = [f"{f.name}={getattr(self, f.name)}" for f in fields(self)[1:] if getattr(self, f.name) is not None]
        return self.name + (f"[{', '.join(parts)}]" if parts else "")

    def mask(self, shape: Sequence[int], axes: Sequence[str], device: torch.device) -> Tensor | None:
        """Boolean mask of the selected entries.

        Args:
            shape: of the activation.
            axes: names of its axes.
            device: where to make the mask.

        Returns:
            a mask that broadcasts to ``shape``; None if everything is selected.

        Raises:
            InterpError: an axis that this hook point lacks, or an index outside it.
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

    def chosen(self, axis: str, length: int) -> list[int]:
        """The indices that are selected along one axis.

        Args:
            axis: ``pos``, ``head`` or ``unit``, or the ``query`` axis, where ``pos`` selects.
            length: of the axis.

        Returns:
            indices from 0, in ascending order; all of them where nothing is selected.

        Raises:
            InterpError: an index outside the axis.
        """
        field = "pos" if axis == "query" else axis
        if (index := {"pos": self.pos, "head": self.head, "unit": self.unit}.get(field)) is None:
            return list(range(length))
        mask = replace(Site(self.name), **{field: index}).mask([length], [axis], torch.device("cpu"))
        assert mask is not None
        return mask.nonzero()[:, 0].tolist()


def _as_index(axis: str, given: Any) -> Index | None:
    """Plain whole numbers of what counts as such: others select something else, or fail only where they are used."""
    if given is None or isinstance(given, (slice, range)):
        return given
    plain = given.tolist() if hasattr(given, "tolist") else given  # tensors and arrays
    try:
        if isinstance(plain, str) or not isinstance(plain, Iterable):
            return _whole(plain)
        indices = [_whole(i) for i in plain]
    except TypeError:
        raise InterpError(
            f"{axis} must be a whole number, several of them or a slice, got {given!r}; of a mask take mask.nonzero()[:, 0]"
        ) from None
    return tuple(indices) if isinstance(given, tuple) else indices


def _whole(number: Any) -> int:
    if isinstance(number, bool):
        raise TypeError
    return operator.index(number)


SitePattern = str | Site | Iterable[str | Site]


def find_axis(axis: str, axes: Sequence[str], where: str) -> int:
    """Position of a named axis; ``pos`` also finds the ``query`` axis of attention scores and patterns.

    Args:
        axis: the name to find.
        axes: names of an activation's axes.
        where: the hook point, for the message.

    Returns:
        index into ``axes``.

    Raises:
        InterpError: there is no such axis.

    >>> find_axis("pos", ("batch", "head", "query", "key"), "hook_pattern")
    2
    """
    if axis == "pos" and "query" in axes:
        axis = "query"
    if axis not in axes:
        raise InterpError(f"{where} has no axis {axis!r}; its axes are {', '.join(axes)}")
    return list(axes).index(axis)


def resolve_sites(model: HasHookPoints | HasModel, pattern: SitePattern) -> list[Site]:
    """Turn names, globs and sites into sites with exact names.

    Args:
        model: a hooked model, or what holds one, such as a Subject.
        pattern: a name, a glob, a `Site`, or several of them.

    Returns:
        sites in the model's order, without repeats.

    Raises:
        UnknownSite: a pattern that matches no hook point; the message suggests the nearest names.
        InterpError: something without hook points, or a pattern of another kind.
    """
    known = list(_hook_points(model))
    found: dict[str, list[Site]] = {name: [] for name in known}  # by name: an LSTM has thousands
    for site in _sites(pattern):
        matches = [name for name in known if fnmatchcase(name, site.name)]
        if not matches:
            raise UnknownSite(no_such_site(site.name, known))
        for name in matches:
            exact = replace(site, name=name)
            if exact not in found[name]:
                found[name].append(exact)
    sites = [site for of_name in found.values() for site in of_name]
    if not sites:
        raise UnknownSite(
            "no sites were given; name at least one hook point" + (f", such as {known[-1]!r}" if known else "")
        )
    return sites


def _hook_points(given: Any) -> Mapping[str, Any]:
    for candidate in (given, getattr(given, "model", None)):
        points = getattr(candidate, "hook_dict", None)
        if isinstance(points, Mapping):
            return points
    raise InterpError(
        f"sites belong to a hooked model or a Subject, got {kind_of(given)}; interp.load(path) reads one from a checkpoint, "
        "interp.wrap(module, example) gives a module hook points"
    )


def _sites(pattern: Any) -> list[Site]:
    if isinstance(pattern, (str, Site)):
        pattern = [pattern]
    try:
        items = list(pattern)
    except TypeError:
        items = [pattern]
    for item in items:
        if not isinstance(item, (str, Site)):
            raise InterpError(f"a site is the name of a hook point, a glob or a Site, got {type(item).__name__}")
    return [item if isinstance(item, Site) else Site(item) for item in items]


def no_such_site(name: str, known: Sequence[str]) -> str:
    """The message for a name or glob that matches no hook point.

    Args:
        name: what was asked for.
        known: the model's hook points.

    Returns:
        a sentence with the nearest names.
    """
    close = nearest(name, known) or [k for k in known if name.strip("*.").split(".")[-1] in k][:3] or known[:3]
    return f"no hook point matches {name!r}; nearest: {', '.join(close)} ({len(known)} in all: list(model.hook_dict))"


def hidden_sites(model: HasHookPoints) -> list[str]:
    """The hook points after the activation functions of all hidden layers, first to last.

    Args:
        model: a hooked model.

    Returns:
        names of hook points: ``hook_post``; for a recurrent network the final hidden state; for a toy model its
        hidden dimensions; for a wrapped module, whose layers have no such names, the output of each submodule that has one
        per input.
    """
    named = [n for n in model.hook_dict if n.endswith("hook_post") or n in ("hook_final", "hook_hidden")]
    foreign = [n for n in model.hook_dict if n.endswith(".hook_out")]
    return named or [n for n in foreign if (axes := model.axes_of(n))[0] == "batch" and "unit" in axes]


def layer_sites(model: HasHookPoints) -> list[str]:
    """The residual streams (or inputs) and the hidden layers: where a network holds what it knows of an input.

    Args:
        model: a hooked model.

    Returns:
        names of hook points, the streams first.
    """
    streams = [n for n in model.hook_dict if n.endswith(("hook_resid_mid", "hook_resid_post", "hook_input"))]
    return [*streams, *hidden_sites(model)]


def short_name(site: str) -> str:
    """A hook point's name for an axis.

    Args:
        site: the hook point.

    Returns:
        what tells it from the others.

    >>> short_name("layers.3.hook_post"), short_name("blocks.0.mlp.hook_post")
    ('3 post', '0 mlp.post')
    """
    return site.removeprefix("layers.").removeprefix("blocks.").replace("hook_", "").replace(".", " ", 1)
