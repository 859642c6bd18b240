"""The figure of a ranking: horizontal bars, each beside its name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from interp.notebook.figure import Figure
from interp.report import figures

ROUNDING = 1e-9  # share of the largest value below which one counts as 0


def nonzero(values: pd.Series) -> pd.Series:
    """Which values are not 0 up to rounding.

    Args:
        values: of either sign.

    Returns:
        a truth value for each.
    """
    size = values.abs()
    return size > ROUNDING * size.max()


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
