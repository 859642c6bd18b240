"""Drawing a phase diagram: colour is the phase of a cell, opacity how sure it is, hatched where no network was trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.notebook.figure import Figure
from interp.phase_diagrams.axes import values_of
from interp.phase_diagrams.lattice import Lattice
from interp.phase_diagrams.order import PHASES, UNDECIDED, phase_order
from interp.phase_diagrams.scale import short
from interp.report import figures

COLORS: dict[str, str] = dict(
    zip((*PHASES, UNDECIDED), (figures.GREEN, figures.ORANGE, figures.BLUE, figures.GREY, figures.PURPLE), strict=True)
)
OTHERS = (figures.RED, figures.SKY)
FAINTEST = 0.25  # opacity of a cell whose phase has half of all networks at best
INFERRED, HATCH, LINE = "not trained, as the nearest", "rgba(255,255,255,0.75)", "#222"
NETWORKS_SHOWN = 8


def draw(
    table: pd.DataFrame,
    axes: Sequence[str],
    networks: pd.DataFrame,
    logarithmic: Sequence[str] = (),
    *,
    refined: bool = False,
) -> go.Figure:
    """The figure of a phase diagram.

    Args:
        table: a row per cell.
        axes: one setting or two.
        networks: a row per network, for what stands on hover.
        logarithmic: axes whose values were spaced evenly in their logarithm.
        refined: a place without a cell is drawn as the nearest one, hatched.

    Returns:
        A heat map per phase, lines where phases meet, and hatching where no network was trained.
    """
    lattice = Lattice.of(table, axes, logarithmic, fill=refined)
    texts = _hovers(table, axes, networks, lattice)
    figure = Figure()
    for number, phase in enumerate(phase_order(table["phase"].tolist())):
        color = COLORS.get(phase, OTHERS[number % len(OTHERS)])
        _add_cells(figure, table, lattice, phase, color, texts)
        _add_key(figure, phase, {"color": color})
    if not lattice.trained.all() and refined:
        _add_hatching(figure, lattice)
    _add_boundaries(figure, table, lattice)
    title = "Phases of learning: the majority of each cell; the fainter, the less sure"
    lay_out(figure, title, axes, lattice)
    figure.update_layout(showlegend=True)
    return figure


def lay_out(figure: go.Figure, title: str, axes: Sequence[str], lattice: Lattice) -> go.Figure:
    """Style a figure over the lattice of a phase diagram; its axes are to scale.

    Args:
        figure: whose heat maps have the edges of the lattice's cells.
        title: of the figure.
        axes: one setting or two.
        lattice: of its cells.

    Returns:
        The figure.
    """
    down = axes[1] if len(axes) > 1 else ""
    figures.style(figure, title, axes[0], down, height=420 if down else 250)
    if not down:
        figure.update_layout(legend_y=-0.5)  # below the title of the axis, which is a larger part of so low a figure
    figure.update_xaxes(**lattice.x.axis())
    figure.update_yaxes(**{**lattice.y.axis(), "showticklabels": bool(down)})
    return figure


def _add_cells(
    figure: go.Figure, table: pd.DataFrame, lattice: Lattice, phase: str, color: str, texts: Sequence[Sequence[str]]
) -> None:
    """A heat map of the cells of a phase."""
    phases, sure = table["phase"].tolist(), table["confidence"].tolist()
    z = [
        [(0.5 if phase == UNDECIDED else sure[k]) if k >= 0 and phases[k] == phase else None for k in line]
        for line in lattice.rows.tolist()
    ]
    figure.add_heatmap(
        z=z, text=texts, hovertemplate="%{text}<extra></extra>", hoverongaps=False, zmin=0.5, zmax=1, showscale=False,
        colorscale=[[0, _rgba(color, FAINTEST)], [1, _rgba(color, 1)]], name=phase,
        x=lattice.x.edges, y=lattice.y.edges,
    )  # fmt: skip


def _add_key(figure: go.Figure, name: str, marker: dict[str, Any], symbol: str = "square") -> None:
    """A line of the legend: a mark without data."""
    figure.add_scatter(x=[None], y=[None], mode="markers", name=name, marker={"symbol": symbol, "size": 10, **marker})


def _add_hatching(figure: go.Figure, lattice: Lattice) -> None:
    """Stripes over the places where no network was trained, row by row, and their line in the legend."""
    xs: list[float | None] = []
    ys: list[float | None] = []
    for i, line in enumerate(lattice.trained.tolist()):
        low, high = lattice.y.edges[i : i + 2]
        for start, stop in _runs(line):
            left, right = lattice.x.edges[start], lattice.x.edges[stop]
            xs += [left, right, right, left, left, None]
            ys += [low, low, high, high, low, None]
    figure.add_scatter(
        x=xs, y=ys, mode="lines", line={"width": 0}, fill="toself", hoverinfo="skip", showlegend=False, name="hatching",
        fillpattern={"shape": "/", "fgcolor": HATCH, "bgcolor": "rgba(0,0,0,0)", "size": 7, "solidity": 0.45},
    )  # fmt: skip
    _add_key(figure, INFERRED, {"color": "#777", "size": 11}, "square-x-open")


def _runs(trained: Sequence[bool]) -> list[tuple[int, int]]:
    """Where what is not trained begins and ends along a row."""
    edges = np.flatnonzero(np.diff([1, *map(int, trained), 1]))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _add_boundaries(figure: go.Figure, table: pd.DataFrame, lattice: Lattice) -> None:
    """Lines between neighbouring cells of different phases; all places without a cell count as one phase."""
    phases = np.array([*table["phase"].tolist(), ""], object)[lattice.rows]
    x, y = lattice.x.edges, lattice.y.edges
    xs: list[float | None] = []
    ys: list[float | None] = []
    for i, j in zip(*np.nonzero(phases[:, 1:] != phases[:, :-1]), strict=True):
        xs += [x[j + 1], x[j + 1], None]
        ys += [y[i], y[i + 1], None]
    for i, j in zip(*np.nonzero(phases[1:] != phases[:-1]), strict=True):
        xs += [x[j], x[j + 1], None]
        ys += [y[i + 1], y[i + 1], None]
    if xs:
        line = {"color": LINE, "width": 2}
        figure.add_scatter(x=xs, y=ys, mode="lines", line=line, hoverinfo="skip", showlegend=False, name="boundaries")


def _hovers(table: pd.DataFrame, axes: Sequence[str], networks: pd.DataFrame, lattice: Lattice) -> list[list[str]]:
    """What stands on hover over each place."""
    learnt = _networks(networks, axes)
    counted = phase_order(c for c in table.columns if c in networks["phase"].tolist())
    texts = []
    for row in table.to_dict("records"):
        place = "<br>".join(f"{axis} = {short(row[axis])}" for axis in axes)
        counts = ", ".join(f"{row[p]} {p}" for p in counted if row[p])
        share = f"share {row['share']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
        own = learnt.get(tuple(row[axis] for axis in axes), [])
        texts.append("<br>".join([place, f"{row['phase']} ({counts})", share, *own]))
    return [
        [
            "" if k < 0 else texts[k] if here else f"no network was trained here; the nearest:<br>{texts[k]}"
            for k, here in pair
        ]
        for pair in (
            zip(*line, strict=True) for line in zip(lattice.rows.tolist(), lattice.trained.tolist(), strict=True)
        )
    ]


def _networks(networks: pd.DataFrame, axes: Sequence[str]) -> dict[tuple[Any, ...], list[str]]:
    """A line per network, by cell, the first ones of each; none where it is not known when they learnt."""
    if not {"train_at", "test_at"} <= {*networks.columns}:
        return {}
    cells: dict[tuple[Any, ...], list[str]] = {}
    places = zip(*(values_of(networks, axis) for axis in axes), strict=True)
    for place, row in zip(places, networks.to_dict("records"), strict=True):
        cells.setdefault(place, []).append(_learnt(row))
    n = NETWORKS_SHOWN
    return {p: own if len(own) <= n else [*own[:n], f"and {len(own) - n} more"] for p, own in cells.items()}


def _learnt(row: dict[Any, Any]) -> str:
    """When a network learnt, why its phase could be another, and the most right answers where they were counted."""
    train, test = ("never" if pd.isna(row[at]) else f"{row[at]:,.0f}" for at in ("train_at", "test_at"))
    why = f" ({row['why']})" if row.get("why") else ""
    right = f", at best {row['test_correct']:.0f} of {row['test_n']:.0f} right" if row.get("test_n") else ""
    return f"{row['phase']}{why}: train at {train}, test at {test}{right}"


def _rgba(color: str, opacity: float) -> str:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"
