"""SVD and PCA: singular directions of weights, principal components of activations. Each yields a Basis."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go
import torch
from jaxtyping import Float
from torch import Tensor

from interp.activations.capture import capture
from interp.errors import InterpError, require_range
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.sites import Site, hidden_sites, resolve_sites
from interp.snapshot import matrices
from interp.subject import Subject
from interp.tasks import BinaryOperation
from probes.basis import Basis


def effective_rank(singular_values: Float[Tensor, "n"]) -> float:
    """``exp(-sum q_i ln q_i)`` with ``q_i = s_i^2 / sum s^2``: 1 for one direction, n for n equal ones.

    Source: METHODS (notation); Roy and Vetterli 2007 use s_i in place of s_i^2, which gives larger numbers.

    >>> round(effective_rank(torch.tensor([2.0, 2.0, 2.0, 0.0])), 6)
    3.0
    """
    q = singular_values.double().pow(2)
    total = q.sum()
    if not total > 0:
        return 0.0
    return float(torch.special.entr(q / total).sum().exp())


def participation_ratio(singular_values: Float[Tensor, "n"]) -> float:
    """``(sum s_i^2)^2 / sum s_i^4``: like the effective rank, but less moved by small values.

    >>> participation_ratio(torch.tensor([1.0, 1.0, 0.0]))
    2.0
    """
    q = singular_values.double().pow(2)
    return float(q.sum() ** 2 / q.pow(2).sum()) if q.sum() > 0 else 0.0


ROUNDING = 1e-28  # what float64 leaves of a constant, as a share of the data's squared norm


@dataclass(frozen=True)
class Reduction:
    """Singular values, largest first, and the directions that belong to them.

    Attributes:
        singular_values: ``[n]``; for PCA those of the centred data, so that ``s^2 / samples`` are variances.
        basis: right singular vectors (of a weight ``[in, out]``: directions of the output), or principal components.
        left: left singular vectors as a Basis (of a weight: directions of the input); None for PCA.
        mean: what was subtracted first; zeros for SVD.
    """

    singular_values: Float[Tensor, "n"]
    basis: Basis
    left: Basis | None
    mean: Float[Tensor, "dim"]

    @property
    def effective_rank(self) -> float:
        return effective_rank(self.singular_values)

    @property
    def participation_ratio(self) -> float:
        return participation_ratio(self.singular_values)

    @property
    def explained(self) -> Float[Tensor, "n"]:
        """Share of the squared norm (PCA: of the variance) by direction."""
        q = self.singular_values.pow(2)
        return q / q.sum().clamp_min(torch.finfo(q.dtype).tiny)


def svd(matrix: Float[Tensor, "rows dim"]) -> Reduction:
    """Singular value decomposition of a matrix, in float64.

    >>> round(svd(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).singular_values[0].item(), 6)
    4.0
    """
    matrix = _finite(matrix)
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    names = tuple(f"singular {i}" for i in range(len(s)))
    return Reduction(s, Basis(vh, names), Basis(u.T, names), torch.zeros_like(matrix[0]))


def pca(data: Float[Tensor, "samples dim"]) -> Reduction:
    """Principal components of the rows, by the eigenvectors of their covariance, in float64.

    The covariance is dim x dim, so that the number of samples costs one matrix product only.
    """
    data = _finite(data)
    mean = data.mean(0)
    centred = data - mean
    eigenvalues, vectors = torch.linalg.eigh(centred.T @ centred)
    eigenvalues = eigenvalues.where(eigenvalues > ROUNDING * data.pow(2).sum(), torch.zeros_like(eigenvalues))
    rank = min(data.shape)
    s = eigenvalues.flip(0)[:rank].clamp_min(0).sqrt()
    return Reduction(s, Basis(vectors.flip(1).T[:rank], tuple(f"PC {i}" for i in range(rank))), None, mean)


def _finite(matrix: Tensor) -> Tensor:
    matrix = matrix.detach().double()
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise InterpError(f"a matrix is needed, got shape {list(matrix.shape)}")
    if not bool(matrix.isfinite().all()):
        raise InterpError("the matrix holds NaN or infinity, so it has no singular values")
    return matrix


@analysis("svd", needs=("weights",), summary="Singular values and effective rank of every weight matrix", order=70)
def svd_analysis(subject: Subject, *, top: int = 64) -> Result:
    """Singular values of every weight matrix; stacked weights (heads, operands) are taken one by one.

    Args:
        top: singular values drawn per matrix.
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
    table = pd.DataFrame(rows)
    lowest = min(rows, key=lambda row: row["effective rank"] / row["full rank"])
    figure = figures.lines(curves, title="Singular values", x_title="index", y_title="singular value", log_y=True)
    rank = lowest["effective rank"]
    result = Result(
        {"matrices": len(table), "lowest_effective_rank": rank, "lowest_matrix": lowest["matrix"]},
        {"matrices": table},
        {"singular values": figure},
        headline=f"{lowest['matrix']} has the lowest effective rank for its size: {rank:.1f} of {lowest['full rank']}",
    )
    if skipped:
        result.notes.append(f"Left out, because they hold NaN or infinity: {', '.join(skipped)}.")
    return result


@analysis(
    "pca",
    needs=("activations",),
    summary="Principal components of activations over all examples",
    order=80,
)
def pca_analysis(subject: Subject, *, site: str | None = None, components: int = 6) -> Result:
    """Principal components of the activations over all examples of the task, at the position that is read.

    Args:
        site: hook point, or glob; by default the residual streams (or inputs) and hidden layers.
        components: shown in the table.
    """
    require_range("components", components, 1)
    task, model = subject.require_task(), subject.cast().model
    wanted = site or [n for n in model.hook_dict if n.endswith(("hook_resid_mid", "hook_resid_post", "hook_input"))]
    sites = [wanted] if isinstance(wanted, str) else [*wanted, *hidden_sites(model)]
    names = [s.name for s in resolve_sites(model, sites)]
    resolved = [Site(n, pos=task.readout if "pos" in model.axes_of(n) else None) for n in names]
    acts = capture(model, task.inputs, resolved, batch_size=4096)
    rows, curves, result = [], {}, Result()
    for place, values in acts.items():
        reduced = pca(values.flatten(1))
        share = reduced.explained.cpu()
        name = place.partition("[")[0]
        rows.append(
            {"site": name, "dimension": values.flatten(1).shape[1], "effective rank": reduced.effective_rank,
             "participation ratio": reduced.participation_ratio,
             **{f"PC {i}": float(share[i]) for i in range(min(components, len(share)))}}
        )  # fmt: skip
        curves[name] = (list(range(1, len(share) + 1)), share.cumsum(0).numpy())
    embedding = _embedding_plane(subject)
    if embedding is not None:
        result.figures["embedding"] = embedding
    result.tables["components"] = pd.DataFrame(rows)
    result.figures["variance"] = figures.lines(
        curves,
        title="Variance explained by the first components",
        x_title="components",
        y_title="cumulative share",
        log_x=True,
    )
    smallest = min(rows, key=lambda r: r["effective rank"])
    site_name, rank = smallest["site"], smallest["effective rank"]
    result.metrics = {"sites": len(rows), "lowest_effective_rank": rank, "lowest_site": site_name}
    result.headline = f"{site_name} varies along {rank:.1f} of {smallest['dimension']} directions (effective rank)"
    return result


def _embedding_plane(subject: Subject) -> go.Figure | None:
    table = getattr(subject.model, "W_E", None)
    task = subject.task
    if table is None or not isinstance(task, BinaryOperation):
        return None
    symbols = (table if table.ndim == 2 else table[0]).detach()[: task.n_symbols]
    if not bool(symbols.isfinite().all()) or min(symbols.shape) < 2:
        return None
    reduced = pca(symbols)
    plane = reduced.basis.coordinates(symbols.double() - reduced.mean)[:, :2].cpu()
    return figures.scatter(
        plane[:, 0], plane[:, 1], labels=[str(i) for i in range(len(plane))], colors=range(len(plane)), square=True,
        title="Embeddings of the symbols on their first two principal components", x_title="PC 0", y_title="PC 1",
    )  # fmt: skip
