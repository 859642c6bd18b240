"""Subjects derived from another: the same task with a changed network, and its scores as columns of a table."""

from __future__ import annotations

from dataclasses import replace

from interp.hooked.base import HookedModel
from interp.scores import Scores, score
from interp.subject import Subject


def derived(subject: Subject, model: HookedModel, what: str) -> Subject:
    """A subject of its own around a changed model: the same task and step, without the run's other checkpoints.

    Args:
        subject: that the model was derived from.
        model: the changed network.
        what: was done, for its name and notes, such as ``"pruned"``.

    Returns:
        a Subject that every analysis takes.
    """
    notes = (*subject.provenance.notes, f"{what} of {subject.name}")
    return replace(
        subject, name=f"{subject.name}, {what}", model=model, series=None, curves={}, members=1, origin={},
        provenance=replace(subject.provenance, notes=notes),
    )  # fmt: skip


def scores_of(subject: Subject) -> Scores:
    """Loss and accuracy of a subject on its task.

    Args:
        subject: with a task.

    Returns:
        scores over all, train and test examples.

    Raises:
        MissingCapability: no task is known.
    """
    return score(subject.require_task(), subject.logits())


def score_columns(scores: Scores) -> dict[str, float | int | None]:
    """Scores as one row of a table: ``loss, train_loss, test_loss, accuracy, train_accuracy, test_accuracy, correct``."""
    parts = {"": scores.all, "train_": scores.train, "test_": scores.test}
    return {
        **{f"{prefix}loss": part.loss for prefix, part in parts.items()},
        **{f"{prefix}accuracy": part.accuracy for prefix, part in parts.items()},
        "correct": scores.correct,
    }
