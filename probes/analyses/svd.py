"""The analysis `svd`: singular values and effective ranks of the weight matrices."""

from __future__ import annotations

import pandas as pd
import torch

from interp.errors import InterpError, require_range
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.snapshot import matrices
from interp.subject import Subject
from probes.claims.oddities import rank_claims
from probes.spectra import effective_rank, participation_ratio


@analysis(
    "svd",
    needs=("weights",),
    summary="Singular values and effective rank of every weight matrix",
    order=70,
    question="odd",
)
def svd(subject: Subject, *, top: int = 64) -> Result:
    """Singular values of every weight matrix; stacked weights (heads, operands) matrix by matrix.

    Args:
        subject: any network.
        top: singular values drawn per matrix.

    Returns:
        A table of spectral norms, effective ranks and participation ratios, and the singular values as a figure.

    Raises:
        InterpError: every matrix holds NaN or infinity.
    """
    require_range("top", top, 1)
    rows, curves, skipped = [], {}, []
    for label, matrix in matrices(dict(subject.model.named_parameters())):
        matrix = matrix.detach()
        if not bool(matrix.isfinite().all()):
            skipped.append(label)
            continue
        s = torch.linalg.svdvals(matrix.double())
        rows.append(
            {"matrix": label, "shape": "x".join(map(str, matrix.shape)), "spectral norm": float(s[0]),
             "effective rank": effective_rank(s), "participation ratio": participation_ratio(s),
             "full rank": min(matrix.shape)}
        )  # fmt: skip
        curves[label] = (list(range(1, min(top, len(s)) + 1)), s[:top].cpu().numpy())
    if not rows:
        raise InterpError(f"no weight matrix is finite: {', '.join(skipped)}")
    lowest = min(rows, key=lambda row: row["effective rank"] / row["full rank"])
    rank = lowest["effective rank"]
    result = Result(
        {"matrices": len(rows), "lowest_effective_rank": rank, "lowest_matrix": lowest["matrix"]},
        {"matrices": pd.DataFrame(rows)},
        {"singular values": figures.lines(
            curves, title="Singular values", x_title="index", y_title="singular value", log_y=True
        )},
        headline=f"{lowest['matrix']} has the lowest effective rank for its size: {rank:.1f} of {lowest['full rank']}",
    )  # fmt: skip
    ranks = [(row["matrix"], row["effective rank"], row["full rank"]) for row in rows]
    result.claims = rank_claims(ranks, "singular values")
    if skipped:
        result.notes.append(f"Left out because they hold NaN or infinity: {', '.join(skipped)}.")
    return result
