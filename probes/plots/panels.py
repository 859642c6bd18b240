"""Panels side by side in the suite's style, and figures that a static export shows too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from interp.notebook.figure import Figure
from interp.report import figures

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST = 32  # panels in a figure
ACROSS = 4  # panels in a row
SIGNED = [[0.0, "#e07b39"], [0.5, "#f7f7f7"], [1.0, "#3b78c2"]]  # orange below 0, blue above: told apart by all readers


def grid(titles: Sequence[str], *, title: str, across: int = ACROSS, size: int = 250, **subplots: Any) -> go.Figure:
    """An empty figure of panels.

    Args:
        titles: of the panels, row by row.
        title: of the figure.
        across: panels in a row.
        size: height of a row in pixels.
        subplots: as of ``plotly.subplots.make_subplots``.

    Returns:
        the figure; `place` says which row and column is the panel of an index.
    """
    from plotly.subplots import make_subplots

    columns = min(across, len(titles))
    rows = math.ceil(len(titles) / columns)
    gaps = {"vertical_spacing": 0.36 / rows if rows > 1 else 0.2, "horizontal_spacing": 0.24 / columns}
    made = make_subplots(figure=Figure(), rows=rows, cols=columns, subplot_titles=list(titles), **{**gaps, **subplots})
    figures.style(made, title, "", "", height=size * rows + 110)
    made.update_layout(margin={"t": 90, "b": 50})
    made.update_annotations(font_size=12)
    return made


def place(index: int, panels: int, across: int = ACROSS) -> dict[str, int]:
    """Row and column of a panel, from 1, as plotly takes them."""
    columns = min(across, panels)
    return {"row": index // columns + 1, "col": index % columns + 1}


def shown(figure: go.Figure) -> go.Figure:
    """The same figure, which a static export of the notebook shows too."""
    return Figure(figure)


def signed_axis(reach: float, title: str) -> dict[str, Any]:
    """A colour axis on which 0 is white: ``coloraxis`` of a layout."""
    bar = {"title": {"text": title, "side": "right"}, "thickness": 12}
    return {"colorscale": SIGNED, "cmin": -(reach or 1.0), "cmax": reach or 1.0, "colorbar": bar}


def traces(figure: go.Figure) -> list[Any]:
    """The traces of a figure."""
    return list(figure.data)


def square(figure: go.Figure) -> go.Figure:
    """Maps with square cells and the first row on top."""
    for trace in traces(figure):
        if trace.type == "heatmap":
            x, y = (getattr(trace, f"{letter}axis") or letter for letter in "xy")
            figure.layout[f"xaxis{x[1:]}"].constrain = "domain"
            figure.layout[f"yaxis{y[1:]}"].update(scaleanchor=x, constrain="domain", autorange="reversed")
    return figure
