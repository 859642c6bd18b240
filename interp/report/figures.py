"""Figures in one style: plain, legible, and transparent, so that they suit a light and a dark page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from interp.notebook.figure import Figure

# Okabe and Ito's colours, which colour-blind readers tell apart
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"
GREY, AXES = "#8a939d", ("linear", "log")
LEGEND = 16  # curves in one figure
PALETTE = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY)
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SYMBOLS = ("circle", "diamond", "square", "cross", "triangle-up", "x", "star", "hexagon")
EFFECT = ((0, "#a9b4bf"), (0.5, ORANGE), (1, RED))  # of little effect to much, on a light page and on a dark one
NATS = ("cross_entropy", "stablemax", "bce", "effective")  # losses in nats
GRID: dict[str, Any] = {"gridcolor": "rgba(128,128,128,0.22)", "zerolinecolor": "rgba(128,128,128,0.4)"}
TEMPLATE: dict[str, Any] = {
    "layout": {
        "colorway": list(PALETTE), "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)", "hovermode": "closest",
        "xaxis": {"automargin": True, "title": {"standoff": 8}, **GRID},
        "yaxis": {"automargin": True, "title": {"standoff": 8}, **GRID},
        "colorscale": {"sequential": "Viridis", "diverging": "RdBu"}, "coloraxis": {"colorbar": {"outlinewidth": 0}},
    },
    "data": {"heatmap": [{"colorbar": {"outlinewidth": 0}}], "scatter": [{"marker": {"colorbar": {"outlinewidth": 0}}}]},
}  # fmt: skip


def look(i: int) -> tuple[str, str, str]:
    """Colour, dash and symbol of the i-th of several curves; no two of the first hundreds are alike.

    Args:
        i: counted from 0.

    Returns:
        A colour of `PALETTE`, the dash of a line and the symbol of a marker.

    >>> look(0)[:2], look(6)[:2]
    (('#0072B2', 'solid'), ('#0072B2', 'dash'))
    """
    n, once = divmod(i, len(PALETTE))
    dash = DASHES[n] if n < len(DASHES) else f"{n}px,{2 + n // 3}px"
    return PALETTE[once], dash, SYMBOLS[n % len(SYMBOLS)]


def traces(figure: go.Figure) -> list[Any]:
    """The traces of a figure, whose stubs call them a text."""
    return list(figure.data)


def loss_unit(loss: str, name: str = "loss") -> str:
    """The title of an axis of losses.

    Args:
        loss: the task's loss, by name.
        name: what is drawn.

    Returns:
        The name, with the unit where it has one.

    >>> loss_unit("cross_entropy"), loss_unit("mse"), loss_unit("cross_entropy", "restricted loss")
    ('loss (nats)', 'loss', 'restricted loss (nats)')
    """
    return f"{name} (nats)" if loss.partition(":")[0] in NATS else name


def name_loss(figure: go.Figure, loss: str) -> go.Figure:
    """Add the unit to a vertical axis of losses.

    Args:
        figure: any; its axis counts as one of losses where its title begins with the word.
        loss: the task's loss, by name.

    Returns:
        The figure.
    """
    title = str(figure.layout.yaxis.title.text or "")  # pyright: ignore[reportAttributeAccessIssue]
    word, comma, rest = title.partition(",")
    return figure.update_yaxes(title=loss_unit(loss) + comma + rest) if word == "loss" else figure


def style(figure: go.Figure, title: str, x: str, y: str, height: int = 340) -> go.Figure:
    """Apply the suite's style to a figure, and return it."""
    layout: Any = figure.layout  # property by property: update_layout and its like take four times as long
    layout.title = {"text": title, "font": {"size": 15}, "x": 0, "xref": "paper"}
    layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)"
    layout.font, layout.hoverlabel = {"size": 12, "color": "#555"}, {"namelength": -1}
    layout.height, layout.colorway, layout.margin = height, PALETTE, {"l": 60, "r": 16, "t": 48, "b": 48}
    layout.legend = {"orientation": "h", "y": -0.22, "x": 0, "yanchor": "top"}
    for axes, name in ((figure.select_xaxes(), x), (figure.select_yaxes(), y)):
        for axis in axes:
            axis.title.text, axis.automargin = name, True
            axis.gridcolor, axis.zerolinecolor = GRID.values()
    return figure


def bars(
    x: Sequence[object], y: ArrayLike, *, title: str, x_title: str, y_title: str,
    highlight: Sequence[object] = (), log: bool = False,
) -> go.Figure:  # fmt: skip
    """A bar chart with some bars highlighted and labelled; near ones share a label."""
    heights = np.asarray(y, dtype=float)
    chosen = set(highlight)
    figure = Figure(go.Bar(x=list(x), y=heights, marker_color=[ORANGE if v in chosen else GREY for v in x]))
    marked = [i for i, label in enumerate(x) if label in chosen and np.isfinite(heights[i])]
    for group in _near(marked, list(x)) if len(chosen) <= 16 else ():
        top = max(group, key=lambda i: heights[i])
        if log and heights[top] <= 0:
            continue
        figure.add_annotation(
            x=x[top], y=np.log10(heights[top]) if log else heights[top], text=", ".join(str(x[i]) for i in group),
            showarrow=False, yshift=9,
        )  # fmt: skip
    style(figure, title, x_title, y_title)
    figure.update_layout(bargap=0.15)
    return figure.update_yaxes(type="log", exponentformat="power", nticks=8, minor_showgrid=False) if log else figure


def _near(marked: Sequence[int], x: Sequence[object]) -> list[list[int]]:
    """Neighbours whose labels would overlap in a figure of 400 pixels, together."""
    numbers = [float(v) for v in x if isinstance(v, (int, float, np.number))]
    numeric = len(numbers) == len(x) > 0
    span = np.ptp(numbers) + 1 if numeric else len(x)
    groups: list[tuple[list[int], float]] = []  # places, where the label ends
    for i in sorted(marked, key=lambda i: numbers[i] if numeric else i):
        place, half = numbers[i] if numeric else i, 3.5 * (len(str(x[i])) + 2) * span / 400
        if groups and place - half < groups[-1][1]:
            members, end = groups.pop()
            groups.append(([*members, i], max(end, place) + half))
        else:
            groups.append(([i], place + half))
    return [members for members, _ in groups]


def lines(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]], *, title: str, x_title: str, y_title: str,
    log_x: bool = False, log_y: bool = False, markers: bool = False,
) -> go.Figure:  # fmt: skip
    """A line chart; each curve is given as (x, y), and gets its own pair of colour and dash."""
    figure = Figure()
    for i, (name, (x, y)) in enumerate(curves.items()):
        color, dash, symbol = look(i)
        figure.add_scatter(
            x=np.asarray(x), y=np.asarray(y), name=name, mode="lines+markers" if markers else "lines",
            line={"color": color, "dash": dash}, marker={"color": color, "symbol": symbol},
        )  # fmt: skip
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
        unit = f"log10 {unit}".rstrip()
    figure = Figure(go.Heatmap(z=shown, x=x, y=y, colorscale="Viridis", colorbar=color_bar(unit or "value")))
    for axis, labels in ((figure.update_xaxes, x), (figure.update_yaxes, y)):
        if labels is not None and np.asarray(labels).dtype.kind in "UO":
            axis(type="category")  # a name such as "23 *" among numbers is a place, too
    if diverging:
        reach = float(np.nanmax(np.abs(shown), initial=0)) or 1.0
        figure.update_traces(colorscale="RdBu", zmin=-reach, zmax=reach, zmid=0)
        figure.update_yaxes(autorange="reversed")
    return style(figure, title, x_title, y_title, height)


def color_bar(title: str) -> dict[str, Any]:
    """A slim colour bar with its title along it."""
    return {"title": {"text": title, "side": "right"}, "thickness": 12, "outlinewidth": 0}


def scatter(
    x: ArrayLike, y: ArrayLike, *, title: str, x_title: str, y_title: str, labels: Sequence[str] = (),
    colors: ArrayLike | None = None, square: bool = False, color_title: str = "",
) -> go.Figure:  # fmt: skip
    """A scatter plot; points may have labels on hover and a number that colours them, which ``color_title`` names."""
    marker: dict[str, object] = {"size": 6, "color": BLUE}
    if colors is not None:
        marker.update(
            color=np.asarray(colors), colorscale="Viridis", showscale=True, colorbar=color_bar(color_title or "value")
        )
    figure = Figure(
        go.Scatter(
            x=np.asarray(x), y=np.asarray(y), mode="markers", marker=marker, text=list(labels) or None, showlegend=False
        )
    )
    style(figure, title, x_title, y_title, height=440 if square else 340)
    return figure.update_yaxes(scaleanchor="x") if square else figure


def timeline(
    curves: Mapping[str, tuple[ArrayLike, ArrayLike]], *, title: str, y_title: str, log_y: bool = False,
    marks: Mapping[str, float | None] | None = None, shown: int = 8,
) -> go.Figure:  # fmt: skip
    """Curves against training steps; a button makes the step axis logarithmic.

    Args:
        curves: steps and values by name; the first 16 are drawn.
        title: of the figure.
        y_title: of the values.
        log_y: make the value axis logarithmic.
        marks: steps by name, drawn as vertical lines; None is left out.
        shown: number of curves that are visible at first; a click in the legend shows the others.

    Returns:
        The figure.
    """
    figure = Figure()
    for i, (name, (x, y)) in enumerate(list(curves.items())[:LEGEND]):
        color, dash, symbol = look(i)
        figure.add_scatter(
            x=np.asarray(x), y=np.asarray(y), name=name, mode="lines+markers", connectgaps=False, showlegend=True,
            marker={"size": 4, "color": color, "symbol": symbol}, line={"color": color, "dash": dash},
            visible=True if i < shown else "legendonly",
        )  # fmt: skip
    style(figure, title, "training step", y_title)
    mark_steps(figure, marks or {})
    kinds = [
        {"label": kind, "method": "relayout", "args": [{"xaxis.type": kind, "xaxis.autorange": True}]} for kind in AXES
    ]
    buttons = {
        "type": "buttons", "direction": "right", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom", "buttons": kinds,
        "pad": {"t": 0, "b": 0, "r": 0}, "font": {"size": 10},
    }  # fmt: skip
    figure.update_layout(updatemenus=[buttons], height=360, margin_t=64)
    return figure.update_yaxes(type="log", exponentformat="power", nticks=8) if log_y else figure


def mark_level(figure: go.Figure, value: float, name: str, color: str = GREY) -> go.Figure:
    """A horizontal line at a value, named at its right end; on a logarithmic axis as well, once that is set.

    Args:
        figure: to draw in.
        value: of the vertical axis.
        name: what the value is.
        color: of the line.

    Returns:
        The figure.
    """
    log = figure.layout.yaxis.type == "log"  # pyright: ignore[reportAttributeAccessIssue]
    if log and value <= 0:
        return figure
    figure.add_hline(y=value, line={"color": color, "width": 1.5, "dash": "dash"})
    return figure.add_annotation(
        x=1, xref="x domain", xanchor="right", y=np.log10(value) if log else value, yanchor="bottom", text=name, showarrow=False,
        font={"size": 10},
    )  # fmt: skip


def mark_steps(figure: go.Figure, marks: Mapping[str, float | None]) -> go.Figure:
    """Vertical lines at steps, named along the line, so that names of near steps do not overlap each other.

    Args:
        figure: with steps along its horizontal axis.
        marks: steps by name; None is left out.

    Returns:
        The figure.
    """
    line = {"color": GREY, "width": 1, "dash": "dash"}
    for name, step in marks.items():
        if step is not None:  # as add_vline draws them, which takes four times as long
            figure.add_shape(type="line", x0=step, x1=step, xref="x", y0=0, y1=1, yref="y domain", line=line)
            figure.add_annotation(
                x=step, xref="x", xanchor="right", y=1, yref="y domain", yanchor="top", text=name, textangle=-90,
                showarrow=False, font={"size": 10},
            )  # fmt: skip
    return figure
