"""The training curves that a file recorded."""

from __future__ import annotations

import numpy as np
import pandas as pd

from interp.errors import require_range
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.subject import Subject

MEMORISED = 0.999


def first_step_above(points: list[tuple[int, float]], threshold: float) -> int | None:
    """The first step from which a curve stays at or above a threshold; None where it ends below.

    >>> first_step_above([(0, 0.1), (10, 1.0), (20, 0.5), (30, 1.0), (40, 1.0)], 0.999)
    30
    """
    first = None
    for step, value in points:
        if not value >= threshold:  # NaN is not above anything
            first = None
        elif first is None:
            first = step
    return first


def thin(points: list[tuple[int, float]], n: int) -> tuple[np.ndarray, np.ndarray]:
    """At most about ``n`` points, evenly spread in the logarithm of the index; first and last are kept."""
    x, y = np.array([p[0] for p in points]), np.array([p[1] for p in points])
    if len(x) <= n:
        return x, y
    index = np.unique(np.geomspace(1, len(x), n).astype(int) - 1)
    return x[index], y[index]


@analysis("curves", needs=("curves",), summary="Training curves as the file recorded them", order=20)
def curves(subject: Subject, *, points: int = 1500) -> Result:
    """Recorded losses and accuracies against the steps.

    Args:
        points: at most this many per curve in the figure, evenly spread on the logarithmic axis.
    """
    require_range("points", points, 2)
    recorded = {name: values for name, values in subject.curves.items() if len(values) > 1}
    result = Result()
    losses = {n: thin(v, points) for n, v in recorded.items() if "loss" in n}
    accuracies = {n: thin(v, points) for n, v in recorded.items() if "acc" in n}
    if losses:
        shifted = {n: (x + 1, y) for n, (x, y) in losses.items()}  # a logarithmic axis has no step 0
        result.figures["losses"] = figures.lines(
            shifted,
            title="Losses during training",
            x_title="step + 1",
            y_title="loss",
            log_x=True,
            log_y=True,
        )
    if accuracies:
        shifted = {n: (x + 1, y) for n, (x, y) in accuracies.items()}
        result.figures["accuracies"] = figures.lines(
            shifted, title="Accuracies during training", x_title="step + 1", y_title="accuracy", log_x=True
        )
    result.lead = next(iter(result.figures), None)
    memorised = first_step_above(recorded.get("train_accuracy", []), MEMORISED)
    generalised = first_step_above(recorded.get("test_accuracy", []), MEMORISED)
    result.metrics = {
        "recorded_points": max(map(len, recorded.values())),
        "last_step": max(v[-1][0] for v in recorded.values()),
    }
    if accuracies:
        result.metrics.update(memorised_at_step=memorised, generalised_at_step=generalised)
        said = {k: "never" if s is None else f"by step {s:,}" for k, s in (("m", memorised), ("g", generalised))}
        result.headline = f"memorised {said['m']}, generalised {said['g']} (accuracy of {MEMORISED} for good)"
    else:
        ends = ", ".join(f"{name} {points[-1][1]:.3g}" for name, points in recorded.items())
        result.headline = f"recorded to step {result.metrics['last_step']:,}; at the end: {ends}"
    rows = [(n, x, y) for n, v in recorded.items() for x, y in zip(*thin(v, points), strict=True)]
    result.tables["curves"] = pd.DataFrame(rows, columns=["curve", "step", "value"])
    return result
