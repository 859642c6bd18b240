"""Figures in HTML that draw themselves without the internet: plotly.js is carried once, compressed, by the first of them."""

from __future__ import annotations

import base64
import gzip
import html
from collections.abc import Mapping
from functools import cache
from itertools import count
from typing import Any

HEIGHT = 450  # of a figure that does not say
COLOUR = "#808790"  # of text that must be read on white and on black
OURS = "#555"  # the text of `interp.report.figures`, which is too dark for a dark notebook
NUMBERS = count()

DRAW = """(async id => {
 const place = document.getElementById(id), held = document.getElementById(id + "-data");
 window.interpPlotly ??= (async () => {
  if (window.Plotly) return window.Plotly;
  const carried = document.querySelector("script.interp-plotly");
  if (!carried) return null;
  const bytes = Uint8Array.from(atob(carried.textContent), c => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const code = await new Response(stream).text() + ";window.Plotly = window.Plotly || self.moduleName";
  new Function("define", "module", "exports", code)();
  return window.Plotly;
 })();
 const plotly = await window.interpPlotly;
 if (!plotly) { window.interpPlotly = undefined; return; }
 place.textContent = "";
 const figure = JSON.parse(held.textContent);
 await plotly.newPlot(place, figure.data, figure.layout, {responsive: true, displaylogo: false});
 if (figure.frames) plotly.addFrames(place, figure.frames);
})""".replace("\n ", "\n")


def prepared(figure: Any) -> dict[str, Any]:
    """A figure as plain values, its text in a colour that is legible on white and on black.

    Args:
        figure: of plotly.

    Returns:
        ``data``, ``layout`` and, if there are any, ``frames``.
    """
    import json

    plain = json.loads(figure.to_json())
    layout = plain.setdefault("layout", {})
    layout.setdefault("height", HEIGHT)
    font = layout.setdefault("font", {})
    if font.get("color", OURS) == OURS:
        font["color"] = COLOUR
    return plain


def div(plain: Mapping[str, Any], carry: bool) -> str:
    """A figure as HTML that draws itself.

    Args:
        plain: of `prepared`.
        carry: whether plotly.js goes with it; without, a figure before it on the page must carry it.

    Returns:
        a ``div``, the data, and a few lines of script.
    """
    import json

    name = f"interp-figure-{next(NUMBERS)}"
    data = json.dumps(plain, separators=(",", ":")).replace("<", "\\u003c")
    waiting = (
        f"{title_of(plain)}: this figure is drawn by plotly.js, which the notebook's first figure carries; "
        "run that cell again"
    )
    script = plotly_script() if carry else ""
    return (
        f'{script}<div id="{name}" style="height:{plain["layout"]["height"]}px">{html.escape(waiting)}</div>'
        f'<script type="application/json" id="{name}-data">{data}</script>'
        f'<script>{DRAW}("{name}")</script>'
    )


@cache
def plotly_script() -> str:
    """plotly.js, as it is installed, compressed in a script element that does not run."""
    from plotly.offline import get_plotlyjs

    packed = base64.b64encode(gzip.compress(get_plotlyjs().encode(), 6, mtime=0)).decode()
    return f'<script type="application/octet-stream" class="interp-plotly">{packed}</script>'


def title_of(plain: Mapping[str, Any]) -> str:
    """The title of a figure, or ``Figure``."""
    title = plain.get("layout", {}).get("title", {})
    text = title.get("text", "") if isinstance(title, Mapping) else str(title)
    return text or "Figure"
