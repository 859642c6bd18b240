"""Sparse features to reconstruct: the data of the toy models of superposition.

Elhage et al. 2022, Toy Models of Superposition, https://transformer-circuits.pub/2022/toy_model/index.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from interp.errors import InterpError
from interp.tasks.base import Task
from interp.tasks.checks import check_common, require_count, require_share
from interp.tasks.loss import Loss
from interp.tasks.splits import ranges

MOST_NUMBERS = 10**8


@dataclass(frozen=True)
class WeightedMSE(Loss):
    """Mean over the outputs of ``importance * (target - output)^2``; no answer is correct or wrong.

    >>> WeightedMSE((1.0, 0.5))(torch.zeros(1, 2), torch.ones(1, 2))  # (1 + 0.5) / 2
    tensor([0.7500])

    Attributes:
        importance: the weight of every output; None for 1 everywhere.
    """

    name: ClassVar[str] = "weighted_mse"
    answers: ClassVar[bool] = False

    importance: tuple[float, ...] | None = None

    @override
    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        squares = (labels - outputs).square()
        if self.importance is not None:
            squares = squares * torch.tensor(self.importance, dtype=squares.dtype, device=squares.device)
        return squares.mean(-1)

    @override
    def correct(self, outputs: Tensor, labels: Tensor) -> None:
        return None


@dataclass(frozen=True)
class Superposition(Task):
    """Features that are rarely active, to be reconstructed; the first matter most.

    Each feature of each example is zero with probability ``sparsity``, else uniform from 0 to 1. The loss weights feature
    i by ``importance ** i``. For one seed a higher sparsity sets the same features to zero, and more.

    >>> task = Superposition(n_features=3, importance=0.5, n_train=2, n_test=1)
    >>> task.inputs.shape, torch.equal(task.inputs, task.labels), task.importances
    (torch.Size([3, 3]), True, (1.0, 0.5, 0.25))

    Attributes:
        n_features: features of an example.
        importance: each feature's weight in the loss, as a share of the one before.
        sparsity: probability that a feature is zero.
        n_train: examples that are trained on.
        n_test: examples that are tested on.
        seed: of the examples.
        loss: one of `LOSSES`.

    Raises:
        InterpError: a number out of range.
    """

    name: ClassVar[str] = "superposition"
    summary: ClassVar[str] = "sparse features to reconstruct from fewer dimensions: toy models of superposition"
    LOSSES: ClassVar[tuple[str, ...]] = ("weighted_mse",)
    HELP: ClassVar[dict[str, str]] = {
        **Task.HELP,
        "n_features": "features of an example",
        "importance": "each feature's weight in the loss, as a share of the one before",
        "sparsity": "probability that a feature is zero",
        "n_train": "examples that are trained on",
        "n_test": "examples that are tested on",
        "seed": "seed of the examples",
    }
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "toy_model": {
            "source": "Elhage et al. 2022: two hidden dimensions, AdamW",
            "model": {"n_hidden": 2},
            "optimizer": {"name": "adamw", "lr": 1e-3, "weight_decay": 0.0},
            "plan": {"steps": 10_000, "batch_size": 1024, "metrics": "every:100"},
        }
    }

    n_features: int = 5
    importance: float = 0.9
    sparsity: float = 0.9
    n_train: int = 16_384
    n_test: int = 4_096
    seed: int = 0
    loss: str = "weighted_mse"

    def __post_init__(self) -> None:
        for name in ("n_features", "n_train", "n_test"):
            require_count(self, name)
        if (numbers := self.n_features * (self.n_train + self.n_test)) > MOST_NUMBERS:
            raise InterpError(
                f"superposition: n_features * (n_train + n_test) is {numbers:,}; it is limited to {MOST_NUMBERS:,}"
            )
        require_share(self, "sparsity")
        require_share(self, "importance")
        check_common(self)

    @property
    def importances(self) -> tuple[float, ...]:
        """The weight of every feature in the loss."""
        return tuple(float(self.importance) ** i for i in range(self.n_features))

    @cached_property
    def criterion(self) -> Loss:  # pyright: ignore[reportIncompatibleVariableOverride]  the base's, with weights
        """The loss, with the features' importance."""
        return WeightedMSE(self.importances)

    @property
    @override
    def purpose(self) -> str:
        return "reconstructs its sparse features"

    @override
    def make_inputs(self) -> Tensor:
        """``[n_train + n_test, n_features]`` from 0 to 1."""
        generator = torch.Generator().manual_seed(self.seed)
        shape = (self.n_train + self.n_test, self.n_features)
        values, chance = torch.rand(shape, generator=generator), torch.rand(shape, generator=generator)
        return torch.where(chance < self.sparsity, 0.0, values)

    @override
    def make_labels(self) -> Tensor:
        return self.inputs

    @override
    def make_split(self) -> tuple[Tensor, Tensor]:
        return ranges(self.n_train, self.n_test)

    @property
    @override
    def n_outputs(self) -> int:
        return self.n_features

    @override
    def _shapes(self) -> dict[str, dict[str, Any]]:
        return {"toy_model": {"n_features": self.n_features}, **super()._shapes()}
