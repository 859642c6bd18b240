"""Drawing a phase diagram: colour is the phase of a cell, opacity how sure it is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from interp.notebook.figure import Figure
from interp.phase_diagrams.axes import ordered, values_of
from interp.phase_diagrams.diagram import UNDECIDED, USUAL, PhaseDiagram, phase_order
from interp.report import figures

COLORS = dict(zip(USUAL, (figures.GREEN, figures.ORANGE, figures.BLUE, figures.GREY), strict=True))
COLORS[UNDECIDED] = figures.PURPLE
OTHERS = (figures.RED, figures.SKY)
FAINTEST = 0.25  # opacity of a cell whose phase has half of all networks at best
TICKS = 12


def draw(diagram: PhaseDiagram) -> go.Figure:
    """The figure of a phase diagram.

    Args:
        diagram: over one axis or two.

    Returns:
        A heat map per phase.
    """
    across, down = diagram.axes[0], diagram.axes[1] if len(diagram.axes) > 1 else None
    places = list(zip(values_of(diagram.table, across), values_of(diagram.table, down), strict=True))
    xs, ys = (ordered(place[side] for place in places) for side in (0, 1))
    cells = _cells(diagram, places, xs, ys)
    phases = phase_order(Counter(diagram.table["phase"].tolist()))
    figure = Figure()
    for number, phase in enumerate(phases):
        _add(figure, diagram, cells, phase, COLORS.get(phase, OTHERS[number % len(OTHERS)]))
    figures.style(figure, "Phases of learning", across, down or "", height=420 if down else 240)
    figure.update_xaxes(showgrid=False, zeroline=False, **_ticks(xs))
    figure.update_yaxes(showgrid=False, zeroline=False, **(_ticks(ys) if down else {"showticklabels": False}))
    return figure


def _cells(diagram: PhaseDiagram, places: Sequence[tuple[Any, Any]], xs: list[Any], ys: list[Any]) -> np.ndarray:
    """Which row of the table is drawn at each of all places ``[y, x]``; -1: none."""
    found = np.full((len(ys), len(xs)), -1)
    for row, (a, b) in enumerate(places):
        found[ys.index(b), xs.index(a)] = row
    if not diagram.refined:
        return found
    log = [axis in diagram.logarithmic for axis in (*diagram.axes, "")][:2]
    scaled = [_scaled(xs, log[0]), _scaled(ys, log[1] and len(diagram.axes) > 1)]
    points = np.array([[scaled[0][xs.index(a)], scaled[1][ys.index(b)]] for a, b in places])
    for i in range(len(ys)):
        for j in range(len(xs)):
            distance = np.abs(points - [scaled[0][j], scaled[1][i]])
            found[i, j] = np.lexsort((distance.sum(1), distance.max(1)))[0]
    return found


def _scaled(values: list[Any], log: bool) -> list[float]:
    """Positions from 0 to 1 along an axis; of texts by their order."""
    numbers = [float(v) if isinstance(v, (int, float)) else float(i) for i, v in enumerate(values)]
    numbers = [math.log(v) for v in numbers] if log else numbers
    extent = max(numbers) - min(numbers) or 1.0
    return [(v - min(numbers)) / extent for v in numbers]


def _add(figure: go.Figure, diagram: PhaseDiagram, cells: np.ndarray, phase: str, color: str) -> None:
    """A heat map of the cells of a phase, and its square in the legend."""
    rows = diagram.table.to_dict("records")
    z = [[rows[k]["confidence"] if k >= 0 and rows[k]["phase"] == phase else None for k in line] for line in cells]
    text = [[_hover(diagram, rows[k]) if k >= 0 else "" for k in line] for line in cells]
    figure.add_heatmap(
        z=z, text=text, hovertemplate="%{text}<extra></extra>", hoverongaps=False, zmin=0.5, zmax=1, showscale=False,
        colorscale=[[0, _rgba(color, FAINTEST)], [1, _rgba(color, 1)]], name=phase,
        x=list(range(cells.shape[1])), y=list(range(cells.shape[0])),
        xgap=0 if diagram.refined else 1, ygap=0 if diagram.refined else 1,
    )  # fmt: skip
    marker = {"color": color, "symbol": "square", "size": 10}
    figure.add_scatter(x=[None], y=[None], mode="markers", name=phase, marker=marker)


def _hover(diagram: PhaseDiagram, row: dict[Any, Any]) -> str:
    counts = ", ".join(
        f"{row[p]} {p}" for p in phase_order([c for c in diagram.table.columns if c in COLORS]) if row[p]
    )
    place = "<br>".join(f"{axis} = {_short(row[axis])}" for axis in diagram.axes)
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
