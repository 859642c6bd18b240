"""The analysis `pca`: principal components of activations over all examples."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from interp.activations.capture import capture
from interp.errors import require_range
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.sites import Site, layer_sites, resolve_sites
from interp.subject import Subject
from interp.tasks import BinaryOperation
from probes import spectra


@analysis(
    "pca",
    needs=("activations",),
    summary="Principal components of activations over all examples",
    order=80,
    question="represents",
)
def pca(subject: Subject, *, site: str | None = None, components: int = 6) -> Result:
    """Principal components of the activations over all examples of the task, at the readout position.

    Args:
        subject: a network with a task.
        site: hook point, or glob; by default the residual streams (or inputs) and hidden layers.
        components: columns of explained variance in the table.

    Returns:
        Explained variance and effective rank by hook point; where each operand has its own embeddings, the first
        one's on their first two components.
    """
    require_range("components", components, 1)
    task, model = subject.require_task(), subject.cast().model
    names = [s.name for s in resolve_sites(model, [site] if site else layer_sites(model))]
    resolved = [Site(n, pos=task.readout if "pos" in model.axes_of(n) else None) for n in names]
    rows, curves, result = [], {}, Result()
    for place, values in capture(model, task.inputs, resolved, batch_size=4096).items():
        reduced = spectra.pca(values.flatten(1))
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
        y_title="cumulative share of variance",
        log_x=True,
    )
    smallest = min(rows, key=lambda r: r["effective rank"])
    site_name, rank = smallest["site"], smallest["effective rank"]
    result.metrics = {"sites": len(rows), "lowest_effective_rank": rank, "lowest_site": site_name}
    result.headline = f"{site_name} has the lowest effective rank: {rank:.1f} of {smallest['dimension']} directions"
    return result


def _embedding_plane(subject: Subject) -> go.Figure | None:
    table = getattr(subject.model, "W_E", None)
    task = subject.task
    if table is None or table.ndim == 2 or not isinstance(task, BinaryOperation):
        return None  # a single table stands in the analysis `embeddings`
    symbols = table[0].detach()[: task.n_symbols]
    if not bool(symbols.isfinite().all()) or min(symbols.shape) < 2:
        return None
    reduced = spectra.pca(symbols)
    plane = reduced.basis.coordinates(symbols.double() - reduced.mean)[:, :2].cpu()
    return figures.scatter(
        plane[:, 0], plane[:, 1], labels=[str(i) for i in range(len(plane))], colors=range(len(plane)), square=True,
        title="Embeddings of the first operand on their first two principal components", x_title="PC 0", y_title="PC 1",
        color_title="symbol",
    )  # fmt: skip
