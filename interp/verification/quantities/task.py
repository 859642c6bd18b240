"""Quantities of a network on its task: losses, correct answers, the split."""

from __future__ import annotations

from typing import Literal

import torch

from interp.errors import MissingCapability
from interp.scores import Part, Scores, score
from interp.tasks import GroupComposition
from interp.verification.material import Material
from interp.verification.quantity import quantity

Split = Literal["all", "train", "test"]


def _part(material: Material, split: Split) -> Part:
    subject = material.subject

    def scores() -> Scores:
        return score(subject.require_task(), subject.logits())

    return getattr(material.share("scores", scores), split)


@quantity("task.loss", summary="mean loss of the task, in float64", order=10)
def loss(material: Material, *, split: Split = "all") -> float:
    """Mean loss over the examples of a part of the split."""
    found = _part(material, split).loss
    if found is None:
        raise MissingCapability(f"the task has no {split} examples")
    return found


@quantity("task.accuracy", summary="share of correct answers, 0 to 1", order=11)
def accuracy(material: Material, *, split: Split = "all") -> float:
    """Share of correct answers among the examples of a part of the split."""
    found = _part(material, split).accuracy
    if found is None:
        raise MissingCapability(f"the task has no {split} examples, or no right and wrong answers")
    return found


@quantity("task.correct", summary="number of correct answers", order=12)
def correct(material: Material, *, split: Split = "all") -> int:
    """Number of correct answers among the examples of a part of the split."""
    found = _part(material, split).correct
    if found is None:
        raise MissingCapability("the task has no right and wrong answers")
    return found


@quantity("task.examples", summary="number of examples", order=13)
def examples(material: Material, *, split: Split = "all") -> int:
    """Number of examples in a part of the split; nothing is run."""
    task = material.subject.require_task()
    chosen = {"all": task.labels, "train": task.train_indices, "test": task.test_indices}
    return len(chosen[split])


@quantity("task.example", summary="one example: its inputs, then its answer", order=14)
def example(material: Material, *, index: int = 0) -> list[float | int]:
    """The inputs of one example in the task's order, and its label behind them."""
    task = material.subject.require_task()
    if not -len(task.labels) <= index < len(task.labels):
        raise MissingCapability(f"the task has {len(task.labels):,} examples, there is none at {index}")
    return [*task.inputs[index].flatten().tolist(), *task.labels[index].flatten().tolist()]


@quantity("task.accuracy_in_another_order", summary="accuracy if the elements had another order, 0 to 1", order=16)
def in_another_order(material: Material, *, seed: int = 0) -> float:
    """Share of pairs that are right by the same table with its elements drawn in another order.

    A network on a finite group learns the elements in one order, which nothing canonical gives: with another order pi the
    answer to (a, b) would be ``pi^-1(pi(a) * pi(b))``.

    Args:
        material: a network on a finite group.
        seed: of the order that is drawn.

    Returns:
        a share; one over the number of elements is chance.

    Raises:
        MissingCapability: another task.
    """
    task, logits = material.subject.require_task(), material.subject.logits()
    if not isinstance(task, GroupComposition):
        raise MissingCapability(f"only the elements of a group can stand in another order, and the task is {task.name}")
    order = torch.randperm(task.n_symbols, generator=torch.Generator().manual_seed(seed))
    a, b = task.make_pairs().T
    answers = order.argsort()[torch.tensor(task.table)[order[a], order[b]]]
    return float(task.correct(logits, answers).double().mean())


@quantity("task.spec", summary="the task itself, as a spec", order=15)
def spec(material: Material) -> str:
    """What the network was trained on, as the file says it."""
    return str(material.subject.require_task())
