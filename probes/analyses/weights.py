"""The analysis `weights`: shape, norm and spread of every parameter."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.subject import Subject
from probes.claims.oddities import finite_claims


@analysis(
    "weights",
    needs=("weights",),
    summary="Every parameter: shape, norm, spread, entries that are not finite",
    order=90,
    question="odd",
)
def weights(subject: Subject) -> Result:
    """Norms and spread of every parameter, in float64.

    Args:
        subject: any network.

    Returns:
        A table with a row per parameter, and the norms as a figure.
    """
    rows = [_row(name, parameter.detach().double()) for name, parameter in subject.model.named_parameters()]
    table = pd.DataFrame(rows)
    total = sum(p.numel() for p in subject.model.parameters())
    norm = float(np.linalg.norm(table["norm"].to_numpy()))
    bad = sum(row["not finite"] for row in rows)
    figure = figures.bars(
        list(table["parameter"]),
        table["norm"],
        title="Norm of every parameter",
        x_title="",
        y_title="Frobenius norm",
    )
    headline = f"{total:,} parameters, norm {norm:.4g}" + (f"; {bad:,} entries are NaN or infinite" if bad else "")
    held = [row["parameter"] for row in rows if row["not finite"]]
    return Result(
        {"parameters": total, "weight_norm": norm, "not_finite": bad}, {"parameters": table}, {"norms": figure},
        headline=headline, claims=finite_claims(bad, total, held),
    )  # fmt: skip


def _row(name: str, values: Tensor) -> dict[str, Any]:
    finite = values[values.isfinite()]
    statistics = (
        torch.stack([values.norm(), finite.mean(), finite.std(correction=0), finite.abs().amax()])
        if len(finite)
        else torch.full((4,), torch.nan, dtype=torch.float64)
    )
    norm, mean, std, largest = statistics.tolist()
    return {
        "parameter": name, "shape": "x".join(map(str, values.shape)), "norm": norm, "mean": mean, "std": std,
        "max |w|": largest, "zeros": int((values == 0).sum()), "not finite": values.numel() - len(finite),
    }  # fmt: skip
