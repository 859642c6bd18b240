"""Examples that the user brings as tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from typing_extensions import override

from interp.errors import InterpError
from interp.hooked import HookedModel
from interp.hooked.foreign.several import Inputs, as_inputs, shown_inputs
from interp.tasks.base import Task
from interp.tasks.checks import check_loss

SIGNS = {"hinge": {-1.0, 1.0}, "bce": {-1.0, 0.0, 1.0}}  # labels of the losses that read one output


@dataclass(frozen=True, eq=False, repr=False)
class Examples(Task):
    """Inputs and labels as tensors, for any model that takes them. Two are equal only if they are the same object.

    It cannot be written on the command line or stored with a run: it has no spec.

    >>> task = Examples(torch.ones(4, 2), torch.tensor([0, 1, 2, 0]), train=[0, 1, 2])
    >>> task
    examples: 4 inputs [2], 3 to train on, 3 answers, loss cross_entropy
    >>> task.test_indices.tolist()
    [3]

    Attributes:
        inputs: ``[n, ...]``, as the model takes them; for a wrapped module that takes several tensors, `interp.Inputs` or a
            tuple or dict of them.
        labels: ``[n]``: for ``cross_entropy`` and ``mse`` the correct answers as whole numbers from 0 on, for ``hinge`` -1 or
            1, for ``bce`` 0 or 1 (-1 counts as 0); for ``regression`` targets ``[n, width]``.
        loss: one of `LOSSES`.
        train: indices of the examples that are trained on, or a mask ``[n]``; by default all, which leaves none to test on.
        readout: the position at which outputs ``[batch, pos, width]`` are read; None for outputs ``[batch, width]``.
        n_answers: number of possible answers; by default the largest label plus 1. For a regression, the width.

    Raises:
        UnknownName: a loss that does not exist.
        InterpError: no examples, lengths that differ, labels that do not fit the loss, or indices outside.
    """

    name: ClassVar[str] = "examples"
    summary: ClassVar[str] = "examples that the user brings as tensors"
    storable: ClassVar[bool] = False
    LOSSES: ClassVar[tuple[str, ...]] = ("cross_entropy", "mse", "hinge", "bce", "regression")

    inputs: Tensor = field()  # pyright: ignore[reportIncompatibleVariableOverride]  given here, made elsewhere
    labels: Tensor = field()  # pyright: ignore[reportIncompatibleVariableOverride]
    loss: str = "cross_entropy"
    train: Tensor | Sequence[int] | None = None
    readout: int | None = None
    n_answers: int | None = None
    seed: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", as_inputs(self.inputs))
        check_loss(self)
        for name in ("inputs", "labels"):
            value = getattr(self, name)
            several = name == "inputs" and isinstance(value, Inputs)
            if not (several or isinstance(value, Tensor)) or value.ndim == 0 or len(value) == 0:
                raise InterpError(f"examples: {name} must be a tensor [n, ...] with at least one example")
        if len(self.inputs) != len(self.labels):
            raise InterpError(f"examples: {len(self.inputs)} inputs and {len(self.labels)} labels")
        if self.n_answers is not None and self.n_answers < 1:
            raise InterpError(f"examples: n_answers must be at least 1, got {self.n_answers}")
        if self.loss == "regression":
            self._check_targets()
        else:
            self._check_labels()
        _ = self._split  # refuses invalid indices

    def _check_targets(self) -> None:
        if self.labels.ndim != 2 or not self.labels.is_floating_point():
            raise InterpError(
                f"examples: a regression has floating targets [n, width], these are {_described(self.labels)} "
                "(labels.float().unsqueeze(1) for a single number)"
            )
        if self.n_answers not in (None, self.labels.shape[1]):
            raise InterpError(f"examples: n_answers={self.n_answers}, but the targets' width is {self.labels.shape[1]}")

    def _check_labels(self) -> None:
        if self.labels.ndim != 1:
            raise InterpError(f"examples: {self.loss} has labels [n], these are {_described(self.labels)}")
        found = self.labels.unique().tolist()
        if self.loss in SIGNS:
            if not set(map(float, found)) <= SIGNS[self.loss]:
                allowed = " or ".join(f"{v:g}" for v in sorted(SIGNS[self.loss]))
                raise InterpError(f"examples: labels for {self.loss} are {allowed}, got {found[:5]}")
            if self.n_answers not in (None, 2):
                raise InterpError(f"examples: {self.loss} has 2 answers, n_answers is {self.n_answers}")
            return
        if self.labels.dtype not in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8):
            raise InterpError(
                f"examples: labels for {self.loss} are whole numbers, these are {_described(self.labels)}"
            )
        if found[0] < 0 or (self.n_answers is not None and found[-1] >= self.n_answers):
            limit = (
                "from 0 on"
                if self.n_answers is None
                else f"from 0 to {self.n_answers - 1} (n_answers={self.n_answers})"
            )
            raise InterpError(f"examples: labels must be {limit}; they reach from {found[0]} to {found[-1]}")
        object.__setattr__(self, "labels", self.labels.long())  # as losses index with them

    @property
    @override
    def purpose(self) -> str:
        return "answers the examples it was given" if self.criterion.answers else "fits the targets it was given"

    @override
    def make_inputs(self) -> Tensor:
        return self.inputs

    @override
    def make_labels(self) -> Tensor:
        return self.labels

    @override
    def make_split(self) -> tuple[Tensor, Tensor]:
        n = len(self.inputs)
        everything = torch.arange(n)
        if self.train is None:
            return everything, everything[:0]
        given = torch.as_tensor(self.train, device="cpu")
        if given.dtype == torch.bool and given.shape == (n,):
            given = given.nonzero().flatten()
        if given.ndim != 1 or not len(given) or given.is_floating_point() or given.dtype == torch.bool:
            raise InterpError(f"examples: train must be indices of examples or a mask [{n}], got {_described(given)}")
        if given.min() < 0 or given.max() >= n or len(given.unique()) < len(given):
            raise InterpError(f"examples: train must be different indices from 0 to {n - 1}")
        return given.long(), everything[~torch.isin(everything, given)]

    @property
    @override
    def n_outputs(self) -> int:
        """Number of answers; for a regression, of targets."""
        if self.loss == "regression":
            return self.labels.shape[1]
        if self.loss in SIGNS:
            return 2
        return self.n_answers or int(self.labels.max()) + 1

    @override
    def fit(self, model: HookedModel) -> Self:
        """The task itself: whether the model takes the inputs shows when it runs."""
        return self

    @override
    def spec_options(self) -> dict[str, Any]:
        """Refused: tensors cannot be written as a spec."""
        raise InterpError(
            "examples given as tensors have no spec and cannot be stored with a run: keep the script that makes them"
        )

    @override
    def stored(self) -> dict[str, Any]:
        return self.spec_options()

    @override
    def title(self) -> str:
        return self.name

    def __str__(self) -> str:
        what = "targets" if self.loss == "regression" else "answers"
        return (
            f"{self.name}: {len(self.inputs)} inputs {self._shape()}, {len(self.train_indices)} to train on, "
            f"{self.n_outputs} {what}, loss {self.loss}"
        )

    def __repr__(self) -> str:
        return str(self)

    def _shape(self) -> str:
        inputs: Any = self.inputs
        return shown_inputs(inputs) if isinstance(inputs, Inputs) else str(list(inputs.shape[1:]))


def _described(tensor: Tensor) -> str:
    return f"{list(tensor.shape)} of {str(tensor.dtype).removeprefix('torch.')}"
