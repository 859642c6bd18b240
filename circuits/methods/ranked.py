"""The figure of a ranking: horizontal bars, each beside its name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from interp.notebook.figure import Figure
from interp.report import figures

ROUNDING = 1e-9  # share of the largest value below which one counts as 0


def ranked(
    names: Sequence[str], values: ArrayLike, *, method: str, of: str, value_title: str, shown: int = 40
) -> go.Figure:
    """Horizontal bars, the largest by size on top, each beside its name: names of any length stay legible.

    Args:
        names: of the bars, all different.
        values: as many, in any order; those that are 0 up to rounding, or NaN, are left out.
        method: that ranked them.
        of: what they are, in the plural.
        value_title: of the axis of values.
        shown: bars at most.

    Returns:
        The figure, as high as its bars need.
    """
    numbers = np.asarray(values, dtype=float)
    size = np.abs(numbers)
    order = np.argsort(-size, kind="stable")  # NaN last
    counted = order[size[order] > ROUNDING * np.nanmax(size, initial=0.0)]
    first, rest = counted[:shown], "" if len(counted) == len(numbers) else "; the others are 0"
    if len(counted) > shown:
        rest = "; the others are smaller"
    figure = Figure(go.Bar(x=numbers[first], y=[names[i] for i in first], orientation="h", marker_color=figures.GREY))
    title = f"{method}: the largest {len(first)} of {len(numbers)} {of} by size{rest}"
    figures.style(figure, title, value_title, "", height=max(240, 130 + 17 * len(first)))
    figure.update_layout(bargap=0.15)
    return figure.update_yaxes(autorange="reversed", type="category", dtick=1)
