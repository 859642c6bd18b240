"""What a network was asked to do: inputs, labels, splits, loss and accuracy."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from interp.errors import InterpError, TaskMismatch
from interp.hooked.base import HookedModel
from interp.hooked.mlp import MLPConfig
from interp.hooked.transformer import TransformerConfig
from interp.specs import format_spec


@dataclass(frozen=True)
class CyclicStructure:
    """How a task is addition modulo ``order`` in disguise.

    Operand a has exponent ``left[a]``, operand b ``right[b]``, answer c ``out[c]`` (-1: outside the structure), and
    the answer's exponent is the sum of the operands' modulo ``order``. For addition modulo p all three are the
    identity; for multiplication they are discrete logarithms.
    """

    order: int
    left: Tensor
    right: Tensor
    out: Tensor


class BinaryOperation(ABC):
    """A task on pairs of symbols (a, b) with one right answer, read from one row of logits.

    The inputs are all pairs that the operation admits, in row-major order: a finite table. A transformer sees
    ``(a, b, =)`` with ``=`` as the token after the last symbol and is read at the last position; an MLP sees
    ``(a, b)``. The answer is read from the first ``n_outputs`` logits.

    Attributes:
        train_fraction: share of the pairs that are trained on; the first ``int(train_fraction * n)`` after shuffling.
        seed: of the shuffle.
        split: ``"python"`` (``random.seed(seed); random.shuffle``) or ``"torch"`` (``torch.manual_seed(seed);
            torch.randperm``), over the row-major pairs.
        equals_token: whether the inputs end in ``=``. `fit` sets it to what the model takes.
    """

    name: ClassVar[str]
    train_fraction: float
    seed: int
    split: str
    equals_token: bool

    @property
    @abstractmethod
    def n_symbols(self) -> int:
        """Number of operand symbols; ``=`` has this number as its token."""

    @property
    def n_outputs(self) -> int:
        """Number of possible answers."""
        return self.n_symbols

    @cached_property
    def pairs(self) -> Tensor:
        """All admitted pairs ``[n, 2]``, row-major."""
        return self._make_pairs()

    @cached_property
    def labels(self) -> Tensor:
        """The right answer of every pair ``[n]``."""
        return self._make_labels()

    @abstractmethod
    def _make_pairs(self) -> Tensor: ...

    @abstractmethod
    def _make_labels(self) -> Tensor: ...

    @abstractmethod
    def cyclic(self) -> CyclicStructure | str:
        """The task as addition modulo n, or the reason why it is none."""

    @cached_property
    def inputs(self) -> Tensor:
        """The whole input table ``[n, 3]`` or, without ``=``, ``[n, 2]``."""
        if not self.equals_token:
            return self.pairs
        return F.pad(self.pairs, (0, 1), value=self.n_symbols)

    @property
    def readout(self) -> int | None:
        """The position that is read, or None where the model has no positions."""
        return -1 if self.equals_token else None

    @cached_property
    def train_indices(self) -> Tensor:
        return self._split[0]

    @cached_property
    def test_indices(self) -> Tensor:
        return self._split[1]

    @cached_property
    def _split(self) -> tuple[Tensor, Tensor]:
        n = len(self.labels)
        if self.split == "python":
            shuffled = list(range(n))
            random.Random(self.seed).shuffle(shuffled)
            order = torch.tensor(shuffled)
        else:
            order = torch.randperm(n, generator=torch.Generator().manual_seed(self.seed))
        cut = int(self.train_fraction * n)
        return order[:cut], order[cut:]

    def read(self, output: Tensor) -> Tensor:
        """The answer's logits ``[batch, n_outputs]`` from a model's output ``[batch, (pos,) d_out]``."""
        if self.readout is not None:
            output = output[:, self.readout]
        return output[..., : self.n_outputs]

    def losses(self, logits: Tensor, labels: Tensor | None = None) -> Tensor:
        """Cross-entropy of every example, in float64.

        float32 cross-entropy is exactly 0 from a log-odds of about 16 on, so logits are widened first.

        Args:
            logits: ``[..., n, n_outputs]``; leading axes are other runs on the same inputs.
            labels: ``[n]``; the whole table's by default.
        """
        labels = (self.labels if labels is None else labels).to(logits.device)
        logits = logits.double()
        at = labels.expand(logits.shape[:-1]).unsqueeze(-1)
        return logits.logsumexp(-1) - logits.gather(-1, at).squeeze(-1)

    def correct(self, logits: Tensor, labels: Tensor | None = None) -> Tensor:
        """Whether the largest logit is the right answer's, per example (boolean, same leading axes as the losses)."""
        labels = (self.labels if labels is None else labels).to(logits.device)
        own = logits.gather(-1, labels.expand(logits.shape[:-1]).unsqueeze(-1)).squeeze(-1)
        return (logits.argmax(-1) == labels) & ~own.isnan()  # argmax takes NaN for the largest

    def fit(self, model: HookedModel) -> Self:
        """The task in the form that ``model`` takes: with ``=`` for a transformer, without for an MLP.

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
        else:
            raise TaskMismatch(f"{self}: cannot be given to a model of kind {config.kind!r}")
        # one spare token is common ("=" in an unused row); anything else means another modulus
        if not needed <= vocabulary <= self.n_symbols + 1:
            problems.append(f"the model embeds {vocabulary} tokens, the task has {needed}")
        if not self.n_outputs <= outputs <= self.n_outputs + 1:
            problems.append(f"the model has {outputs} outputs, the task has {self.n_outputs} answers")
        if problems:
            raise TaskMismatch(
                f"task {self} does not fit the model: " + "; ".join(problems) + "; give the task that it was trained on"
            )
        return task

    def _with_equals(self, present: bool) -> Self:
        return replace(self, equals_token=present)  # pyright: ignore[reportArgumentType] every subclass is a dataclass

    def spec(self) -> str:
        """The text that builds this task again: ``interp analyze --task SPEC``."""
        return format_spec(self.name, self.spec_options())

    def spec_options(self) -> dict[str, Any]:
        """What `spec` says: the fields that a user would type."""
        return {name: getattr(self, name) for name in self.field_names() if name != "equals_token"}

    @classmethod
    def field_names(cls) -> list[str]:
        return [f.name for f in fields(cls)]  # pyright: ignore[reportArgumentType]  every subclass is a dataclass

    def __str__(self) -> str:
        return self.spec()


def check_split(task: BinaryOperation) -> None:
    """Refuse a split that leaves nothing to train on, or is of an unknown kind."""
    fraction, split = task.train_fraction, task.split
    if not isinstance(task.seed, int) or isinstance(task.seed, bool) or not 0 <= task.seed < 2**63:
        raise InterpError(f"{task.name}: seed must be a whole number of at least 0, got {task.seed!r}")
    if split not in ("python", "torch"):
        raise InterpError(f"{task.name}: split must be 'python' or 'torch', got {split!r}")
    if not isinstance(fraction, (int, float)) or not 0 < fraction <= 1:
        raise InterpError(f"{task.name}: train_fraction must lie in (0, 1], got {fraction!r}")
    if int(fraction * len(task.labels)) == 0:
        raise InterpError(
            f"{task.name}: train_fraction {fraction} leaves no training example of {len(task.labels)} pairs"
        )
