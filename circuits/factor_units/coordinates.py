"""Coordinates in which every factor of a task is a set of entries."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.tasks.factors import FactorAxis, Factors

NONE = -1  # label of a coordinate that belongs to no factor, or to several


@dataclass(frozen=True, eq=False)
class Coordinates:
    """An orthonormal change of coordinates of functions of the examples and of the outputs.

    Attributes:
        factors: of a task.
        crossed: the input axes whose values occur in all combinations, such as both operands; the first alone otherwise.
        labels: to which factor each coordinate of a function of the examples belongs, by crossed axis.
        examples: the same where all crossed axes agree.
        outputs: the same of a function of the outputs; None where they have no factors.
        blocks: to which combination of factors, one per crossed axis, each coordinate of the examples belongs. The power by
            block stays the same when a symmetry that keeps the factors moves the examples.
    """

    factors: Factors
    crossed: tuple[FactorAxis, ...]
    labels: Int[Tensor, "axis n"]
    examples: Int[Tensor, "n"]
    outputs: Int[Tensor, "width"] | None
    blocks: Int[Tensor, "n"]

    @classmethod
    def of(cls, factors: Factors, n: int, width: int) -> Coordinates:
        """The coordinates of some factors.

        Args:
            factors: of a task, or of a network's outputs.
            n: number of examples.
            width: number of outputs.

        Returns:
            coordinates whose labels leave out the constant.
        """
        first, *others = factors.inputs
        crossed = (first, *(axis for axis in others if crosses(first, axis, n)))
        labels = torch.stack([_labels(axis, n, factors.constant) for axis in crossed])
        examples = labels[0].where(labels.eq(labels[0]).all(0), torch.full_like(labels[0], NONE))
        outputs = None if factors.outputs is None else _labels(factors.outputs, width, factors.constant)
        every = torch.stack([_labels(axis, n, None) for axis in crossed])
        return cls(factors, crossed, labels, examples, outputs, every.unique(dim=1, return_inverse=True)[1])

    def of_examples(self, values: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
        """Coordinates of functions of the examples."""
        for axis in self.crossed:
            values = along(axis, values)
        return values

    def of_outputs(self, values: Float[Tensor, "m width"]) -> Float[Tensor, "m width"]:
        """Coordinates of functions of the outputs."""
        return values if self.factors.outputs is None else along(self.factors.outputs, values.T).T

    def power(self, found: Float[Tensor, "n m"]) -> Float[Tensor, "m factor"]:
        """Power of functions by factor, the mean over the crossed axes; the constant's is 0. ``found``: of `of_examples`."""
        every = [summed(found, label, len(self.factors.names)) for label in self.labels]
        return torch.stack(every).mean(0)

    def power_by_block(self, found: Float[Tensor, "n m"]) -> Float[Tensor, "m block"]:
        """Power of functions of the examples by combination of factors. ``found``: of `of_examples`."""
        return summed(found, self.blocks, int(self.blocks.max()) + 1)

    def entries(self, factor: int) -> tuple[Tensor, Tensor | slice]:
        """Which coordinates of the examples, and which of the outputs, belong to a factor."""
        columns = slice(None) if self.outputs is None else (self.outputs == factor).nonzero()[:, 0]
        return (self.examples == factor).nonzero()[:, 0], columns


def along(axis: FactorAxis, values: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    """Values along one axis in the coordinates of its basis, each function in the place of a value; 0 elsewhere.

    Args:
        axis: of the examples, or of the outputs.
        values: by example (or output), and by anything else.

    Returns:
        coordinates, of the same shape.
    """
    index = axis.index.to(values.device)
    taken = values[index]  # [value, rest, m]
    found = (axis.basis.to(values) @ taken.flatten(1)).unflatten(1, taken.shape[1:])
    made = torch.zeros_like(values)
    made[index[: len(axis.basis)]] = found
    return made


def crosses(first: FactorAxis, second: FactorAxis, n: int) -> bool:
    """Whether each value of the second axis stands still while the first moves, so that their projections commute.

    Args:
        first: an axis of the examples.
        second: another.
        n: number of examples.

    Returns:
        true of the two operands of a whole table.
    """
    row = torch.full((n,), NONE)
    row[second.index] = torch.arange(len(second.index)).unsqueeze(1)
    seen = row[first.index]
    return bool((seen == seen[:1]).all()) and bool((seen >= 0).all())


def summed(found: Float[Tensor, "n m"], label: Int[Tensor, "n"], n_labels: int) -> Float[Tensor, "m label"]:
    """Squares of coordinates, added up by label.

    Args:
        found: coordinates.
        label: of each row; negative: of none.
        n_labels: how many there are.

    Returns:
        in float64.
    """
    label = label.to(found.device)
    known = (label >= 0).nonzero()[:, 0]
    sums = torch.zeros(n_labels, found.shape[1], dtype=torch.float64, device=found.device)
    return sums.index_add_(0, label[known], found[known].double().square()).T


def _labels(axis: FactorAxis, n: int, constant: int | None) -> Tensor:
    found = torch.full((n,), NONE)
    factor = axis.factor if constant is None else axis.factor.where(axis.factor != constant, NONE)
    found[axis.index[: len(axis.basis)]] = factor.unsqueeze(1)
    return found
