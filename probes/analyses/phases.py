"""The analysis `phases`: the phase diagram of learning over a run of many networks."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.errors import MissingCapability, require_range
from interp.phase_diagrams import choose_axes, ordered, values_of
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.scores import LEARNT
from interp.subject import Subject
from interp.training.members import varying
from interp.training.phases import PHASES

COLORS = dict(zip(PHASES, (figures.GREEN, figures.ORANGE, figures.BLUE, figures.GREY), strict=True))


@analysis(
    "phases",
    needs=("members",),
    order=8,
    question="history",
    summary="Comprehension, grokking, memorization, confusion over a grid of runs",
)
def phases(
    subject: Subject,
    *,
    x: str | None = None,
    y: str | None = None,
    threshold: float = LEARNT,
    limit: int = 100_000,
    gap: int = 1_000,
) -> Result:
    """The learning phase of every network of a run, over two of the settings in which the networks differ.

    Comprehension, grokking, memorization and confusion as in Liu et al. 2022, Towards Understanding Grokking: An Effective
    Theory of Representation Learning, https://arxiv.org/abs/2205.10343, section 4.

    Args:
        subject: a network of a run with several members.
        x: setting along the horizontal axis; by default the first that differs, seeds last.
        y: setting along the vertical axis; by default the next that differs, never a seed.
        threshold: accuracy that counts as reached; the paper takes 0.9, and 0.6 for the validation accuracy on MNIST.
        limit: steps within which it must be reached.
        gap: comprehension if test accuracy follows train accuracy within fewer steps, otherwise grokking.

    Returns:
        The phase diagram, the median steps to memorise and to generalise, and a row per network.

    Raises:
        MissingCapability: not a run of several networks, or one that recorded no accuracies.
    """
    require_range("threshold", threshold, 0, 1)
    run = subject.run
    if run is None:
        raise MissingCapability("phases need a run of several networks; train one with interp train --seeds or --grid")
    if "train_accuracy" not in run.metrics:
        raise MissingCapability(
            "phases need a run that recorded accuracies; train on a task whose answers can be right or wrong"
        )
    table = run.phases(threshold, limit=limit, gap=gap)
    across, down = choose_axes(varying(run.plan.members), x, y)
    counts = Counter(table["phase"].tolist())
    result = Result(
        {"networks": len(table), **{p: counts[p] for p in PHASES}, "x": across, "y": down},
        {"phases": table.reset_index()},
    )
    result.figures["phase diagram"] = diagram(table, across, down)
    for column, title in (("train_at", "memorise"), ("test_at", "generalise")):
        if across is not None and table[column].notna().to_numpy().any():
            result.figures[f"steps to {title}"] = _steps(table, column, across, down, title)
    result.lead = "phase diagram"
    reached = max(run.metrics["step"].tolist())
    if reached < limit and counts["memorization"] + counts["confusion"]:
        result.notes.append(
            f"The networks were trained for at most {reached:,} steps, the definition allows {limit:,}: networks in memorization "
            "or confusion may still generalise later."
        )
    others = [s for s in varying(run.plan.members) if s not in (across, down)]
    if others:
        result.notes.append(f"A cell shows the most common phase of its networks, which differ in {', '.join(others)}.")
    result.headline = f"{len(table)} networks: " + ", ".join(f"{counts[p]} {p}" for p in PHASES)
    return result


def diagram(table: pd.DataFrame, across: str | None, down: str | None) -> go.Figure:
    """Phase diagram: a cell per pair of settings in its phase's colour, with the steps on hover and lines between phases.

    Args:
        table: ``train_at, test_at, phase`` and the settings, a row per network.
        across: setting along the horizontal axis; None for the network's number.
        down: setting along the vertical axis; None for a single row.

    Returns:
        The figure.
    """
    if across is None:
        table, across = table.assign(network=table.index), "network"
    cells = _cells(table, across, down)
    xs, ys = (ordered({place[side] for place in cells}) for side in (0, 1))
    code = np.full((len(ys), len(xs)), np.nan)
    text = [["" for _ in xs] for _ in ys]
    for (a, b), rows in cells.items():
        i, j = ys.index(b), xs.index(a)
        code[i, j] = PHASES.index(rows["phase"].mode().iloc[0])
        text[i][j] = _hover(rows)
    scale = [[edge, COLORS[p]] for k, p in enumerate(PHASES) for edge in (k / 4, (k + 1) / 4)]
    figure = go.Figure(
        go.Heatmap(
            z=code, text=text, hovertemplate="%{text}<extra></extra>", zmin=-0.5, zmax=3.5, colorscale=scale, showscale=False,
            x=list(range(len(xs))), y=list(range(len(ys))), xgap=1, ygap=1,
        )
    )  # fmt: skip
    figures.style(figure, "Phases of learning", across, down or "", height=420 if down else 240)
    figure.update_xaxes(tickvals=list(range(len(xs))), ticktext=[_short(v) for v in xs], showgrid=False)
    figure.update_yaxes(
        tickvals=list(range(len(ys))), ticktext=[_short(v) for v in ys] if down else [""], showgrid=False
    )
    for phase in PHASES:  # the legend: squares without data
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=phase,
            marker={"color": COLORS[phase], "symbol": "square", "size": 10},
        )
    figure.update_layout(shapes=_boundaries(code))
    return figure


def _cells(table: pd.DataFrame, across: str, down: str | None) -> dict[tuple, pd.DataFrame]:
    cells: dict[tuple, list[int]] = {}
    for row, place in enumerate(zip(values_of(table, across), values_of(table, down), strict=True)):
        cells.setdefault(place, []).append(row)
    return {place: table.iloc[rows] for place, rows in cells.items()}


def _hover(rows: pd.DataFrame) -> str:
    def step(value: float) -> str:
        return "never" if pd.isna(value) else f"{value:,.0f}"

    shown = rows.head(8).to_dict("records")
    lines = [f"{r['phase']}: train at {step(r['train_at'])}, test at {step(r['test_at'])}" for r in shown]
    return "<br>".join(lines + ([f"and {len(rows) - 8} more"] if len(rows) > 8 else []))


def _boundaries(code: np.ndarray) -> list[dict]:
    """Lines between neighbouring cells of different phases."""
    line = {"color": "#222", "width": 2}
    rows, columns = code.shape
    code = np.nan_to_num(code, nan=-1)  # all cells without a network count as one phase
    shapes = [
        {"type": "line", "x0": j + 0.5, "x1": j + 0.5, "y0": i - 0.5, "y1": i + 0.5, "line": line}
        for i in range(rows) for j in range(columns - 1) if code[i, j] != code[i, j + 1]
    ]  # fmt: skip
    shapes += [
        {"type": "line", "x0": j - 0.5, "x1": j + 0.5, "y0": i + 0.5, "y1": i + 0.5, "line": line}
        for i in range(rows - 1) for j in range(columns) if code[i, j] != code[i + 1, j]
    ]  # fmt: skip
    return shapes


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _steps(table: pd.DataFrame, column: str, across: str, down: str | None, title: str) -> go.Figure:
    """Median steps per cell on a logarithmic scale; blank if no network reached the threshold."""
    cells = _cells(table, across, down)
    xs, ys = (ordered({place[side] for place in cells}) for side in (0, 1))
    grid = np.full((len(ys), len(xs)), np.nan)
    for (a, b), rows in cells.items():
        reached = rows[column].dropna().to_numpy()
        grid[ys.index(b), xs.index(a)] = np.median(reached) if len(reached) else np.nan
    return figures.heatmap(
        grid, log=True, unit="steps", x=[_short(v) for v in xs], y=[_short(v) for v in ys] if down else [""],
        title=f"Steps to {title}", x_title=across, y_title=down or "", height=420 if down else 240,
    )  # fmt: skip
