"""Interventions as frozen values: what to change, where, and by what.

An intervention is data. It prints, compares, goes into a result, and can be run again; `applied` is the only code that
installs it. The site says where (a hook point and, optionally, positions, heads, units or directions of a Basis); a
value says what takes the place of what was there. Several at one hook point act in the order given, each on what the
one before has left.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from circuits.interventions.values import DEFAULT, Comparable, Fixed, Value, ValueLike, as_value
from interp.errors import InterpError
from interp.sites import Site
from probes.basis import Basis

if TYPE_CHECKING:
    from interp.tasks import Task


class Intervention(Comparable, ABC):
    """A change of one site. `transform` maps the activation to what the rest of the network sees."""

    site: str | Site

    @abstractmethod
    def transform(self, activation: Tensor, axes: Sequence[str], site: Site) -> Tensor: ...

    @property
    def idle(self) -> bool:
        """Whether it is no mistake if it changes nothing."""
        return False


class Replacing(Intervention):
    """An intervention that replaces something by a value, which may be given by its name."""

    value: ValueLike

    def __post_init__(self) -> None:
        """Take a name for the value that it names."""
        object.__setattr__(self, "value", as_value(self.value))  # the one way into a frozen dataclass

    @property
    def replacement(self) -> Value:
        """The value that replaces what was there."""
        assert isinstance(self.value, Value)
        return self.value

    def bound(self, task: Task | None) -> Replacing:
        """The intervention with the reference sets that its value names taken from a task."""
        value = self.replacement.bound(task)
        return self if value is self.value else replace(self, value=value)  # pyright: ignore[reportArgumentType]

    def settled(self, reference: Tensor, axes: Sequence[str], site: Site) -> Replacing:
        """The intervention with its value made of ``reference``, the hook point's activation over the value's inputs."""
        mask = site.mask(reference.shape, axes, reference.device)
        return replace(self, value=self._settle(reference, axes, mask, site))  # pyright: ignore[reportArgumentType]

    def _settle(self, reference: Tensor, axes: Sequence[str], mask: Tensor | None, site: Site) -> Value:
        basis = self._directions(site)
        if basis is None:
            return self.replacement.settled(reference, axes, mask)
        features, feature_axes = _features_last(reference, axes)
        return self.replacement.settled(basis.coordinates(features), feature_axes, _mask_last(mask, axes))

    def _directions(self, site: Site) -> Basis | None:
        """The directions whose coordinates the value replaces; None: the activation itself."""
        return _basis_of(site)


@dataclass(frozen=True, eq=False)
class Ablate(Replacing):
    """Replace a site by a value; with a basis on the site, its coordinates along those directions alone."""

    site: str | Site
    value: ValueLike = DEFAULT

    def transform(self, activation: Tensor, axes: Sequence[str], site: Site) -> Tensor:
        mask = site.mask(activation.shape, axes, activation.device)
        basis = _basis_of(site)
        if basis is not None:
            return _masked(mask, activation, _along(activation, axes, mask, site, basis, self.replacement))
        return _masked(mask, activation, self.replacement.of(activation, axes, mask).expand_as(activation))


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
            moved = _on_features(basis.keep, source - activation, axes)
            source = activation + moved
        return _masked(mask, activation, source)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.site}, from a run of shape {list(self.from_.shape)})"


@dataclass(frozen=True, eq=False, repr=False)
class Freeze(Patch):
    """Hold a site (attention patterns, LayerNorm scales, other components) at its activation in another run.

    A `Patch` that may change nothing: what other interventions do may never reach the site. `freeze` makes it.
    """

    @property
    def idle(self) -> bool:
        return True


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
        return _masked(mask, activation, activation + (self.factor - 1) * _on_features(basis.keep, activation, axes))


@dataclass(frozen=True, eq=False)
class Add(Intervention):
    """Steering: add ``scale`` times a vector to a site, the same for every input.

    Attributes:
        vector: broadcasts over the activation (over its coordinates, where the site has a basis): ``[unit]`` for the
            same at every position.
        scale: -1 takes the vector away.
    """

    site: str | Site
    vector: Tensor
    scale: float = 1.0

    def transform(self, activation: Tensor, axes: Sequence[str], site: Site) -> Tensor:
        mask, basis = site.mask(activation.shape, axes, activation.device), _basis_of(site)
        if basis is None:
            return _masked(mask, activation, activation + self.scale * Fixed(self.vector).of(activation, axes))
        _check_dim(basis, activation, axes, site)
        features, _ = _features_last(activation, axes)
        coordinates = Fixed(self.vector).of(basis.coordinates(features), axes)
        moved = self.scale * (coordinates @ basis.directions.to(activation))
        return _masked(mask, activation, activation + _back(moved.expand_as(features), axes))

    def __repr__(self) -> str:
        return f"Add({self.site}, {self.scale:g} times a vector of norm {float(self.vector.double().norm()):.4g})"


@dataclass(frozen=True, eq=False)
class Remove(Replacing):
    """Replace a site's coordinates along the directions of a basis by ``value`` (their mean by default)."""

    site: str | Site
    basis: Basis
    value: ValueLike = DEFAULT

    def transform(self, activation: Tensor, axes: Sequence[str], site: Site) -> Tensor:
        mask = site.mask(activation.shape, axes, activation.device)
        return _masked(mask, activation, _along(activation, axes, mask, site, self.basis, self.replacement))

    def _directions(self, site: Site) -> Basis | None:
        return self.basis


@dataclass(frozen=True, eq=False)
class Keep(Replacing):
    """Keep only a site's component in the span of a basis; the rest becomes ``value`` (its mean by default)."""

    site: str | Site
    basis: Basis
    value: ValueLike = DEFAULT

    def transform(self, activation: Tensor, axes: Sequence[str], site: Site) -> Tensor:
        _check_dim(self.basis, activation, axes, site)
        mask = site.mask(activation.shape, axes, activation.device)
        rest = self.replacement.of(activation, axes, mask).expand_as(activation)
        kept = _on_features(self.basis.keep, activation, axes) + _on_features(self.basis.remove, rest, axes)
        return _masked(mask, activation, kept)

    def _directions(self, site: Site) -> Basis | None:
        return None


def _basis_of(site: Site) -> Basis | None:
    return site.basis if isinstance(site.basis, Basis) else None


def _features_last(activation: Tensor, axes: Sequence[str]) -> tuple[Tensor, tuple[str, ...]]:
    """With the unit axis last, where directions live; in a convolutional network it is not."""
    dim = list(axes).index("unit")
    return activation.movedim(dim, -1), (*axes[:dim], *axes[dim + 1 :], "unit")


def _back(features: Tensor, axes: Sequence[str]) -> Tensor:
    return features.movedim(-1, list(axes).index("unit"))


def _mask_last(mask: Tensor | None, axes: Sequence[str]) -> Tensor | None:
    return None if mask is None else _features_last(mask, axes)[0]


def _on_features(function: Callable[[Tensor], Tensor], activation: Tensor, axes: Sequence[str]) -> Tensor:
    return _back(function(_features_last(activation, axes)[0]), axes)


def _along(
    activation: Tensor, axes: Sequence[str], mask: Tensor | None, site: Site, basis: Basis, value: Value
) -> Tensor:
    _check_dim(basis, activation, axes, site)
    features, feature_axes = _features_last(activation, axes)
    coordinates = basis.coordinates(features)
    moved = value.of(coordinates, feature_axes, _mask_last(mask, axes)) - coordinates
    return activation + _back(moved @ basis.directions.to(activation), axes)


def _check_dim(basis: Basis, activation: Tensor, axes: Sequence[str], site: Site) -> None:
    if "unit" not in axes:
        raise InterpError(
            f"{site.name} has no feature axis (its axes are {', '.join(axes)}), so no basis applies there"
        )
    width = activation.shape[list(axes).index("unit")]
    if basis.dim != width:
        raise InterpError(f"{basis} has {basis.dim} dimensions, the site's feature axis has {width}")
    if site.unit is not None:
        raise InterpError(f"{site}: a site takes units or the directions of a basis, not both")
    if site.basis is not None and site.basis != basis:
        raise InterpError(f"{site}: the intervention brings a basis of its own; give the site none")


def _masked(mask: Tensor | None, before: Tensor, after: Tensor) -> Tensor:
    return after.clone() if mask is None else torch.where(mask, after, before)
