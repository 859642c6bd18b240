"""The analysis `embeddings`: embeddings on their principal components over a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd
import plotly.graph_objects as go
import torch
from torch import Tensor

from interp.errors import InterpError, MissingCapability, require_range
from interp.history.steps import kept_steps, left_out, open_step, walk
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.subject import Subject
from probes.embedding_views import Table, aligned, embedding_table, projected
from probes.spectra import Reduction, pca

COUNTS = (1, 2, 3, 4, 6, 8, 12, 16, 32, 64)
NOT_FINITE = "the embeddings hold NaN or infinity"
SCORED = 4  # steps at which the network is scored on its first components


@analysis(
    "embeddings",
    needs=("weights",),
    order=32,
    question="represents",
    summary="Embeddings on their principal components, through the run",
)
def embeddings(subject: Subject, *, every: int = 1, frames: int = 40, project: bool = True) -> Result:
    """Embeddings on their first two principal components at every step, and those of the first step on the final axes.

    Liu et al. 2022, Towards Understanding Grokking: An Effective Theory of Representation Learning,
    https://arxiv.org/abs/2205.10343, figures 1 and 7, appendix K.

    Args:
        subject: a network with one embedding table; with several checkpoints, all of them are drawn.
        every: use every n-th checkpoint only, counting from the last.
        frames: at most this many steps on the slider.
        project: also score the network with its embeddings projected onto their first components, at each step's own axes
            and at the final ones.

    Returns:
        Effective dimension and explained variance by step; loss and accuracy by number of components.
    """
    require_range("frames", frames, 2)
    result, steps = Result(), kept_steps(subject, every, frames)
    end = pca(_last_table(subject, steps).rows)
    scored = {steps[round(i * (len(steps) - 1) / (SCORED - 1))] for i in range(SCORED)}
    clouds: dict[int, Tensor] = {}
    rows, scores, first = [], [], None
    for snapshot in walk(subject, steps, result.notes):
        table = embedding_table(snapshot)
        if not bool(table.rows.isfinite().all()):
            result.notes.append(left_out(snapshot.step, NOT_FINITE))
            continue
        own = pca(table.rows)
        points = (table.rows - own.mean) @ own.basis.directions[:2].T
        clouds[snapshot.step] = aligned(points, list(clouds.values())[-1]) if clouds else points
        first = first or (snapshot.step, table)
        share = own.explained.cumsum(0)
        rows.append(
            {"step": snapshot.step, "effective dimension": own.effective_rank,
             "share of PC 0": float(share[0]), "share of PC 0 and 1": float(share[:2][-1])}
        )  # fmt: skip
        if project and subject.task is not None and snapshot.step in scored:
            counts = [*(n for n in COUNTS if n < len(own.singular_values)), len(own.singular_values)]
            views = {"this step": own} if snapshot.step == steps[-1] else {"this step": own, "the end": end}
            for label, axes in views.items():
                scores += [
                    {"step": snapshot.step, "axes of": label, **asdict(p)} for p in projected(snapshot, axes, counts)
                ]
    assert first is not None  # at least one checkpoint could be read
    result.tables["dimensions"] = pd.DataFrame(rows)
    _draw_clouds(result, clouds, first, end)
    if scores:
        result.tables["projected"] = pd.DataFrame(scores)
        _draw_scores(result, pd.DataFrame(scores))
    begin, last = rows[0], rows[-1]
    result.metrics = {
        "effective_dimension": last["effective dimension"], "share_of_two_components": last["share of PC 0 and 1"],
        "effective_dimension_at_start": rows[0]["effective dimension"],
    }  # fmt: skip
    result.headline = (
        f"effective dimension {begin['effective dimension']:.1f} at step {begin['step']:,}, "
        f"{last['effective dimension']:.1f} at step {last['step']:,}; at the end two components explain "
        f"{last['share of PC 0 and 1']:.0%} of the variance"
    )
    return result


def _last_table(subject: Subject, steps: Sequence[int]) -> Table:
    """The embeddings of the last checkpoint that has finite ones.

    Returns:
        The table.

    Raises:
        InterpError: no checkpoint has any.
        MissingCapability: the network does not have a single embedding table.
    """
    for step in reversed(steps):
        try:
            table = embedding_table(open_step(subject, step))
        except MissingCapability:
            raise
        except (InterpError, OSError):
            continue  # noted when the checkpoints are walked
        if bool(table.rows.isfinite().all()):
            return table
    raise InterpError("no checkpoint has embeddings that are all finite")


def _draw_clouds(result: Result, clouds: dict[int, Tensor], first: tuple[int, Table], end: Reduction) -> None:
    step, table = first
    centred = table.rows - table.rows.mean(0)
    result.figures["through time"] = slider(
        {s: points.cpu() for s, points in clouds.items()}, title="Embeddings on their first two principal components"
    )
    on_end = centred @ end.basis.directions[:2].T
    if on_end.shape[1] == 2:
        labels = list(map(str, range(len(on_end))))
        result.figures["start on final axes"] = figures.scatter(
            on_end[:, 0].cpu().numpy(), on_end[:, 1].cpu().numpy(), labels=labels, colors=range(len(labels)), square=True,
            title=f"Embeddings of step {step:,} on the final axes", x_title="PC 0 of the end", y_title="PC 1 of the end",
        )  # fmt: skip
    result.lead = "through time"


def slider(clouds: dict[int, Tensor], *, title: str) -> go.Figure:
    """Points by step with a slider over the steps; every step has its own scale, and the last is shown first.

    Args:
        clouds: points ``[n, 1 or 2]`` by step.
        title: of the figure.

    Returns:
        A figure with one frame per step.
    """
    last = max(clouds)

    def trace(points: Tensor) -> go.Scatter:
        flat = torch.cat([points, torch.zeros(len(points), 1)], 1)[:, :2] if points.shape[1] == 1 else points
        names = [str(i) for i in range(len(points))]
        return go.Scatter(
            x=flat[:, 0].numpy(), y=flat[:, 1].numpy(), mode="markers+text" if len(points) <= 128 else "markers", text=names,
            textposition="top center", textfont={"size": 9}, showlegend=False,
            marker={"size": 6, "color": list(range(len(points))), "colorscale": "Phase" if len(points) > 2 else "Viridis"},
        )  # fmt: skip

    def span(points: Tensor) -> list[float]:
        edge = 1.15 * float(points.abs().max()) or 1.0
        return [-edge, edge]

    figure = go.Figure(
        trace(clouds[last]),
        frames=[
            go.Frame(
                data=[trace(points)], name=str(step),
                layout={"xaxis": {"range": span(points)}, "yaxis": {"range": span(points)}},
            )
            for step, points in clouds.items()
        ],
    )  # fmt: skip
    steps = [
        {"label": f"{step:,}", "method": "animate",
         "args": [[str(step)], {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}]}
        for step in clouds
    ]  # fmt: skip
    figures.style(figure, title, "PC 0", "PC 1", height=520)
    figure.update_layout(
        sliders=[{"active": len(steps) - 1, "currentvalue": {"prefix": "step "}, "steps": steps, "pad": {"t": 40}}],
        xaxis_range=span(clouds[last]), yaxis_range=span(clouds[last]),
    )  # fmt: skip
    return figure


def _draw_scores(result: Result, scores: pd.DataFrame) -> None:
    column = "loss" if scores["accuracy"].isna().to_numpy().any() else "accuracy"
    chosen = sorted(scores["step"].unique())
    curves = {}
    for step in dict.fromkeys([chosen[0], chosen[len(chosen) // 2], chosen[-1]]):
        for axes in ("this step", "the end"):
            part = scores[(scores["step"] == step) & (scores["axes of"] == axes)]
            if part.empty:
                continue
            curves[f"step {step:,}, axes of {axes}"] = (part["components"], part[column])
    result.figures["on the first components"] = figures.lines(
        curves, title=f"{column.capitalize()} with the embeddings projected onto their first components",
        x_title="components kept", y_title=column, markers=True, log_x=False,
    )  # fmt: skip
