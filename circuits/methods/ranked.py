"""The figure of a ranking: horizontal bars, each beside its name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from interp.notebook.figure import Figure
from interp.report import figures


def ranked(names: Sequence[str], values: ArrayLike, *, title: str, value_title: str) -> go.Figure:
    """Horizontal bars, the first on top, each beside its name: names of any length stay legible.

    Args:
        names: of the bars, all different.
        values: as many.
        title: of the figure.
        value_title: of the axis of values.

    Returns:
        The figure, as high as its bars need.
    """
    figure = Figure(
        go.Bar(x=np.asarray(values, dtype=float), y=list(names), orientation="h", marker_color=figures.GREY)
    )
    figures.style(figure, title, value_title, "", height=max(240, 130 + 17 * len(names)))
    figure.update_layout(bargap=0.15)
    return figure.update_yaxes(autorange="reversed", type="category", dtick=1)
