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
from probes.polygons import most_regular_plane
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
def embeddings(
    subject: Subject, *, every: int = 1, frames: int = 40, project: bool = True, components: tuple[int, ...] = (0, 1),
    within: int = 4,
) -> Result:  # fmt: skip
    """Embeddings on two principal components at every step, and those of the first step on the final axes.

    Liu et al. 2022, Towards Understanding Grokking: An Effective Theory of Representation Learning,
    https://arxiv.org/abs/2205.10343, figures 1 and 7, appendix K.

    Args:
        subject: a network with one embedding table; with several checkpoints, all of them are drawn.
        every: use every n-th checkpoint only, counting from the last.
        frames: at most this many steps on the slider.
        project: also score the network with its embeddings projected onto their first components, at each step's own axes
            and at the final ones.
        components: the two that are drawn, counted from 0.
        within: say which two of the first so many components the final embeddings are closest to a regular polygon on
            (`probes.polygons`): a group may show on others than the first two, as S_3 in figure 17.

    Returns:
        Effective dimension and explained variance by step; loss and accuracy by number of components.

    Raises:
        InterpError: components that are not two different numbers from 0.
    """
    require_range("frames", frames, 2)
    if len(set(components)) != 2 or min(components) < 0:
        raise InterpError(f"components takes two different numbers from 0, such as 0,2, got {components!r}")
    result, steps = Result(), kept_steps(subject, every, frames)
    last_rows = _last_table(subject, steps).rows
    end = pca(last_rows)
    if components != (0, 1) and max(components) >= len(end.singular_values):
        raise InterpError(f"components {components!r}: the embeddings have {len(end.singular_values)}, counted from 0")
    scored = {steps[round(i * (len(steps) - 1) / (SCORED - 1))] for i in range(SCORED)}
    clouds: dict[int, Tensor] = {}
    rows, scores, first = [], [], None
    for snapshot in walk(subject, steps, result.notes):
        table = embedding_table(snapshot)
        if not bool(table.rows.isfinite().all()):
            result.notes.append(left_out(snapshot.step, NOT_FINITE))
            continue
        own = pca(table.rows)
        points = (table.rows - own.mean) @ _axes(own, components)
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
    _draw_clouds(result, clouds, first, end, components)
    if scores:
        result.tables["projected"] = pd.DataFrame(scores)
        _draw_scores(result, pd.DataFrame(scores), subject.require_task().loss)
    begin, last = rows[0], rows[-1]
    result.metrics = {
        "effective_dimension": last["effective dimension"], "share_of_two_components": last["share of PC 0 and 1"],
        "effective_dimension_at_start": rows[0]["effective dimension"],
    }  # fmt: skip
    result.headline = (
        f"effective dimension {begin['effective dimension']:.1f} at step {begin['step']:,}, "
        f"{last['effective dimension']:.1f} at step {last['step']:,}; at the end two components explain "
        if len(rows) > 1
        else f"effective dimension {last['effective dimension']:.1f}; two components explain "
    ) + f"{last['share of PC 0 and 1']:.0%} of the variance"
    if within >= 2 and len(end.singular_values) >= 2 and len(last_rows) >= 3:
        plane = most_regular_plane(last_rows, within)
        result.metrics |= {
            "most_regular_components": "{}, {}".format(*plane.components),
            "regularity": plane.regularity,
        }
    return result


def _axes(reduction: Reduction, components: Sequence[int]) -> Tensor:
    """The directions of some components ``[d, component]``, of those that there are."""
    directions = reduction.basis.directions
    return directions[[k for k in components if k < len(directions)]].T


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


def _draw_clouds(
    result: Result, clouds: dict[int, Tensor], first: tuple[int, Table], end: Reduction, components: Sequence[int]
) -> None:
    step, table = first
    across, up = (f"PC {k}" for k in components)
    centred = table.rows - table.rows.mean(0)
    which = "their first two principal components" if tuple(components) == (0, 1) else f"{across} and {up}"
    result.figures["through time"] = slider(
        {s: points.cpu() for s, points in clouds.items()}, title=f"Embeddings on {which}", axes=(across, up)
    )
    on_end = centred @ _axes(end, components)
    if on_end.shape[1] == 2 and len(clouds) > 1:
        labels = list(map(str, range(len(on_end))))
        result.figures["start on final axes"] = figures.scatter(
            on_end[:, 0].cpu().numpy(), on_end[:, 1].cpu().numpy(), labels=labels, colors=range(len(labels)), square=True,
            title=f"Embeddings of step {step:,} on the final axes", x_title=f"{across} of the end", y_title=f"{up} of the end",
            color_title="symbol",
        )  # fmt: skip
    result.lead = "through time"


def slider(clouds: dict[int, Tensor], *, title: str, axes: tuple[str, str] = ("PC 0", "PC 1")) -> go.Figure:
    """Points by step with a slider over the steps, where there are several; each has its own scale, the last is shown first.

    Args:
        clouds: points ``[n, 1 or 2]`` by step.
        title: of the figure.
        axes: titles of the two axes.

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
            marker={"size": 6, "color": list(range(len(points))), "colorscale": "Viridis", "showscale": True,
                    "colorbar": figures.color_bar("symbol")},
        )  # fmt: skip

    def moved(points: Tensor) -> go.Scatter:  # a frame changes the places alone
        shown = trace(points)
        return go.Scatter(x=shown.x, y=shown.y)

    def span(points: Tensor) -> list[float]:
        edge = 1.15 * float(points.abs().max()) or 1.0
        return [-edge, edge]

    figure = go.Figure(
        trace(clouds[last]),
        frames=[
            go.Frame(
                data=[moved(points)], name=str(step),
                layout={"xaxis": {"range": span(points)}, "yaxis": {"range": span(points)}},
            )
            for step, points in (clouds.items() if len(clouds) > 1 else ())
        ],
    )  # fmt: skip
    steps = [
        {"label": f"{step:,}", "method": "animate",
         "args": [[str(step)], {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}]}
        for step in clouds
    ]  # fmt: skip
    figures.style(figure, title, *axes, height=520)
    figure.update_layout(xaxis_range=span(clouds[last]), yaxis_range=span(clouds[last]))
    if len(clouds) > 1:
        figure.update_layout(
            sliders=[{"active": len(steps) - 1, "currentvalue": {"prefix": "step "}, "steps": steps, "pad": {"t": 40}}]
        )
    return figure


def _draw_scores(result: Result, scores: pd.DataFrame, loss: str) -> None:
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
        x_title="components kept", y_title=figures.loss_unit(loss) if column == "loss" else column, markers=True, log_x=False,
    )  # fmt: skip
