"""Figures in one style: plain, legible, and transparent, so that they suit a light and a dark page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from interp.notebook.figure import Figure

BLUE, ORANGE, GREY, GREEN, RED, PURPLE = "#3b78c2", "#e07b39", "#9aa3ad", "#4b9e6a", "#c8504d", "#8a63b3"
AXES = ("linear", "log")
LEGEND = 16  # curves in one figure
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, RED, "#c2a33b", "#4fa8b8", GREY)


def style(figure: go.Figure, title: str, x: str, y: str, height: int = 340) -> go.Figure:
    """Apply the suite's style to a figure, and return it."""
    figure.update_layout(
        title={"text": title, "font": {"size": 15}, "x": 0, "xref": "paper"},
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", font={"size": 12, "color": "#555"},
        height=height, margin={"l": 60, "r": 16, "t": 48, "b": 48}, colorway=PALETTE,
        legend={"orientation": "h", "y": -0.22, "x": 0}, hoverlabel={"namelength": -1},
    )  # fmt: skip
    grid: dict[str, Any] = {"gridcolor": "rgba(128,128,128,0.22)", "zerolinecolor": "rgba(128,128,128,0.4)"}
    figure.update_xaxes(title=x, **grid)
    figure.update_yaxes(title=y, **grid)
    return figure


def bars(
    x: Sequence[object], y: ArrayLike, *, title: str, x_title: str, y_title: str,
    highlight: Sequence[object] = (), log: bool = False,
) -> go.Figure:  # fmt: skip
    """A bar chart with some bars highlighted and labelled."""
    heights = np.asarray(y, dtype=float)
    chosen = set(highlight)
    figure = Figure(go.Bar(x=list(x), y=heights, marker_color=[ORANGE if v in chosen else GREY for v in x]))
    for label, height in zip(x, heights, strict=True):
        if label in chosen and len(chosen) <= 16:
            figure.add_annotation(
                x=label, y=np.log10(height) if log else height, text=str(label), showarrow=False, yshift=9
            )
    style(figure, title, x_title, y_title)
    figure.update_layout(bargap=0.15)
    return figure.update_yaxes(type="log", exponentformat="power", nticks=8, minor_showgrid=False) if log else figure


def lines(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]], *, title: str, x_title: str, y_title: str,
    log_x: bool = False, log_y: bool = False, markers: bool = False,
) -> go.Figure:  # fmt: skip
    """A line chart; each curve is given as (x, y)."""
    figure = Figure()
    for name, (x, y) in curves.items():
        figure.add_scatter(x=np.asarray(x), y=np.asarray(y), name=name, mode="lines+markers" if markers else "lines")
    style(figure, title, x_title, y_title)
    if log_x:
        figure.update_xaxes(type="log", exponentformat="power", dtick=1)
    if log_y:
        figure.update_yaxes(type="log", exponentformat="power", nticks=8)
    return figure


def heatmap(
    values: ArrayLike, *, title: str, x_title: str, y_title: str, unit: str = "", log: bool = False,
    x: Sequence[object] | ArrayLike | None = None, y: Sequence[object] | ArrayLike | None = None, height: int = 340,
    diverging: bool = False,
) -> go.Figure:  # fmt: skip
    """A matrix as a heatmap.

    Args:
        values: ``[rows, columns]``.
        title: of the figure.
        x_title: of the columns.
        y_title: of the rows.
        unit: of the values, beside the colour bar.
        log: colour by log10; values that are 0 up to rounding stay blank.
        x: labels of the columns.
        y: labels of the rows.
        height: in pixels.
        diverging: use a scale on which 0 is white, and put the first row on top.

    Returns:
        The figure.
    """
    shown = np.asarray(values, dtype=float)
    if log:
        shown = np.log10(np.where(shown > 1e-16 * np.nanmax(shown), shown, np.nan))
        unit = f"log10 {unit}"
    figure = Figure(
        go.Heatmap(z=shown, x=x, y=y, colorscale="Viridis", colorbar={"title": {"text": unit}, "thickness": 12})
    )
    if diverging:
        reach = float(np.nanmax(np.abs(shown), initial=0)) or 1.0
        figure.update_traces(colorscale="RdBu", zmin=-reach, zmax=reach, zmid=0)
        figure.update_yaxes(autorange="reversed")
    return style(figure, title, x_title, y_title, height)


def scatter(
    x: ArrayLike, y: ArrayLike, *, title: str, x_title: str, y_title: str, labels: Sequence[str] = (),
    colors: ArrayLike | None = None, square: bool = False,
) -> go.Figure:  # fmt: skip
    """A scatter plot; points may have labels on hover and a number that colours them."""
    marker: dict[str, object] = {"size": 6, "color": BLUE}
    if colors is not None:
        marker.update(color=np.asarray(colors), colorscale="Viridis", showscale=True)
    figure = Figure(
        go.Scatter(
            x=np.asarray(x), y=np.asarray(y), mode="markers", marker=marker, text=list(labels) or None, showlegend=False
        )
    )
    style(figure, title, x_title, y_title, height=440 if square else 340)
    return figure.update_yaxes(scaleanchor="x") if square else figure


def timeline(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]], *, title: str, y_title: str, log_y: bool = False,
    background: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None, marks: Mapping[str, float | None] | None = None,
    shown: int = 8,
) -> go.Figure:  # fmt: skip
    """Curves against training steps; a button makes the step axis logarithmic.

    Args:
        curves: steps and values by name; the first 16 are drawn.
        title: of the figure.
        y_title: of the values.
        log_y: make the value axis logarithmic.
        background: shares from 0 to 1, such as accuracies, drawn faintly on an axis of their own.
        marks: steps by name, drawn as vertical lines; None is left out.
        shown: number of curves that are visible at first; a click in the legend shows the others.

    Returns:
        The figure.
    """
    figure = Figure()
    for (name, (x, y)), color in zip((background or {}).items(), (BLUE, ORANGE), strict=False):
        figure.add_scatter(
            x=np.asarray(x), y=np.asarray(y), name=name, mode="lines", yaxis="y2", opacity=0.35, hoverinfo="skip",
            line={"color": color, "width": 2, "dash": "dot"},
        )  # fmt: skip
    for i, (name, (x, y)) in enumerate(list(curves.items())[:LEGEND]):
        figure.add_scatter(
            x=np.asarray(x), y=np.asarray(y), name=name, mode="lines+markers", marker={"size": 4}, connectgaps=False,
            line={"color": PALETTE[(i + 2) % len(PALETTE)]}, visible=True if i < shown else "legendonly",
        )  # fmt: skip
    style(figure, title, "step", y_title)
    for name, step in (marks or {}).items():
        if step is not None:
            figure.add_vline(x=step, line={"color": GREY, "width": 1, "dash": "dash"}, annotation_text=name)
    kinds = [
        {"label": kind, "method": "relayout", "args": [{"xaxis.type": kind, "xaxis.autorange": True}]} for kind in AXES
    ]
    buttons = {
        "type": "buttons", "direction": "right", "x": 0, "xanchor": "left", "y": -0.1, "yanchor": "top", "buttons": kinds,
        "pad": {"t": 4, "b": 0}, "font": {"size": 10},
    }  # fmt: skip
    rows = (min(len(curves), LEGEND) + len(background or {}) + 1) // 2
    figure.update_layout(
        updatemenus=[buttons],
        height=340 + 20 * max(0, rows - 2),
        margin_b=90 + 20 * max(0, rows - 2),
        legend_y=-0.3 * 200 / 220,
        yaxis2={
            "overlaying": "y", "side": "right", "range": [-0.02, 1.05], "showgrid": False, "tickmode": "array",
            "tickvals": [0, 0.5, 1], "title": "accuracy",
        },
    )  # fmt: skip
    if not background:
        figure.update_layout(yaxis2={"visible": False})
    return figure.update_yaxes(type="log", exponentformat="power", nticks=8, selector=0) if log_y else figure
