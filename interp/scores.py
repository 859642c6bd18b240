"""Scores: the loss and accuracy of logits on a task, over its train, test and all examples. The one evaluation of the suite."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from interp.errors import InterpError, kind_of
from interp.tasks import Task

LEARNT = 0.9  # accuracy from which train examples count as memorised and test examples as generalised (Liu et al. 2022)


@dataclass(frozen=True)
class Part:
    """The score on one part of a task's examples.

    Attributes:
        loss: mean of the task's loss over the examples, in float64; None where there are none.
        correct: number of correct answers; None where the task has no right and wrong answers.
        total: number of examples.
    """

    loss: float | None
    correct: int | None
    total: int

    @property
    def accuracy(self) -> float | None:
        """Share of correct answers; None without examples, or without right and wrong answers."""
        return None if self.correct is None or not self.total else self.correct / self.total


@dataclass(frozen=True)
class Scores:
    """Loss and accuracy over the train examples, the test examples and all of them.

    Losses are means in the task's own unit (cross-entropy: nats per example). ``scores.loss``, ``scores.accuracy`` and
    ``scores.correct`` are those of ``all``.
    """

    train: Part
    test: Part
    all: Part

    @property
    def loss(self) -> float:
        """Mean loss over all examples."""
        assert self.all.loss is not None  # a task has examples
        return self.all.loss

    @property
    def accuracy(self) -> float | None:
        """Share of correct answers over all examples; None where there is no right and wrong."""
        return self.all.accuracy

    @property
    def correct(self) -> int | None:
        """Number of correct answers over all examples; None where there is no right and wrong."""
        return self.all.correct

    @property
    def train_loss(self) -> float | None:
        """Deprecated: ``train.loss``."""
        return self._former("train_loss", "train.loss", self.train.loss)

    @property
    def test_loss(self) -> float | None:
        """Deprecated: ``test.loss``."""
        return self._former("test_loss", "test.loss", self.test.loss)

    @property
    def train_accuracy(self) -> float | None:
        """Deprecated: ``train.accuracy``."""
        return self._former("train_accuracy", "train.accuracy", self.train.accuracy)

    @property
    def test_accuracy(self) -> float | None:
        """Deprecated: ``test.accuracy``."""
        return self._former("test_accuracy", "test.accuracy", self.test.accuracy)

    @staticmethod
    def _former(old: str, new: str, value: float | None) -> float | None:
        warnings.warn(f"Scores.{old} is now Scores.{new}", DeprecationWarning, stacklevel=3)
        return value

    def to_dict(self) -> dict[str, Any]:
        """Flat numbers: ``correct, total, loss``, then ``train_correct, train_total, train_loss`` and the same for test."""
        found: dict[str, Any] = {}
        for prefix, part in (("", self.all), ("train_", self.train), ("test_", self.test)):
            found |= {f"{prefix}correct": part.correct, f"{prefix}total": part.total, f"{prefix}loss": part.loss}
        return found


def score(task: Task, logits: Tensor) -> Scores:
    """Loss and accuracy of a network's logits on a task.

    Args:
        task: gives labels, split and loss. Whether answers can be right or wrong is its criterion's word.
        logits: what the task reads of the outputs for all its examples ``[n, width]``, as `Subject.logits` returns them.

    Returns:
        `Scores` over the train, the test and all examples; losses in float64, correct answers counted as integers.

    Raises:
        InterpError: arguments of another kind, or another number of logits than the task has examples.

    >>> import torch, interp
    >>> task = interp.ModularArithmetic(5, train_fraction=0.4)
    >>> score(task, torch.nn.functional.one_hot(task.labels, 5) * 20.0).all.accuracy
    1.0
    """
    if not isinstance(task, Task) or not isinstance(logits, Tensor):
        raise InterpError(
            f"score takes a task and logits [n, width], score(subject.require_task(), subject.logits()), got {kind_of(task)} "
            f"and {kind_of(logits)}"
        )
    if len(logits) != len(task.labels):
        raise InterpError(f"{len(logits)} rows of logits were given for the {len(task.labels)} examples of {task.name}")
    correct = task.correct(logits) if task.criterion.answers else None
    return of_examples(task.losses(logits), correct, task.train_indices, task.test_indices)


def of_constant(task: Task) -> Scores:
    """The score of a network that gives one answer whatever its input: what any network must beat.

    Args:
        task: with answers, or a regression.

    Returns:
        correct answers of the commonest answer of the train examples; for a regression, the losses of the mean target of the
        train examples. Losses of a task with answers are None.
    """
    train, labels = task.train_indices, task.labels
    own = labels[train.to(labels.device)] if len(train) else labels
    if not task.criterion.answers:
        outputs = own.double().mean(0).expand(len(labels), *labels.shape[1:])
        return of_examples(task.losses(outputs), None, train, task.test_indices)
    values, counts = own.unique(dim=0, return_counts=True)
    hits = (labels == values[counts.argmax()]).reshape(len(labels), -1).all(1)
    counted = of_examples(hits.double(), hits, train, task.test_indices)
    return Scores(*(Part(None, part.correct, part.total) for part in (counted.train, counted.test, counted.all)))


def of_examples(losses: Tensor, correct: Tensor | None, train: Tensor, test: Tensor) -> Scores:
    """Scores from the loss and the correctness of every example.

    Args:
        losses: ``[n]``.
        correct: boolean ``[n]``; None where answers are neither right nor wrong.
        train: indices of the train examples.
        test: indices of the test examples.

    Returns:
        `Scores`: mean losses, and correct answers counted as integers.
    """

    def part(index: Tensor | None) -> Part:
        own = losses if index is None else losses[index.to(losses.device)]
        hits = correct if correct is None or index is None else correct[index.to(correct.device)]
        return Part(float(own.mean()) if len(own) else None, None if hits is None else int(hits.sum()), len(own))

    return Scores(part(train), part(test), part(None))
