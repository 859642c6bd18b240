"""The parameters themselves: shapes, norms, spread."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.subject import Subject


@analysis(
    "weights",
    needs=("weights",),
    summary="Every parameter: shape, norm, spread, entries that are not finite",
    order=90,
)
def weights(subject: Subject) -> Result:
    """Norms and spread of every parameter tensor, in float64."""
    rows = []
    for name, parameter in subject.model.named_parameters():
        values = parameter.detach().double()
        finite = values[values.isfinite()]
        statistics = (
            torch.stack([values.norm(), finite.mean(), finite.std(correction=0), finite.abs().amax()])
            if len(finite)
            else torch.full((4,), torch.nan, dtype=torch.float64)
        )
        norm, mean, std, largest = statistics.tolist()
        rows.append(
            {"parameter": name, "shape": "x".join(map(str, values.shape)), "norm": norm, "mean": mean, "std": std,
             "max |w|": largest, "zeros": int((values == 0).sum()), "not finite": values.numel() - len(finite)}
        )  # fmt: skip
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
    return Result(
        {"parameters": total, "weight_norm": norm, "not_finite": bad}, {"parameters": table}, {"norms": figure},
        headline=headline,
    )  # fmt: skip
