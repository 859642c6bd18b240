"""Addition of small numbers, not reduced: the toy model of representation learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from interp.errors import InterpError
from interp.tasks.base import CyclicStructure
from interp.tasks.binary import BinaryOperation, check_split
from interp.tasks.checks import require_count


@dataclass(frozen=True)
class ToyAddition(BinaryOperation):
    """``i + j`` for all pairs ``i <= j < p``: an answer for each of the ``2 p - 1`` sums (Liu et al. 2022).

    >>> task = ToyAddition(3)
    >>> task.pairs.tolist()
    [[0, 0], [0, 1], [0, 2], [1, 1], [1, 2], [2, 2]]
    >>> task.labels.tolist(), task.n_outputs
    ([0, 1, 2, 2, 3, 4], 5)

    Attributes:
        p: how many numbers there are, 0..p-1.
        train_fraction: share of the pairs that are trained on; 0.82 is 45 of the 55 at p = 10.
        seed: of the split.
        split: how the pairs are shuffled, see `BinaryOperation`.
        equals_token: whether the inputs end in ``=``.
        loss: one of `LOSSES`; ``vectors`` asks for a fixed random vector per sum.

    Raises:
        InterpError: fewer than 2 numbers, or an empty split.
    """

    name: ClassVar[str] = "addition"
    summary: ClassVar[str] = "sums i + j of pairs i <= j < p, not reduced: the toy model of representation learning"
    LOSSES: ClassVar[tuple[str, ...]] = ("vectors", "cross_entropy", "mse")
    HELP: ClassVar[dict[str, str]] = {**BinaryOperation.HELP, "p": "how many numbers there are, 0..p-1"}

    p: int = 10
    train_fraction: float = 0.82
    seed: int = 0
    split: str = "python"
    equals_token: bool = True
    loss: str = "vectors"

    def __post_init__(self) -> None:
        require_count(self, "p", 2)
        if self.p > 4096:
            raise InterpError(f"addition: p={self.p} has {self.p * (self.p + 1) // 2:,} pairs; p is limited to 4096")
        check_split(self)

    @property
    def n_symbols(self) -> int:
        return self.p

    @property
    def n_outputs(self) -> int:
        return 2 * self.p - 1

    def _make_pairs(self) -> Tensor:
        return torch.combinations(torch.arange(self.p), 2, with_replacement=True)

    def _make_labels(self) -> Tensor:
        return self.pairs.sum(-1)

    def cyclic(self) -> CyclicStructure | str:
        return "addition: sums are not reduced modulo anything, so there is no cyclic group and no Fourier basis"
