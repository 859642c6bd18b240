"""The part of plotly.js that a page needs, compressed; the page unpacks it after its first paint."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable
from functools import cache
from importlib import resources

from markupsafe import Markup
from plotly.offline import get_plotlyjs

BUNDLE = "vendor/plotly-cartesian.min.js.gz"
CARTESIAN = frozenset(
    ("bar", "box", "contour", "heatmap", "histogram", "histogram2d", "histogram2dcontour", "image", "pie", "scatter",
     "scatterternary", "violin")
)  # fmt: skip


def plotly_js(types: Iterable[str]) -> Markup:
    """plotly.js for traces of these types, compressed with gzip and written in base64.

    Args:
        types: of the traces; none where the page has no figure.

    Returns:
        The bundle that ships with the suite where it draws them all, otherwise the whole plotly.js of the package plotly;
        nothing without figures.
    """
    wanted = set(types)
    if not wanted:
        return Markup("")
    return Markup(_cartesian() if wanted <= CARTESIAN else _whole())


@cache
def _cartesian() -> str:
    return base64.b64encode(resources.files("interp.report").joinpath(BUNDLE).read_bytes()).decode()


@cache
def _whole() -> str:
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode()
