"""The analysis `curves`: the training curves that a file recorded."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.errors import require_range
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.scores import LEARNT
from interp.subject import Subject
from probes.change_points import first_step_above
from probes.claims.training import grokking_claims


@analysis(
    "curves", needs=("curves",), summary="Training curves as the file recorded them", order=20, question="history"
)
def curves(subject: Subject, *, points: int = 1500, threshold: float = LEARNT) -> Result:
    """Recorded losses and accuracies over the steps.

    Args:
        subject: a network with recorded curves.
        points: at most this many per curve in figure and table, evenly spaced on the logarithmic axis.
        threshold: train accuracy that counts as memorised, test accuracy that counts as generalised.

    Returns:
        The curves, and the steps from which train and test accuracy stay at or above the threshold.
    """
    require_range("points", points, 2)
    require_range("threshold", threshold, 0, 1)
    recorded = {name: values for name, values in subject.curves.items() if len(values) > 1}
    thinned = {name: thin(values, points) for name, values in recorded.items()}
    result = Result()
    losses, accuracies = ({n: v for n, v in thinned.items() if kind in n} for kind in ("loss", "acc"))
    if losses:
        result.figures["losses"] = _figure(losses, "Losses during training", _unit(subject), log_y=True)
    if accuracies:
        result.figures["accuracies"] = _figure(accuracies, "Accuracies during training", "accuracy", log_y=False)
    result.lead = next(iter(result.figures), None)
    result.metrics = {
        "recorded_points": max(map(len, recorded.values())),
        "last_step": max(v[-1][0] for v in recorded.values()),
    }
    if accuracies:
        memorised, generalised = (
            first_step_above(recorded.get(f"{p}_accuracy", []), threshold) for p in ("train", "test")
        )
        result.metrics.update(memorised_at_step=memorised, generalised_at_step=generalised)
        both = all(f"{part}_accuracy" in recorded for part in ("train", "test"))
        if both and (memorised is not None or generalised is not None):
            result.claims = grokking_claims(
                memorised, generalised, _step(subject, result.metrics["last_step"]), threshold, "accuracies"
            )
        when = [
            _when(step, f"{part}_accuracy" in recorded) for part, step in (("train", memorised), ("test", generalised))
        ]
        result.headline = (
            f"memorised {when[0]}, generalised {when[1]} (train and test accuracy stay at or above {threshold:g})"
        )
    else:
        ends = ", ".join(f"{name} {points[-1][1]:.3g}" for name, points in recorded.items())
        result.headline = f"recorded to step {result.metrics['last_step']:,}; at the end: {ends}"
    rows = [(n, x, y) for n, curve in thinned.items() for x, y in zip(*curve, strict=True)]
    result.tables["curves"] = pd.DataFrame(rows, columns=["curve", "step", "value"])
    return result


def _when(step: int | None, recorded: bool) -> str:
    if not recorded:
        return "at a step that no curve tells"
    return "never" if step is None else f"by step {step:,}"


def _step(subject: Subject, last: int) -> int:
    return last if subject.step is None else subject.step


def thin(points: list[tuple[int, float]], n: int) -> tuple[np.ndarray, np.ndarray]:
    """At most about ``n`` points of a curve, evenly spaced in the logarithm of the index.

    Args:
        points: (step, value) pairs.
        n: number of points to keep.

    Returns:
        Steps and values; first and last point are kept.
    """
    x, y = np.array([p[0] for p in points]), np.array([p[1] for p in points])
    if len(x) <= n:
        return x, y
    index = np.unique(np.geomspace(1, len(x), n).astype(int) - 1)
    return x[index], y[index]


def _unit(subject: Subject) -> str:
    """What the losses are in; of a run without a task nobody knows."""
    return "loss" if subject.task is None else figures.loss_unit(subject.task.loss)


def _figure(curves: dict[str, tuple[np.ndarray, np.ndarray]], title: str, unit: str, *, log_y: bool) -> go.Figure:
    shifted = {n.replace("_", " "): (x + 1, y) for n, (x, y) in curves.items()}  # a logarithmic axis has no step 0
    return figures.lines(shifted, title=title, x_title="training step + 1", y_title=unit, log_x=True, log_y=log_y)
