"""Sparse parity: the product of a few bits among many."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from typing_extensions import override

from interp.errors import InterpError, UnknownName, unknown
from interp.hooked import HookedModel
from interp.tasks.base import Task
from interp.tasks.bits import MOST_FLIPPED, bit_flips, flipped_bits, walsh_functions
from interp.tasks.checks import check_common, require_count, require_share
from interp.tasks.factors import Factors
from interp.tasks.splits import ranges
from interp.tasks.symmetry import Symmetry

MOST_BITS = 10**8
ENCODINGS = ("signs", "bits", "inverted")


@dataclass(frozen=True)
class SparseParity(Task):
    """The product of the first ``k`` of ``n`` random bits, each -1 or 1.

    Train examples come first. All examples are drawn independently, so that for a small n a test example can be a train
    example too. For one seed the inputs do not depend on the label noise, and more noise flips the same labels and more.

    >>> task = SparseParity(n=4, k=2, n_train=3, n_test=1)
    >>> torch.equal(task.labels, (task.inputs[:, 0] * task.inputs[:, 1]).long())
    True

    Attributes:
        n: bits of an example.
        k: how many of them, the first, decide the label.
        n_train: examples that are trained on.
        n_test: examples that are tested on; their labels are never flipped.
        label_noise: share of the train labels that are flipped: exactly ``round(label_noise * n_train)``.
        seed: of the inputs and of the choice of flipped labels.
        loss: one of `LOSSES`.
        encoding: what the network is given for -1 and 1: ``"signs"``, or ``"bits"`` (0 and 1), or ``"inverted"`` (1 and 0, so
            that the label is -1 where an odd number of the k bits is 1). The labels are the same.

    Raises:
        InterpError: a number out of range, such as k > n.
    """

    name: ClassVar[str] = "parity"
    summary: ClassVar[str] = "sparse parity: the product of the first k of n bits of -1 and 1"
    LOSSES: ClassVar[tuple[str, ...]] = ("hinge", "bce")
    HELP: ClassVar[dict[str, str]] = {
        **Task.HELP,
        "n": "bits of an example",
        "k": "how many of them, the first, decide the label",
        "n_train": "examples that are trained on",
        "n_test": "examples that are tested on",
        "label_noise": "share of the train labels that are flipped",
        "encoding": "inputs for -1 and 1: signs (as they are), bits (0 and 1) or inverted (1 and 0)",
        "seed": "seed of the inputs and of the choice of flipped labels",
    }

    n: int = 50
    k: int = 2
    n_train: int = 300
    n_test: int = 100
    label_noise: float = 0.0
    seed: int = 0
    loss: str = "hinge"
    encoding: str = "signs"

    def __post_init__(self) -> None:
        for name in ("n", "k", "n_train", "n_test"):
            require_count(self, name)
        if self.k > self.n:
            raise InterpError(f"parity: k={self.k} bits cannot be chosen among n={self.n}; lower k or raise n")
        if (bits := self.n * (self.n_train + self.n_test)) > MOST_BITS:
            raise InterpError(f"parity: n * (n_train + n_test) is {bits:,}; it is limited to {MOST_BITS:,}")
        require_share(self, "label_noise")
        if self.encoding not in ENCODINGS:
            raise UnknownName(unknown("encoding for parity", str(self.encoding), ENCODINGS))
        check_common(self)

    @cached_property
    def _drawn(self) -> tuple[Tensor, Tensor]:
        """Inputs ``[example, n]``, and the train examples in the order in which noise flips their labels."""
        generator = torch.Generator().manual_seed(self.seed)
        bits = torch.randint(0, 2, (self.n_train + self.n_test, self.n), generator=generator)
        return (2 * bits - 1).float(), torch.randperm(self.n_train, generator=generator)

    @property
    @override
    def purpose(self) -> str:
        return f"gives the parity of the first {self.k} of {self.n} bits"

    @override
    def make_inputs(self) -> Tensor:
        """``[n_train + n_test, n]`` of -1 and 1, or of 0 and 1."""
        return self._encoded(self._drawn[0])

    def _encoded(self, signs: Tensor) -> Tensor:
        return signs if self.encoding == "signs" else (1 + signs * (1 if self.encoding == "bits" else -1)) / 2

    @override
    def make_symmetry(self) -> Symmetry | str:
        """Flips of single bits, of which the k relevant ones change the answer, and permutations of the irrelevant ones.

        It acts on all values of the first bits, ten or so, beside a few random values of the others.

        Returns:
            the symmetry, or why it is not followed.
        """
        if self.k > MOST_FLIPPED:
            return f"parity: k={self.k} bits have {2**self.k:,} values; its symmetry is followed up to k={MOST_FLIPPED}"
        return bit_flips(self.n, self.k, flipped_bits(self.n, self.k), self.seed, self._encoded)

    @override
    def make_factors(self) -> Factors | str:
        symmetry = self.symmetry()
        return (
            symmetry if isinstance(symmetry, str) else walsh_functions(symmetry, self.k, flipped_bits(self.n, self.k))
        )

    @cached_property
    def clean_labels(self) -> Tensor:
        """The labels before noise ``[example]``, -1 or 1."""
        return self._drawn[0][:, : self.k].prod(-1).long()

    @cached_property
    def flipped(self) -> Tensor:
        """Which labels are flipped ``[example]``, as a mask."""
        mask = torch.zeros(self.n_train + self.n_test, dtype=torch.bool)
        mask[self._drawn[1][: round(self.label_noise * self.n_train)]] = True
        return mask

    @override
    def make_labels(self) -> Tensor:
        return torch.where(self.flipped, -self.clean_labels, self.clean_labels)

    @override
    def make_split(self) -> tuple[Tensor, Tensor]:
        return ranges(self.n_train, self.n_test)

    @property
    @override
    def n_outputs(self) -> int:
        return 2

    @override
    def spec_options(self) -> dict[str, Any]:
        return {k: v for k, v in super().spec_options().items() if (k, v) != ("encoding", "signs")}

    @override
    def fit(self, model: HookedModel) -> Self:
        self._fit_vectors(model, self.n)
        return self
