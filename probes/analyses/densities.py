"""The analysis `densities`: the distribution of the weights over the run."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from interp.errors import require_range
from interp.history.steps import kept_steps, walk
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.snapshot import is_matrix
from interp.subject import Subject
from probes.density import density

CURVES = 6  # steps drawn as curves
SHOWN = 12  # parameters drawn


@analysis(
    "densities",
    needs=("weights", "series"),
    order=34,
    question="history",
    summary="Densities of every weight matrix through the run",
)
def densities(subject: Subject, *, every: int = 1, bins: int = 80, steps: int = 40) -> Result:
    """Density of the entries of every weight matrix over the steps.

    Args:
        subject: a run with several checkpoints.
        every: use every n-th checkpoint only, counting from the last.
        bins: of the histogram, over the range that holds 99.8% of the entries of the first, middle and last step.
        steps: at most this many checkpoints.

    Returns:
        For every matrix a heatmap over the steps and curves at some of them; all densities as a table.
    """
    require_range("bins", bins, 2)
    require_range("steps", steps, 2)
    result, chosen = Result(), kept_steps(subject, every, steps)
    edges, found, seen = _edges(subject, chosen, bins), {}, []
    for snapshot in walk(subject, chosen, result.notes):
        seen.append(snapshot.step)
        for name, edge in edges.items():
            found.setdefault(name, []).append(density(snapshot.weights[name], edge).numpy())
    rows = []
    for name, columns in list(found.items())[:SHOWN]:
        middle = ((edges[name][1:] + edges[name][:-1]) / 2).numpy()
        image = np.stack(columns, 1)  # [bin, step]
        result.figures[name] = figures.heatmap(
            image, x=[f"{s:,}" for s in seen], y=middle, log=True, unit="density",
            title=f"Density of {name}", x_title="step", y_title="weight",
        )  # fmt: skip
        places = sorted({round(i) for i in np.linspace(0, len(seen) - 1, CURVES)})
        result.figures[f"{name} curves"] = figures.lines(
            {f"step {seen[i]:,}": (middle, columns[i]) for i in places},
            title=f"Density of {name}", x_title="weight", y_title="density", log_y=False,
        )  # fmt: skip
        for step, column in zip(seen, columns, strict=True):
            rows += [(step, name, w, d) for w, d in zip(middle, column, strict=True)]
    result.tables["densities"] = pd.DataFrame(rows, columns=pd.Index(["step", "parameter", "weight", "density"]))
    result.metrics = {"checkpoints": len(seen), "matrices": len(found)}
    result.headline = f"densities of {len(found)} weight matrices at {len(seen)} steps"
    if len(found) > SHOWN:
        result.notes.append(f"Figures and table show the first {SHOWN} of {len(found)} matrices.")
    return result


def _edges(subject: Subject, steps: list[int], bins: int) -> dict[str, Tensor]:
    """Bins per matrix, the same at all steps: from the 0.1% to the 99.9% quantile of the first, middle and last."""
    ends: dict[str, list[tuple[float, float]]] = {}
    for snapshot in walk(subject, sorted({steps[0], steps[len(steps) // 2], steps[-1]}), []):
        for name, weight in snapshot.weights.items():
            values = weight.double().flatten().cpu()
            values = values[values.isfinite()].numpy()
            if is_matrix(name, weight) and len(values):
                ends.setdefault(name, []).append((float(np.quantile(values, 0.001)), float(np.quantile(values, 0.999))))
    edges = {}
    for name, pairs in ends.items():
        low, high = min(a for a, _ in pairs), max(b for _, b in pairs)
        margin = 0.05 * (high - low) or 1.0
        edges[name] = torch.linspace(low - margin, high + margin, bins + 1, dtype=torch.float64)
    return edges
