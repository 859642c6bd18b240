"""Which way from one point of a grid to another."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from interp.errors import InterpError, UnknownName, unknown
from interp.tasks.binary import BinaryOperation
from interp.tasks.checks import require_count
from interp.tasks.cyclic import CyclicStructure
from interp.tasks.pair_checks import check_split
from interp.tasks.pair_symmetry import Move

ANSWERS = ("sign", "angle")


@dataclass(frozen=True)
class GridDirections(BinaryOperation):
    """The direction from a to b, for all pairs of different points of a ``side * side`` grid (token = row * side + col).

    >>> task = GridDirections(2)
    >>> task.pairs[:3].tolist(), [task.directions[label] for label in task.labels[:3]]  # right, down, both
    ([[0, 1], [0, 2], [0, 3]], [(0, 1), (1, 0), (1, 1)])

    Attributes:
        side: points along an edge of the grid.
        answer: ``"sign"`` asks for one of the 8 compass directions (the signs of the change of row and column),
            ``"angle"`` for the exact direction (the changes divided by their greatest common divisor).
        train_fraction: share of the pairs that are trained on.
        seed: of the split.
        split: how the pairs are shuffled, see `BinaryOperation`.
        equals_token: whether the inputs end in ``=``.
        loss: one of `LOSSES`.
        form: what stands where, see `BinaryOperation`.
        encoding: tokens or vectors, see `BinaryOperation`.
        n_train: number of pairs that are trained on, instead of ``train_fraction``.

    Raises:
        InterpError: a side below 2 or above 64, an unknown answer, or an empty split.
    """

    name: ClassVar[str] = "grid"
    summary: ClassVar[str] = "the direction from one point of a grid to another"
    HELP: ClassVar[dict[str, str]] = {
        **BinaryOperation.HELP,
        "side": "points along an edge of the grid",
        "answer": "sign (8 compass directions) or angle (every exact direction)",
    }

    side: int = 5
    answer: str = "sign"
    train_fraction: float = 0.8
    seed: int = 0
    split: str | tuple[int, ...] = "python"
    equals_token: bool = True
    loss: str = "cross_entropy"
    form: str = ""
    encoding: str = "tokens"
    n_train: int | None = None

    def __post_init__(self) -> None:
        require_count(self, "side", 2)
        if self.side > 64:
            raise InterpError(f"grid: side={self.side} has {self.side**4:,} pairs; side is limited to 64")
        if self.answer not in ANSWERS:
            raise UnknownName(unknown("answer for grid", self.answer, ANSWERS))
        check_split(self)

    @property
    @override
    def n_symbols(self) -> int:
        return self.side**2

    @property
    @override
    def n_outputs(self) -> int:
        return len(self.directions)

    @cached_property
    def directions(self) -> list[tuple[int, int]]:
        """The direction ``(rows down, columns right)`` that each answer stands for, in ascending order."""
        reach = range(1 - self.side, self.side)
        return sorted({self._direction(down, right) for down in reach for right in reach if down or right})

    def _direction(self, down: int, right: int) -> tuple[int, int]:
        if self.answer == "sign":
            return (down > 0) - (down < 0), (right > 0) - (right < 0)
        common = math.gcd(down, right)
        return down // common, right // common

    @property
    @override
    def purpose(self) -> str:
        return f"tells the direction from one point to another on a grid of {self.side} by {self.side}"

    @override
    def make_pairs(self) -> Tensor:
        pairs = torch.cartesian_prod(torch.arange(self.n_symbols), torch.arange(self.n_symbols))
        return pairs[pairs[:, 0] != pairs[:, 1]]

    @override
    def make_labels(self) -> Tensor:
        index = {direction: i for i, direction in enumerate(self.directions)}
        reach = range(1 - self.side, self.side)
        table = torch.tensor([[index[self._direction(d, r)] if d or r else -1 for r in reach] for d in reach])
        start, end = self.pairs.T
        down = end // self.side - start // self.side
        right = end % self.side - start % self.side
        return table[down + self.side - 1, right + self.side - 1]

    @override
    def moves(self) -> tuple[str, list[Move]]:
        """A mirror and a quarter turn of the grid, which generate all eight symmetries of the square."""
        points = torch.arange(self.n_symbols).unflatten(0, (self.side, self.side))
        place = {direction: i for i, direction in enumerate(self.directions)}
        mirrored = torch.tensor([place[down, -right] for down, right in self.directions])
        turned = torch.tensor([place[right, -down] for down, right in self.directions])
        mirror, turn = points.flip(1).flatten(), points.flip(1).T.flatten()
        return "mirrors and turns of the grid", [Move(mirror, mirror, mirrored), Move(turn, turn, turned)]

    @override
    def cyclic(self) -> CyclicStructure | str:
        return "grid: directions between points are not sums modulo n, so there is no Fourier basis"
