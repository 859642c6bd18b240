"""Tasks on pairs of symbols with one correct answer."""

from __future__ import annotations

import random
from abc import abstractmethod
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from typing_extensions import override

from interp.errors import InterpError, TaskMismatch
from interp.hooked import HookedModel
from interp.hooked.mlp.config import MLPConfig
from interp.hooked.transformer.config import TransformerConfig
from interp.tasks.base import Task
from interp.tasks.checks import check_common
from interp.tasks.sequences import USUAL, check_sequence, encode, sequence_for, tokens_of
from interp.tasks.splits import shuffled


class BinaryOperation(Task):
    """A task on pairs of symbols (a, b) with one correct answer, read from one row of logits.

    The inputs are all pairs for which the operation is defined, in row-major order: a finite table. A transformer sees
    ``(a, b, =)``, where ``=`` is the token after the last symbol, or another ``sequence``, and is read at the last position;
    an MLP sees ``(a, b)``. The answer is read from the first ``n_outputs`` logits.

    Attributes:
        train_fraction: share of the pairs that are trained on; the first ``int(train_fraction * n)`` after shuffling.
        seed: of the shuffle.
        split: ``"python"`` (``random.seed(seed); random.shuffle``) or ``"torch"`` (``torch.manual_seed(seed);
            torch.randperm``), over the row-major pairs.
        equals_token: whether the inputs are a transformer's. `fit` sets it to what the model takes.
        sequence: what a transformer sees: ``a``, ``b``, ``=``, ``+`` or numbers of tokens, between blanks. `fit` takes
            ``a + b =`` for the usual ``a b =`` where a model embeds two tokens more than there are symbols.
    """

    LOSSES: ClassVar[tuple[str, ...]] = ("cross_entropy", "mse", "vectors")
    complete: ClassVar[bool] = True

    HELP: ClassVar[dict[str, str]] = {
        **Task.HELP,
        "train_fraction": "share of the pairs that are trained on",
        "seed": "seed of the split into train and test",
        "split": "how the pairs are shuffled: python (random.shuffle) or torch (torch.randperm)",
        "equals_token": "whether the inputs end in the token =; set by the model",
        "sequence": "tokens that a transformer sees, between blanks: a, b, =, + or numbers of tokens",
    }

    train_fraction: float
    split: str
    equals_token: bool
    sequence: str

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
        """The whole input table: of a transformer ``[n, length]``, of an MLP ``[n, 2]``."""
        return encode(self.pairs, self.sequence, self.n_symbols) if self.equals_token else self.pairs

    @property
    @override
    def notes(self) -> tuple[str, ...]:
        """What another sequence than the usual one consists of."""
        if self.sequence == USUAL or not self.equals_token:
            return ()
        tokens = tokens_of(self.sequence, self.n_symbols)
        named = ", ".join(f"{word} is token {token}" for word, token in tokens.items() if not word.isdigit())
        return (
            f"the network reads {self.sequence!r}{' where ' if named else ''}{named} (sequence= in the task changes it)",
        )

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
        needed, length = self._sequence_size()
        return {
            "transformer": {"d_vocab": needed, "d_vocab_out": self.width, "n_ctx": length},
            "mlp": {"d_vocab": self.n_symbols, "d_out": self.width},
        }

    @override
    def fit(self, model: HookedModel) -> Self:
        """The task in the form that ``model`` takes: with ``=`` for a transformer, without for an MLP.

        Args:
            model: a transformer or an MLP.

        Returns:
            The task.

        Raises:
            TaskMismatch: the model has too few tokens, positions or outputs.
        """
        config, problems = model.config, []
        if isinstance(config, TransformerConfig):
            vocabulary, outputs = config.d_vocab, config.d_vocab_out
            task = self._in_sequence(sequence_for(self.sequence, self.n_symbols, vocabulary, config.n_ctx))
            needed, length = task._sequence_size()
            if config.n_ctx < length:
                problems.append(
                    f"the model's context is {config.n_ctx} positions, the task has {length} ({task.sequence})"
                )
        elif isinstance(config, MLPConfig):
            task, needed = self._with_equals(False), self.n_symbols
            if config.d_vocab is None:
                raise TaskMismatch(f"{self}: the model takes vectors of {config.d_in}, the task gives tokens")
            if config.n_operands != 2:
                problems.append(f"the model takes {config.n_operands} operands, the task has 2")
            vocabulary, outputs = config.d_vocab, config.d_out
        else:
            raise TaskMismatch(f"{self}: cannot be given to a model of kind {config.kind!r}")
        # one spare token is common ("=" in an unused row); anything else means another modulus
        if not needed <= vocabulary <= max(needed, self.n_symbols + 1):
            problems.append(f"the model embeds {vocabulary} tokens, the task has {needed}")
        spare = max(1, needed - self.n_symbols) if self.criterion.logits else 0  # people keep one output a token
        if not self.width <= outputs <= self.width + spare:
            wanted = f"{self.n_outputs} answers" if self.criterion.logits else f"vectors of {self.width}"
            problems.append(f"the model has {outputs} outputs, the task has {wanted}")
        self._mismatch(problems)
        return task

    def _in_sequence(self, sequence: str) -> Self:
        return replace(self, equals_token=True, sequence=sequence)  # pyright: ignore[reportArgumentType] as below

    def _sequence_size(self) -> tuple[int, int]:
        """Tokens that a transformer must embed, and positions."""
        tokens = tokens_of(self.sequence, self.n_symbols).values()
        return max(self.n_symbols, *(t + 1 for t in tokens)) if tokens else self.n_symbols, len(self.sequence.split())

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
        if self.sequence == USUAL:
            del options["sequence"]
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
    check_sequence(task.name, task.sequence)
    if not isinstance(fraction, (int, float)) or isinstance(fraction, bool) or not 0 < fraction <= 1:
        raise InterpError(f"{task.name}: train_fraction must lie in (0, 1], got {fraction!r}")
    if int(fraction * len(task.labels)) == 0:
        raise InterpError(
            f"{task.name}: train_fraction {fraction} leaves no training example of {len(task.labels)} pairs"
        )
