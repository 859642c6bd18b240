"""Interventions as frozen values: what to change, where, and by what.

An intervention is data. It prints, compares, goes into a result, and can be run again; `applied` is the only code that
installs it. The site says where (a hook point and, optionally, positions, heads, units or directions of a Basis); a
value says what takes the place of what was there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from interp.errors import InterpError
from interp.sites import Site, find_axis
from probes.basis import Basis


class _Comparable:
    """Equality by content for dataclasses that hold tensors."""

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))  # type: ignore[arg-type]
        return all(
            torch.equal(a.cpu(), b.cpu()) if isinstance(a, Tensor) and isinstance(b, Tensor) else bool(a == b)
            for a, b in pairs
        )

    def __hash__(self) -> int:
        return hash((type(self).__name__, str(getattr(self, "site", ""))))


class Value(_Comparable, ABC):
    """What takes the place of an activation. `of` gives a tensor that broadcasts over it.

    ``mask`` is True where the activation will be replaced, None where all of it will.
    """

    needs_all_positions = False  # whether the result depends on positions other than the replaced one

    @abstractmethod
    def of(self, activation: Tensor, axes: Sequence[str], mask: Tensor | None = None) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Zero(Value):
    """Nothing. Misleads where 0 is far from what the next layer ever sees: then `Mean` is the milder cut."""

    def of(self, activation: Tensor, axes: Sequence[str], mask: Tensor | None = None) -> Tensor:
        return torch.zeros((), dtype=activation.dtype, device=activation.device)


@dataclass(frozen=True, eq=False)
class Mean(Value):
    """The mean over named axes of the site in the same forward pass, accumulated in float64.

    The batch of that pass is the reference: give the whole input table at once, as the experiments do. Over the part that
    the site selects: at ``pos=-1`` a mean over ``("batch", "pos")`` is that position's mean, so that ablating twice is
    ablating once.
    """

    over: tuple[str, ...] = ("batch",)

    @property
    def needs_all_positions(self) -> bool:  # type: ignore[override]
        return "pos" in self.over

    def of(self, activation: Tensor, axes: Sequence[str], mask: Tensor | None = None) -> Tensor:
        dims = [find_axis(axis, axes, "the site") for axis in self.over]
        values = activation.double()
        if mask is None:
            return values.mean(dims, keepdim=True).to(activation.dtype)
        weight = mask.expand_as(values)
        total = values.where(weight, torch.zeros_like(values)).sum(dims, keepdim=True)
        return (total / weight.sum(dims, keepdim=True).clamp_min(1)).to(activation.dtype)


@dataclass(frozen=True, eq=False)
class Resample(Value):
    """Activations shuffled over the batch by a seeded permutation: the distribution stays, the content goes.

    On average one input of the batch keeps its own.
    """

    seed: int = 0

    def of(self, activation: Tensor, axes: Sequence[str], mask: Tensor | None = None) -> Tensor:
        dim = find_axis("batch", axes, "the site")
        order = torch.randperm(activation.shape[dim], generator=torch.Generator().manual_seed(self.seed))
        return activation.index_select(dim, order.to(activation.device))


@dataclass(frozen=True, eq=False)
class Fixed(Value):
    """A given tensor, which must broadcast over the activation (over its coordinates, at a site with a basis)."""

    tensor: Tensor
    needs_all_positions = True

    def of(self, activation: Tensor, axes: Sequence[str], mask: Tensor | None = None) -> Tensor:
        given = self.tensor.to(activation)
        try:
            fits = torch.broadcast_shapes(given.shape, activation.shape) == activation.shape
        except RuntimeError:
            fits = False
        if not fits:
            raise InterpError(
                f"a fixed value of shape {list(given.shape)} does not broadcast over {list(activation.shape)}"
            )
        return given

    def __repr__(self) -> str:
        return f"Fixed(tensor{list(self.tensor.shape)}, mean {float(self.tensor.double().mean()):.4g})"


class Intervention(_Comparable, ABC):
    """A change of one site. `transform` maps the activation to what the rest of the network sees."""

    site: str | Site

    @abstractmethod
    def transform(self, activation: Tensor, axes: Sequence[str], site: Site) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Ablate(Intervention):
    """Replace a site by a value; with a basis on the site, its coordinates along those directions alone."""

    site: str | Site
    value: Value = Zero()

    def transform(self, activation: Tensor, axes: Sequence[str], site: Site) -> Tensor:
        mask = site.mask(activation.shape, axes, activation.device)
        basis = _basis_of(site)
        if basis is not None:
            return _masked(mask, activation, _along(activation, axes, mask, site, basis, self.value))
        return _masked(mask, activation, self.value.of(activation, axes, mask).expand_as(activation))


@dataclass(frozen=True, eq=False)
class Patch(Intervention):
    """Replace a site by the activation of another run, of the same shape: ``from_`` is the whole hook point's."""

    site: str | Site
    from_: Tensor

    def transform(self, activation: Tensor, axes: Sequence[str], site: Site) -> Tensor:
        if self.from_.shape != activation.shape:
            raise InterpError(
                f"{site}: the patch comes from a run of shape {list(self.from_.shape)}, this one is {list(activation.shape)}"
            )
        source, mask = self.from_.to(activation), site.mask(activation.shape, axes, activation.device)
        basis = _basis_of(site)
        if basis is not None:
            _check_dim(basis, activation, axes, site)
            source = activation + basis.keep(source) - basis.keep(activation)
        return _masked(mask, activation, source)

    def __repr__(self) -> str:
        return f"Patch({self.site}, from a run of shape {list(self.from_.shape)})"


@dataclass(frozen=True, eq=False)
class Scale(Intervention):
    """Multiply a site by a number; with a basis, its coordinates along those directions alone."""

    site: str | Site
    factor: float

    def transform(self, activation: Tensor, axes: Sequence[str], site: Site) -> Tensor:
        mask, basis = site.mask(activation.shape, axes, activation.device), _basis_of(site)
        if basis is None:
            return _masked(mask, activation, activation * self.factor)
        _check_dim(basis, activation, axes, site)
        return _masked(mask, activation, activation + (self.factor - 1) * basis.keep(activation))


@dataclass(frozen=True, eq=False)
class Remove(Intervention):
    """Take the directions of a basis out of a site: coordinates along them become ``value`` (0 by default)."""

    site: str | Site
    basis: Basis
    value: Value = Zero()

    def transform(self, activation: Tensor, axes: Sequence[str], site: Site) -> Tensor:
        mask = site.mask(activation.shape, axes, activation.device)
        return _masked(mask, activation, _along(activation, axes, mask, site, self.basis, self.value))


@dataclass(frozen=True, eq=False)
class Keep(Intervention):
    """Keep the directions of a basis alone: everything else becomes ``value`` (0 by default)."""

    site: str | Site
    basis: Basis
    value: Value = Zero()

    def transform(self, activation: Tensor, axes: Sequence[str], site: Site) -> Tensor:
        _check_dim(self.basis, activation, axes, site)
        mask = site.mask(activation.shape, axes, activation.device)
        rest = self.value.of(activation, axes, mask).expand_as(activation)
        return _masked(mask, activation, self.basis.keep(activation) + self.basis.remove(rest))


def _basis_of(site: Site) -> Basis | None:
    return site.basis if isinstance(site.basis, Basis) else None


def _along(
    activation: Tensor, axes: Sequence[str], mask: Tensor | None, site: Site, basis: Basis, value: Value
) -> Tensor:
    _check_dim(basis, activation, axes, site)
    coordinates = basis.coordinates(activation)
    moved = value.of(coordinates, axes, mask) - coordinates
    return activation + moved @ basis.directions.to(activation)


def _check_dim(basis: Basis, activation: Tensor, axes: Sequence[str], site: Site) -> None:
    if axes[-1] != "unit":
        raise InterpError(
            f"{site.name} has no feature axis (its axes are {', '.join(axes)}), so no basis applies there"
        )
    if basis.dim != activation.shape[-1]:
        raise InterpError(f"{basis} has {basis.dim} dimensions, the site's feature axis has {activation.shape[-1]}")
    if site.unit is not None:
        raise InterpError(f"{site}: a site takes units or the directions of a basis, not both")
    if site.basis is not None and site.basis != basis:
        raise InterpError(f"{site}: the intervention brings a basis of its own; give the site none")


def _masked(mask: Tensor | None, before: Tensor, after: Tensor) -> Tensor:
    return after.clone() if mask is None else torch.where(mask, after, before)


def describe(intervention: Any) -> str:
    """An intervention as one line of a result.

    >>> describe(Ablate("blocks.0.mlp.hook_post", Mean()))
    "Ablate(site='blocks.0.mlp.hook_post', value=Mean(over=('batch',)))"
    """
    return repr(intervention)
