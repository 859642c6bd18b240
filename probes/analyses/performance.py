"""The analysis `performance`: loss and accuracy, beside the losses that the file recorded."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from interp.plugins.analysis import Result, analysis
from interp.plugins.result import format_metric
from interp.scores import Scores, of_constant, score
from interp.subject import Subject
from probes.claims.performance import performance_claims

CAUSES = (
    "another split, another step, a loss in lower precision, or other inputs than the network was trained on (how they were "
    "scaled or encoded: mean=, std=, encoding=, form= of the task)"
)
PARTS = ("train", "test")


@analysis("performance", needs=("task",), summary="Loss and accuracy on all examples", order=10, question="does")
def performance(subject: Subject) -> Result:
    """Correct answers and losses in float64 over train, test and all examples, compared with the recorded losses.

    Args:
        subject: a network with a task.

    Returns:
        Metrics by part of the split; the recorded losses if they belong to this step.
    """
    found = score(subject.require_task(), subject.logits())
    metrics = found.to_dict()
    loss = subject.require_task().loss.replace("_", "-")
    notes = [f"Losses are means of the task's loss ({loss}); the train set is derived from the task's settings."]
    metrics |= {f"recorded_{name}": value for name, value in _recorded(subject).items()}
    compared = [n for n in _recorded(subject) if metrics[n] is not None]
    agree = all(math.isclose(metrics[n], metrics[f"recorded_{n}"] or 0, rel_tol=5e-3) for n in compared)
    if compared and not agree:
        notes.append(f"The recorded losses differ: {CAUSES}.")
    if doubtful := _other_accuracies(subject, found):
        notes.append(f"The recorded accuracy differs ({'; '.join(doubtful)}): {CAUSES}.")
    table = pd.DataFrame(
        [
            {"part": part, "correct": metrics[f"{part}_correct"], "of": metrics[f"{part}_total"],
             "mean loss": metrics[f"{part}_loss"], "recorded loss": metrics.get(f"recorded_{part}_loss")}
            for part in PARTS
        ]
    )  # fmt: skip
    if found.correct is None:
        headline = f"loss {found.loss:.3g} over {found.all.total:,} examples"
    else:
        headline = f"{found.correct:,} of {found.all.total:,} answers correct ({found.correct / found.all.total:.2%})"
    if compared:
        headline += "; losses match the recorded ones" if agree else "; losses differ from the recorded ones"
    result = Result(metrics, {"split": table}, notes=notes, headline=headline)
    result.verdict = _verdict(metrics)
    result.claims = performance_claims(subject.require_task(), found, of_constant(subject.require_task()))
    return result


def _other_accuracies(subject: Subject, found: Scores) -> list[str]:
    """The accuracies that were recorded at the subject's own step and are not those measured, in words."""
    doubtful = []
    for part in ("train", "test"):
        points, measured = subject.curves.get(f"{part}_accuracy"), getattr(found, part).accuracy
        if not points or points[-1][0] != subject.step or measured is None:
            continue
        recorded = points[-1][1] / (100 if points[-1][1] > 1 else 1)  # some write percent
        if abs(recorded - measured) > 5e-3:
            doubtful.append(f"{part} {recorded:.2%}, measured {measured:.2%}")
    return doubtful


def _recorded(subject: Subject) -> dict[str, float]:
    """The losses that were recorded at the subject's own step."""
    curves = {f"{part}_loss": subject.curves.get(f"{part}_loss") for part in PARTS}
    return {name: points[-1][1] for name, points in curves.items() if points and points[-1][0] == subject.step}


def _verdict(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    lines = []
    if metrics["correct"] is not None:
        lines.append(("correct answers", f"{metrics['correct']:,} of {metrics['total']:,}"))
    for part in PARTS:
        if metrics[f"{part}_loss"] is not None:
            lines.append((f"{part} loss", format_metric(metrics[f"{part}_loss"])))
    return lines
