"""Interventions as frozen values: what to change, where, and by what.

An intervention is data. It prints, compares, goes into a result and can be run again; `applied` is the only code that
installs it. The site says where (a hook point and, optionally, positions, heads, units or directions of a Basis); a
value says what replaces the activation there. Several at one hook point act in the order given, each on what the one before
has left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from circuits.interventions.base import Intervention, Projecting, Replacing, require_number, require_tensor
from circuits.interventions.directions import along, basis_of, check_dim, masked, units_last
from circuits.interventions.values import DEFAULT, Fixed, ValueLike
from interp.errors import InterpError
from interp.sites import Site
from probes.basis import Basis


@dataclass(frozen=True, eq=False)
class Ablate(Replacing):
    """Replace a site by a value; if the site has a basis, only its coordinates along those directions.

    Args:
        site: where; a name, a glob or a `Site`.
        value: what replaces it: a `Value`, its name, or a tensor; the mean over the batch by default.
    """

    site: str | Site
    value: ValueLike = DEFAULT

    @override
    def transform(self, activation: Tensor, axes: Sequence[str], site: Site) -> Tensor:
        mask = site.mask(activation.shape, axes, activation.device)
        basis = basis_of(site)
        if basis is not None:
            return masked(mask, activation, along(activation, axes, mask, site, basis, self.replacement))
        return masked(mask, activation, self.replacement.of(activation, axes, mask).expand_as(activation))


@dataclass(frozen=True, eq=False)
class Patch(Intervention):
    """Activation patching: replace a site by its activation in another run.

    Args:
        site: where; if it selects a part, or has a basis, only that is replaced.
        from_: the whole hook point's activation in the other run, of the same shape as in this one.

    Meng et al. 2022, Locating and Editing Factual Associations in GPT, https://arxiv.org/abs/2202.05262.
    """

    site: str | Site
    from_: Tensor

    def __post_init__(self) -> None:
        """Refuse what is not an activation."""
        where = self.site if isinstance(self.site, str) else str(getattr(self.site, "name", "site"))
        require_tensor(
            self.from_,
            "from_",
            f"the activation of the other run, such as interp.capture(model, inputs, {where!r})[{where!r}]",
        )

    @override
    def transform(self, activation: Tensor, axes: Sequence[str], site: Site) -> Tensor:
        if self.from_.shape != activation.shape:
            raise InterpError(
                f"{site}: the patch comes from a run of shape {list(self.from_.shape)}, this one is {list(activation.shape)}"
            )
        source, mask = self.from_.to(activation), site.mask(activation.shape, axes, activation.device)
        basis = basis_of(site)
        if basis is not None:
            check_dim(basis, activation, axes, site)
            source = activation + units_last(axes).mapped(basis.keep, source - activation)
        return masked(mask, activation, source)

    @override
    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.site}, from a run of shape {list(self.from_.shape)})"


@dataclass(frozen=True, eq=False, repr=False)
class Freeze(Patch):
    """Hold a site (attention patterns, LayerNorm scales, other components) at its activation in another run.

    A `Patch` that may change nothing, since the effects of other interventions need not reach the site. `freeze` makes it.
    """

    @property
    @override
    def idle(self) -> bool:
        return True


@dataclass(frozen=True, eq=False)
class Scale(Intervention):
    """Multiply a site by a number; if the site has a basis, only its coordinates along those directions.

    Args:
        site: where; a name, a glob or a `Site`.
        factor: 0 removes, 1 changes nothing.
    """

    site: str | Site
    factor: float

    def __post_init__(self) -> None:
        """Refuse what is not a number."""
        require_number(self.factor, "the factor of Scale")

    @override
    def transform(self, activation: Tensor, axes: Sequence[str], site: Site) -> Tensor:
        mask, basis = site.mask(activation.shape, axes, activation.device), basis_of(site)
        if basis is None:
            return masked(mask, activation, activation * self.factor)
        check_dim(basis, activation, axes, site)
        kept = units_last(axes).mapped(basis.keep, activation)
        return masked(mask, activation, activation + (self.factor - 1) * kept)


@dataclass(frozen=True, eq=False)
class Add(Intervention):
    """Steering: add ``scale`` times a vector to a site, the same for every input.

    Args:
        site: where; a name, a glob or a `Site`.
        vector: broadcasts over the activation (over its coordinates, where the site has a basis): ``[unit]`` for the
            same at every position, or everywhere in the maps of a convolution.
        scale: -1 takes the vector away.
    """

    site: str | Site
    vector: Tensor
    scale: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is not a vector and a number."""
        require_tensor(self.vector, "the vector of Add", "torch.as_tensor(values), broadcast over the activation")
        require_number(self.scale, "the scale of Add")

    @override
    def transform(self, activation: Tensor, axes: Sequence[str], site: Site) -> Tensor:
        mask, basis = site.mask(activation.shape, axes, activation.device), basis_of(site)
        if basis is None:
            return masked(mask, activation, activation + self.scale * Fixed(self.vector).of(activation, axes))
        check_dim(basis, activation, axes, site)
        of = units_last(axes)
        features = of.last(activation)
        own = basis.coordinates(features)
        coordinates = Fixed(self.vector).of(own, of.flat_axes).expand_as(own)  # one number for all directions, too
        moved = self.scale * (coordinates @ basis.directions.to(activation))
        return masked(mask, activation, activation + of.back(moved.expand_as(features), activation.shape))

    @override
    def __repr__(self) -> str:
        return f"Add({self.site}, {self.scale:g} times a vector of norm {float(self.vector.double().norm()):.4g})"


@dataclass(frozen=True, eq=False)
class Remove(Projecting):
    """Replace a site's coordinates along the directions of a basis by a value.

    Args:
        site: where, without a basis of its own.
        basis: directions of the unit axis; a PCA or SVD, or orthonormal rows, too.
        value: what replaces the coordinates; their mean over the batch by default.
    """

    site: str | Site
    basis: Basis
    value: ValueLike = DEFAULT

    @override
    def transform(self, activation: Tensor, axes: Sequence[str], site: Site) -> Tensor:
        mask = site.mask(activation.shape, axes, activation.device)
        return masked(mask, activation, along(activation, axes, mask, site, self.basis, self.replacement))

    @override
    def _directions(self, site: Site) -> Basis | None:
        return self.basis


@dataclass(frozen=True, eq=False)
class Keep(Projecting):
    """Keep only a site's component in the span of a basis and replace the rest by a value.

    Args:
        site: where, without a basis of its own.
        basis: directions of the unit axis; a PCA or SVD, or orthonormal rows, too.
        value: what replaces the rest; its mean over the batch by default.
    """

    site: str | Site
    basis: Basis
    value: ValueLike = DEFAULT

    @override
    def transform(self, activation: Tensor, axes: Sequence[str], site: Site) -> Tensor:
        check_dim(self.basis, activation, axes, site)
        mask, of = site.mask(activation.shape, axes, activation.device), units_last(axes)
        rest = self.replacement.of(activation, axes, mask).expand_as(activation)
        kept = of.mapped(self.basis.keep, activation) + of.mapped(self.basis.remove, rest)
        return masked(mask, activation, kept)

    @override
    def _directions(self, site: Site) -> Basis | None:
        return None
