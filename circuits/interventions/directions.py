"""Replacing along directions: the coordinates of an activation in a basis, wherever its unit axis is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from circuits.interventions.layout import Features
from circuits.interventions.values import Value
from interp.errors import InterpError
from interp.sites import Site
from probes.basis import Basis, as_basis


def basis_of(site: Site) -> Basis | None:
    """The basis of a site, also one given as a PCA or SVD; None where it has none."""
    return None if site.basis is None else as_basis(site.basis)


def units_last(axes: Sequence[str]) -> Features:
    """The layout in which directions of a basis lie along the last axis."""
    return Features(tuple(axes), flatten_heads=False)


def along(
    activation: Tensor, axes: Sequence[str], mask: Tensor | None, site: Site, basis: Basis, value: Value
) -> Tensor:
    """The activation with its coordinates along a basis replaced by a value, which is made where the mask is True."""
    check_dim(basis, activation, axes, site)
    of = units_last(axes)
    coordinates = basis.coordinates(of.last(activation))
    put = value.of(coordinates, of.flat_axes, None if mask is None else of.last(mask))
    return activation + of.back((put - coordinates) @ basis.directions.to(activation), activation.shape)


def check_dim(basis: Basis, activation: Tensor, axes: Sequence[str], site: Site) -> None:
    """Check that a basis applies at a site.

    Args:
        basis: of the intervention.
        activation: of the whole hook point.
        axes: the names of its axes.
        site: where the intervention acts.

    Raises:
        InterpError: there is no unit axis, it has another length, or the site also selects units or another basis.
    """
    if "unit" not in axes:
        raise InterpError(
            f"{site.name} has no feature axis (its axes are {', '.join(axes)}), so no basis applies there"
        )
    width = activation.shape[list(axes).index("unit")]
    if basis.dim != width:
        raise InterpError(f"{basis} has {basis.dim} dimensions, the site's feature axis has {width}")
    if site.unit is not None:
        raise InterpError(f"{site}: a site takes units or the directions of a basis, not both")
    if site.basis is not None and basis_of(site) != basis:
        raise InterpError(f"{site}: the intervention has a basis of its own; leave it out of the site")


def masked(mask: Tensor | None, before: Tensor, after: Tensor) -> Tensor:
    """``after`` where the mask is True and ``before`` elsewhere, as a new tensor; no mask means everywhere."""
    return after.clone() if mask is None else torch.where(mask, after, before)
