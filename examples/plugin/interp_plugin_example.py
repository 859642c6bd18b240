"""An analysis and a measure for ``interp`` in one file: how many hidden units never fire, and how large the biases are."""

from __future__ import annotations

import pandas as pd

from interp import Subject, capture
from interp.plugins.analysis import Result, analysis
from interp.plugins.measure import measure
from interp.snapshot import Snapshot


@analysis("dead_units", needs=("activations", "input_table"), summary="Hidden units that never fire, layer by layer")
def dead_units(subject: Subject, *, tolerance: float = 0.0) -> Result:
    """Count the units whose activation stays within ``tolerance`` of zero on every input there is.

    Args:
        tolerance: how far from zero an activation may lie and still count as silent.
    """
    layers = capture(subject.model, subject.require_task().inputs, "*hook_post")
    silent = {name: (units.flatten(0, -2).abs() <= tolerance).all(0) for name, units in layers.items()}
    table = pd.DataFrame([{"layer": n, "units": len(s), "dead": int(s.sum())} for n, s in silent.items()])
    dead, total = int(table["dead"].sum()), int(table["units"].sum())
    return Result({"dead": dead, "units": total}, {"by layer": table}, headline=f"{dead} of {total} units never fire")


@measure("bias_norm", summary="Euclidean norm of all biases")
def bias_norm(snapshot: Snapshot) -> float:
    """``|b|_2`` over every parameter of one axis."""
    squares = [float(w.double().square().sum()) for w in snapshot.weights.values() if w.ndim == 1]
    return sum(squares) ** 0.5
