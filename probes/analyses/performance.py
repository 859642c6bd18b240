"""How well a network does its task: losses in float64, accuracy counted in integers."""

from __future__ import annotations

import math

import pandas as pd

from interp.plugins.analysis import Result, analysis
from interp.subject import Subject


def measure(subject: Subject) -> dict[str, float | int | None]:
    """Counts and mean losses over the whole input table and over both parts of the split.

    Returns:
        ``correct``, ``total`` and, per part, ``train_correct``, ``train_total``, ``train_loss`` (the task's, mean over
        examples; None where the part is empty), the same for test, and ``loss`` over everything. Counts of right answers
        are None for a regression.
    """
    task, logits = subject.require_task(), subject.logits()
    losses = task.losses(logits)
    correct = None if task.loss == "regression" else task.correct(logits)
    parts = {"train": task.train_indices.to(losses.device), "test": task.test_indices.to(losses.device)}
    found: dict[str, float | int | None] = {
        "correct": None if correct is None else int(correct.sum()), "total": len(losses), "loss": float(losses.mean())
    }  # fmt: skip
    for name, index in parts.items():
        found[f"{name}_correct"] = None if correct is None else int(correct[index].sum())
        found[f"{name}_total"] = len(index)
        found[f"{name}_loss"] = float(losses[index].mean()) if len(index) else None
    return found


@analysis("performance", needs=("task",), summary="Loss and accuracy on all examples", order=10)
def performance(subject: Subject) -> Result:
    """Accuracy and losses, set beside what the file recorded."""
    metrics = measure(subject)
    correct, total = metrics["correct"], int(metrics["total"] or 1)
    loss = subject.require_task().loss.replace("_", "-")
    notes = [f"Losses are means of the task's loss ({loss}); the training split is rebuilt from the task."]
    for name in ("train_loss", "test_loss"):
        if subject.curves.get(name) and subject.curves[name][-1][0] == subject.step:
            metrics[f"recorded_{name}"] = subject.curves[name][-1][1]
    compared = [n for n in ("train_loss", "test_loss") if f"recorded_{n}" in metrics and metrics[n] is not None]
    agree = all(math.isclose(metrics[n] or 0, metrics[f"recorded_{n}"] or 0, rel_tol=5e-3) for n in compared)
    if compared and not agree:
        notes.append("The recorded losses differ: another split, another step, or a loss in lower precision.")
    table = pd.DataFrame(
        [
            {"part": part, "correct": metrics[f"{part}_correct"], "of": metrics[f"{part}_total"],
             "mean loss": metrics[f"{part}_loss"], "recorded loss": metrics.get(f"recorded_{part}_loss")}
            for part in ("train", "test")
        ]
    )  # fmt: skip
    if correct is None:
        headline = f"loss {metrics['loss']:.3g} over {total:,} examples"
    else:
        headline = f"{correct:,} of {total:,} right ({correct / total:.2%})"
    if compared:
        headline += "; losses equal those that the file records" if agree else "; losses differ from the recorded ones"
    return Result(dict(metrics), {"split": table}, notes=notes, headline=headline)
