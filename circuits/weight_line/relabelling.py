"""A relabelling of a network's units: which unit takes which one's place, and with which sign."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from circuits.weight_line.symmetries import Axis, Symmetries, UnitGroup


@dataclass(frozen=True, eq=False)
class Relabelling:
    """Permutations and signs of all groups of units.

    Attributes:
        symmetries: the architecture's.
        permutations: by group ``[unit]``, for a group within another ``[outer unit, unit]``: the unit that takes this place. The
            units of an outer group move first, with all that is within them.
        signs: of the same shapes, 1 or -1: whether what the unit reads changes its sign.
    """

    symmetries: Symmetries
    permutations: Mapping[str, Tensor]
    signs: Mapping[str, Tensor]

    @classmethod
    def identity(cls, symmetries: Symmetries) -> Relabelling:
        """Every unit in its own place."""
        shapes = {name: shape_of(symmetries, group) for name, group in symmetries.groups.items()}
        orders = {name: torch.arange(shape[-1]).expand(shape).clone() for name, shape in shapes.items()}
        return cls(symmetries, orders, {name: torch.ones(shape) for name, shape in shapes.items()})

    @classmethod
    def random(cls, symmetries: Symmetries, generator: torch.Generator) -> Relabelling:
        """A relabelling drawn uniformly from all that leave the function as it is."""
        start = cls.identity(symmetries)
        for name, group in symmetries.groups.items():
            if group.fixed:
                continue
            flippable = torch.tensor([group.parity(unit) != "none" for unit in range(group.size)])
            order, sign = start.permutations[name], start.signs[name]
            for row, signs in zip(order.view(-1, group.size), sign.view(-1, group.size), strict=True):
                for units in map(torch.tensor, group.classes().values()):
                    row[units] = units[torch.randperm(len(units), generator=generator)]
                drawn = 1.0 - 2.0 * torch.randint(0, 2, (group.size,), generator=generator)
                signs[:] = torch.where(flippable, drawn, 1.0)
        return start

    def replaced(self, group: str, permutation: Tensor, signs: Tensor) -> Relabelling:
        """The same with another permutation and signs of one group."""
        return Relabelling(self.symmetries, {**self.permutations, group: permutation}, {**self.signs, group: signs})

    def weights(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights of the relabelled network: the same numbers in other places, some with the other sign.

        Args:
            given: by parameter name.

        Returns:
            new tensors of the same shapes and dtypes.
        """
        return {name: self.moved(name, w).reshape(w.shape).clone() for name, w in given.items()}

    def moved(self, parameter: str, weight: Tensor, but: Collection[tuple[str, int]] = ()) -> Tensor:
        """One parameter, relabelled.

        Args:
            parameter: its name.
            weight: its values.
            but: axes (parameter, axis) that stay as they are.

        Returns:
            in the shape of `Symmetries.shape`.
        """
        axes = self.symmetries.axes[parameter]
        x = weight.reshape(self.symmetries.shape(parameter))
        moving = [k for k, axis in enumerate(axes) if axis.group and (parameter, k) not in but]
        moving = [k for k in moving if not self.symmetries.groups[axes[k].group].fixed]
        for k in sorted(moving, key=lambda k: bool(self.symmetries.groups[axes[k].group].within)):  # outer groups first
            group = self.symmetries.groups[axes[k].group]
            order, sign = self.permutations[group.name].to(x.device), self._factor(axes[k]).to(x)
            if not group.within:
                x = x.index_select(k, order) * _along(sign, (k,), x.ndim)
                continue
            place = next(i for i, axis in enumerate(axes) if axis.group == group.within)
            x = x.take_along_dim(_along(order, (place, k), x.ndim), k) * _along(sign, (place, k), x.ndim)
        return x

    def _factor(self, axis: Axis) -> Tensor:
        """The sign that an axis is multiplied by: none for gains, nor for what an even function hands on."""
        group, sign = self.symmetries.groups[axis.group], self.signs[axis.group]
        if axis.role == "gain":
            return torch.ones_like(sign)
        if axis.role == "in":
            return sign
        odd = torch.tensor([group.parity(unit) == "odd" for unit in range(group.size)])
        return torch.where(odd.to(sign.device), sign, torch.ones_like(sign))


def shape_of(symmetries: Symmetries, group: UnitGroup) -> tuple[int, ...]:
    """The shape of a group's permutations: ``(unit,)``, or ``(outer unit, unit)`` within another group."""
    return (symmetries.groups[group.within].size, group.size) if group.within else (group.size,)


def _along(values: Tensor, axes: tuple[int, ...], ndim: int) -> Tensor:
    """``values`` with its axes at given places among ``ndim``, the others of length 1; the places may be in any order."""
    ordered = values if list(axes) == sorted(axes) else values.mT
    shape = [1] * ndim
    for axis, size in zip(sorted(axes), ordered.shape, strict=True):
        shape[axis] = size
    return ordered.reshape(shape)
