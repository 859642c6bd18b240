"""Drawing a phase diagram: colour is the phase of a cell, opacity how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.notebook.figure import Figure
from interp.phase_diagrams.axes import ordered, values_of
from interp.phase_diagrams.order import UNDECIDED, USUAL, phase_order
from interp.report import figures

COLORS: dict[str, str] = dict(
    zip((*USUAL, UNDECIDED), (figures.GREEN, figures.ORANGE, figures.BLUE, figures.GREY, figures.PURPLE), strict=True)
)
OTHERS = (figures.RED, figures.SKY)
FAINTEST = 0.25  # opacity of a cell whose phase has half of all networks at best
TICKS = 12


def draw(table: pd.DataFrame, axes: Sequence[str], logarithmic: Sequence[str], *, refined: bool) -> go.Figure:
    """The figure of a phase diagram.

    Args:
        table: a row per cell.
        axes: one setting or two.
        logarithmic: those along which distances are of logarithms.
        refined: a place without a cell is drawn as the nearest one.

    Returns:
        A heat map per phase.
    """
    across, down = axes[0], axes[1] if len(axes) > 1 else None
    places = list(zip(values_of(table, across), values_of(table, down), strict=True))
    xs, ys = (ordered(place[side] for place in places) for side in (0, 1))
    cells = np.full((len(ys), len(xs)), -1)  # rows of the table; -1: none
    for row, (a, b) in enumerate(places):
        cells[ys.index(b), xs.index(a)] = row
    if refined:
        x, y = _scaled(xs, across in logarithmic), _scaled(ys, down in logarithmic)
        cells = _nearest(cells, np.array(x), np.array(y))
    figure = Figure()
    for number, phase in enumerate(phase_order(table["phase"].tolist())):
        _add(
            figure, table, axes, cells, phase, COLORS.get(phase, OTHERS[number % len(OTHERS)]), gap=0 if refined else 1
        )
    title = "Phases of learning: the majority of each cell; the fainter, the less sure"
    figures.style(figure, title, across, down or "", height=420 if down else 240)
    figure.update_layout(showlegend=True)
    figure.update_xaxes(showgrid=False, zeroline=False, **_ticks(xs))
    figure.update_yaxes(showgrid=False, zeroline=False, **(_ticks(ys) if down else {"showticklabels": False}))
    return figure


def _nearest(cells: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The cell that is nearest to each place, by the larger of its two distances, then by their sum."""
    rows, columns = np.nonzero(cells >= 0)
    filled = cells.copy()
    for i in range(len(y)):
        for j in range(len(x)):
            distance = np.abs(np.stack([x[columns] - x[j], y[rows] - y[i]], 1))
            near = np.lexsort((distance.sum(1), distance.max(1)))[0]
            filled[i, j] = cells[rows[near], columns[near]]
    return filled


def _scaled(values: list[Any], log: bool) -> list[float]:
    """Positions from 0 to 1 along an axis; of texts by their order."""
    numbers = [float(v) if isinstance(v, (int, float)) else float(i) for i, v in enumerate(values)]
    numbers = [math.log(v) for v in numbers] if log else numbers
    extent = max(numbers) - min(numbers) or 1.0
    return [(v - min(numbers)) / extent for v in numbers]


def _add(
    figure: go.Figure, table: pd.DataFrame, axes: Sequence[str], cells: np.ndarray, phase: str, color: str, *, gap: int
) -> None:
    """A heat map of the cells of a phase, and its square in the legend."""
    rows = table.to_dict("records")
    sure = {k: 0.5 if phase == UNDECIDED else row["confidence"] for k, row in enumerate(rows)}
    z = [[sure[k] if k >= 0 and rows[k]["phase"] == phase else None for k in line] for line in cells]
    text = [[_hover(table, axes, rows[k]) if k >= 0 else "" for k in line] for line in cells]
    figure.add_heatmap(
        z=z, text=text, hovertemplate="%{text}<extra></extra>", hoverongaps=False, zmin=0.5, zmax=1, showscale=False,
        colorscale=[[0, _rgba(color, FAINTEST)], [1, _rgba(color, 1)]], name=phase,
        x=list(range(cells.shape[1])), y=list(range(cells.shape[0])),
        xgap=gap, ygap=gap,
    )  # fmt: skip
    marker = {"color": color, "symbol": "square", "size": 10}
    figure.add_scatter(x=[None], y=[None], mode="markers", name=phase, marker=marker)


def _hover(table: pd.DataFrame, axes: Sequence[str], row: dict[Any, Any]) -> str:
    counts = ", ".join(f"{row[p]} {p}" for p in phase_order([c for c in table.columns if c in COLORS]) if row[p])
    place = "<br>".join(f"{axis} = {_short(row[axis])}" for axis in axes)
    return f"{place}<br>{row['phase']} ({counts})<br>share {row['share']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"


def _ticks(values: list[Any]) -> dict[str, Any]:
    every = -(-len(values) // TICKS)
    shown = list(range(0, len(values), every))
    return {"tickvals": shown, "ticktext": [_short(values[i]) for i in shown]}


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _rgba(color: str, opacity: float) -> str:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
