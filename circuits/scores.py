"""Scores: what a changed network still does on its task, as one row of a table."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from interp.hooked.base import HookedModel
from interp.subject import Subject
from probes.analyses.performance import measure


@dataclass(frozen=True)
class Scores:
    """Loss and accuracy over all examples and over both parts of the split.

    Attributes:
        loss, train_loss, test_loss: means over examples; None where the part is empty.
        accuracy, train_accuracy, test_accuracy: None for a regression too.
        correct: right answers over all examples.
    """

    loss: float
    train_loss: float | None
    test_loss: float | None
    accuracy: float | None
    train_accuracy: float | None
    test_accuracy: float | None
    correct: int | None


def scores(subject: Subject, logits: Tensor | None = None) -> Scores:
    """The scores of a subject, or of ``logits [n, width]`` that it would give under some change.

    Raises:
        MissingCapability: no task is known.
    """
    if logits is not None:
        subject = replace(subject)
        subject.keep_logits(logits)
    found = measure(subject)

    def share(part: str) -> float | None:
        right, total = found[f"{part}correct"], found[f"{part}total"]
        return right / total if right is not None and total else None

    return Scores(
        float(found["loss"] or 0.0), found["train_loss"], found["test_loss"], share(""), share("train_"), share("test_"),
        None if found["correct"] is None else int(found["correct"]),
    )  # fmt: skip


def derived(subject: Subject, model: HookedModel, what: str) -> Subject:
    """A subject of its own around a changed model: the same task and step, without the run's other checkpoints."""
    notes = (*subject.provenance.notes, f"{what} of {subject.name}")
    return replace(
        subject, name=f"{subject.name}, {what}", model=model, series=None, curves={}, members=1, origin={},
        provenance=replace(subject.provenance, notes=notes),
    )  # fmt: skip
