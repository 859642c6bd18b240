"""Addition of small numbers, not reduced: the toy model of representation learning.

Liu et al. 2022, Towards Understanding Grokking: An Effective Theory of Representation Learning,
https://arxiv.org/abs/2205.10343
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from interp.errors import InterpError
from interp.tasks.binary import BinaryOperation
from interp.tasks.checks import require_count
from interp.tasks.cyclic import CyclicStructure
from interp.tasks.pair_checks import check_split
from interp.tasks.pair_symmetry import Move


@dataclass(frozen=True)
class ToyAddition(BinaryOperation):
    """``i + j`` for all pairs ``i <= j < p``: an answer for each of the ``2 p - 1`` sums.

    >>> task = ToyAddition(3)
    >>> task.pairs.tolist()
    [[0, 0], [0, 1], [0, 2], [1, 1], [1, 2], [2, 2]]
    >>> task.labels.tolist(), task.n_outputs
    ([0, 1, 2, 2, 3, 4], 5)

    Attributes:
        p: how many numbers there are, 0..p-1.
        train_fraction: share of the pairs that are trained on; 0.82 gives 45 of the 55 pairs at p = 10.
        seed: of the split.
        split: how the pairs are shuffled, see `BinaryOperation`.
        equals_token: whether the inputs end in ``=``.
        loss: one of `LOSSES`; ``vectors`` asks for a fixed random vector per sum.
        form: what stands where, see `BinaryOperation`.
        encoding: tokens or vectors, see `BinaryOperation`.
        n_train: number of pairs that are trained on, instead of ``train_fraction``.

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
    split: str | tuple[int, ...] = "python"
    equals_token: bool = True
    loss: str = "vectors"
    form: str = ""
    encoding: str = "tokens"
    n_train: int | None = None

    def __post_init__(self) -> None:
        require_count(self, "p", 2)
        if self.p > 4096:
            raise InterpError(f"addition: p={self.p} has {self.p * (self.p + 1) // 2:,} pairs; p is limited to 4096")
        check_split(self)

    @property
    @override
    def n_symbols(self) -> int:
        return self.p

    @property
    @override
    def n_outputs(self) -> int:
        return 2 * self.p - 1

    @property
    @override
    def purpose(self) -> str:
        return f"adds i + j of all i <= j < {self.p}"

    @override
    def make_pairs(self) -> Tensor:
        return torch.combinations(torch.arange(self.p), 2, with_replacement=True)

    @override
    def make_labels(self) -> Tensor:
        return self.pairs.sum(-1)

    @override
    def moves(self) -> tuple[str, list[Move]]:
        backwards = torch.arange(self.p).flip(0)
        return "reversal of the numbers", [Move(backwards, backwards, torch.arange(2 * self.p - 1).flip(0), swap=True)]

    @override
    def cyclic(self) -> CyclicStructure | str:
        return "addition: the sums are not reduced modulo a number, so there is no cyclic group and no Fourier basis"
