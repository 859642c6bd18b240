"""Tasks on pairs of symbols with one correct answer."""

from __future__ import annotations

import random
from abc import abstractmethod
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import override

from interp.errors import InterpError, TaskMismatch
from interp.hooked import HookedModel
from interp.hooked.mlp.config import MLPConfig
from interp.hooked.rnn.config import RNNConfig
from interp.hooked.transformer.config import TransformerConfig
from interp.tasks.base import Task
from interp.tasks.checks import check_common
from interp.tasks.splits import shuffled


class BinaryOperation(Task):
    """A task on pairs of symbols (a, b) with one correct answer, read from one row of logits.

    The inputs are all pairs for which the operation is defined, in row-major order: a finite table. A transformer sees
    ``(a, b, =)``, where ``=`` is the token after the last symbol, and is read at the last position; an MLP sees
    ``(a, b)``. The answer is read from the first ``n_outputs`` logits.

    Attributes:
        train_fraction: share of the pairs that are trained on; the first ``int(train_fraction * n)`` after shuffling.
        seed: of the shuffle.
        split: ``"python"`` (``random.seed(seed); random.shuffle``) or ``"torch"`` (``torch.manual_seed(seed);
            torch.randperm``), over the row-major pairs.
        equals_token: whether the inputs end in ``=``. `fit` sets it to what the model takes.
    """

    LOSSES: ClassVar[tuple[str, ...]] = ("cross_entropy", "mse", "vectors")
    complete: ClassVar[bool] = True

    HELP: ClassVar[dict[str, str]] = {
        **Task.HELP,
        "train_fraction": "share of the pairs that are trained on",
        "seed": "seed of the split into train and test",
        "split": "how the pairs are shuffled: python (random.shuffle) or torch (torch.randperm)",
        "equals_token": "whether the inputs end in the token =; set by the model",
    }

    train_fraction: float
    split: str
    equals_token: bool

    @property
    @abstractmethod
    def n_symbols(self) -> int:
        """Number of operand symbols, and the token of ``=``."""

    @property
    @override
    def n_outputs(self) -> int:
        """Number of possible answers."""
        return self.n_symbols

    @cached_property
    def pairs(self) -> Tensor:
        """All pairs for which the operation is defined ``[n, 2]``, row-major."""
        return self.make_pairs()

    @abstractmethod
    def make_pairs(self) -> Tensor:
        """The pairs, computed once for `pairs`."""

    @override
    def make_inputs(self) -> Tensor:
        """The whole input table ``[n, 3]`` or, without ``=``, ``[n, 2]``."""
        if not self.equals_token:
            return self.pairs
        return F.pad(self.pairs, (0, 1), value=self.n_symbols)

    @property
    def readout(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The position that is read, or None for a model without positions."""
        return -1 if self.equals_token else None

    @override
    def make_split(self) -> tuple[Tensor, Tensor]:
        n = len(self.labels)
        if self.split == "torch":
            return shuffled(n, self.train_fraction, self.seed)
        order = list(range(n))
        random.Random(self.seed).shuffle(order)
        cut = int(self.train_fraction * n)
        return torch.tensor(order[:cut]), torch.tensor(order[cut:], dtype=torch.long)

    @override
    def _shapes(self) -> dict[str, dict[str, Any]]:
        return {
            "transformer": {"d_vocab": self.n_symbols + 1, "d_vocab_out": self.width, "n_ctx": 3},
            "mlp": {"d_vocab": self.n_symbols, "d_out": self.width},
            "rnn": {"d_vocab": self.n_symbols, "d_out": self.width, "read": "last"},
        }

    @override
    def fit(self, model: HookedModel) -> Self:
        """The task in the form that ``model`` takes: with ``=`` for a transformer, without for an MLP.

        A recurrent network that is read at each step also reads ``=`` and answers there.

        Args:
            model: a transformer, an MLP or a recurrent network.

        Returns:
            The task.

        Raises:
            TaskMismatch: the model has too few tokens, positions or outputs.
        """
        config, problems = model.config, []
        if isinstance(config, TransformerConfig):
            task, needed = self._with_equals(True), self.n_symbols + 1
            if config.n_ctx != 3:
                problems.append(f"the model's context is {config.n_ctx} positions, the task has 3 (a, b, =)")
            vocabulary, outputs = config.d_vocab, config.d_vocab_out
        elif isinstance(config, MLPConfig):
            task, needed = self._with_equals(False), self.n_symbols
            if config.d_vocab is None:
                raise TaskMismatch(f"{self}: the model takes vectors of {config.d_in}, the task gives tokens")
            if config.n_operands != 2:
                problems.append(f"the model takes {config.n_operands} operands, the task has 2")
            vocabulary, outputs = config.d_vocab, config.d_out
        elif isinstance(config, RNNConfig):
            if config.d_vocab is None:
                raise TaskMismatch(f"{self}: the model takes vectors of {config.d_in}, the task gives tokens")
            equals = config.read == "each"
            task, needed = self._with_equals(equals), self.n_symbols + int(equals)
            if not equals and config.d_vocab > self.n_symbols:
                problems.append(
                    "the model has a token for = and is read at its last step; with read='each' (--layout recurrent:read=each) "
                    "it reads a, b, = and answers at ="
                )
            if config.n_ctx is not None and config.n_ctx < 2 + int(equals):
                problems.append(f"the model's context is {config.n_ctx} positions, the task has {2 + int(equals)}")
            vocabulary, outputs = config.d_vocab, config.d_out or config.width_state
        else:
            raise TaskMismatch(f"{self}: cannot be given to a model of kind {config.kind!r}")
        # one spare token is common ("=" in an unused row); anything else means another modulus
        if not needed <= vocabulary <= self.n_symbols + 1:
            problems.append(f"the model embeds {vocabulary} tokens, the task has {needed}")
        spare = 1 if self.criterion.logits else 0
        if not self.width <= outputs <= self.width + spare:
            wanted = f"{self.n_outputs} answers" if self.criterion.logits else f"vectors of {self.width}"
            problems.append(f"the model has {outputs} outputs, the task has {wanted}")
        self._mismatch(problems)
        return task

    def _with_equals(self, present: bool) -> Self:
        return replace(self, equals_token=present)  # pyright: ignore[reportArgumentType] every subclass is a dataclass

    @classmethod
    @override
    def option_names(cls) -> list[str]:
        return [name for name in cls.field_names() if name != "equals_token"]

    @override
    def spec_options(self) -> dict[str, Any]:
        options = super().spec_options()
        if self.loss == self.LOSSES[0]:
            del options["loss"]  # written only if it is not the default
        return options

    def _no_logits(self) -> str | None:
        """Why the outputs have no Fourier modes over the answers, if that is due to the loss."""
        return (
            None if self.criterion.logits else f"its outputs under the loss {self.loss!r} are not one score per answer"
        )


def check_split(task: BinaryOperation) -> None:
    """Refuse a split of an unknown kind, or without training examples.

    Args:
        task: to check.

    Raises:
        InterpError: such a split, or a seed or loss that is not allowed.
    """
    fraction, split = task.train_fraction, task.split
    check_common(task)
    if split not in ("python", "torch"):
        raise InterpError(f"{task.name}: split must be 'python' or 'torch', got {split!r}")
    if not isinstance(task.equals_token, bool):
        raise InterpError(f"{task.name}: equals_token must be true or false, got {task.equals_token!r}")
    if not isinstance(fraction, (int, float)) or isinstance(fraction, bool) or not 0 < fraction <= 1:
        raise InterpError(f"{task.name}: train_fraction must lie in (0, 1], got {fraction!r}")
    if int(fraction * len(task.labels)) == 0:
        raise InterpError(
            f"{task.name}: train_fraction {fraction} leaves no training example of {len(task.labels)} pairs"
        )
