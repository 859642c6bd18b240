"""Thumbnails: a figure as a small drawing without axes, in SVG, beside the claim that it shows."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import plotly.graph_objects as go
from markupsafe import Markup
from plotly.colors import sample_colorscale

from interp.pictures import Picture

WIDTH, HEIGHT, EDGE = 120.0, 60.0, 3.0
CELLS = (40, 20)  # of a heat map, at most
POINTS = 120  # of a curve, at most
CURVES = 6
INK = "#3b78c2"


def thumbnail(shown: go.Figure | Picture) -> Markup:
    """A small drawing of the first curves, bars, points or cells of a figure.

    Args:
        shown: a figure or picture of a result.

    Returns:
        SVG or an image; empty for a figure of other kinds of traces.
    """
    if isinstance(shown, Picture):
        return Markup('<img src="{}" alt="" width="120">').format(Markup(shown.data_uri()))
    drawn: Any = shown.data
    traces = [t for t in drawn if t.type in ("bar", "scatter", "heatmap") and t.visible in (None, True)]
    if not traces:
        return Markup("")
    if traces[0].type == "heatmap":
        return _svg(_cells(traces[0]))
    placed = _places(shown, [t for t in traces if t.type != "heatmap"][:CURVES])
    return _svg("".join(_drawn(trace, x, y, i) for i, (trace, x, y) in enumerate(placed)))


def _svg(body: str) -> Markup:
    inside = body and f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" aria-hidden="true">{body}</svg>'
    return Markup(inside)  # numbers and checked colours alone


def _places(figure: go.Figure, traces: list[Any]) -> list[tuple[Any, np.ndarray, np.ndarray]]:
    """Every trace with its points in pixels; all share one frame, bars begin at its foot."""
    raw = [(t, _numbers(t.x, traces, "x"), _numbers(t.y, traces, "y")) for t in traces]
    raw = [(t, x if len(x) else np.arange(len(y), dtype=float), y) for t, x, y in raw]
    raw = [(t, _scaled(figure.layout.xaxis.type, x[:n]), _scaled(figure.layout.yaxis.type, y[:n]))
           for t, x, y in raw for n in [min(len(x), len(y))]]  # fmt: skip
    every_x, every_y = (np.concatenate([one[i] for one in raw]) for i in (1, 2))
    if any(t.type == "bar" for t in traces) and figure.layout.yaxis.type != "log":
        every_y = np.append(every_y, 0.0)
    (x_low, x_high), (y_low, y_high) = _span(every_x), _span(every_y)
    return [
        (t, EDGE + (x - x_low) / (x_high - x_low) * (WIDTH - 2 * EDGE),
         HEIGHT - EDGE - (y - y_low) / (y_high - y_low) * (HEIGHT - 2 * EDGE))
        for t, x, y in raw
    ]  # fmt: skip


def _numbers(values: Any, traces: list[Any], axis: str) -> np.ndarray:
    """Values as numbers; names as the places at which they first stand on the axis."""
    own = [] if values is None else list(_plain_values(values))
    try:
        return np.asarray(own, dtype=float)
    except (TypeError, ValueError):
        every = dict.fromkeys(
            str(v) for t in traces for v in (getattr(t, axis) if getattr(t, axis) is not None else ())
        )
        places = {name: i for i, name in enumerate(every)}
        return np.asarray([places[str(v)] for v in own], dtype=float)


def _plain_values(values: Any) -> Any:
    """The values of a trace; a figure that was read from JSON holds them as base64."""
    if not isinstance(values, dict):
        return values
    flat = np.frombuffer(base64.b64decode(values["bdata"]), dtype=values["dtype"])
    return flat.reshape([int(n) for n in str(values.get("shape", flat.size)).split(",")])


def _scaled(kind: str | None, values: np.ndarray) -> np.ndarray:
    if kind != "log":
        return values
    return np.log10(np.where(values > 0, values, np.nan))


def _span(values: np.ndarray) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _drawn(trace: Any, x: np.ndarray, y: np.ndarray, i: int) -> str:
    seen = np.isfinite(x) & np.isfinite(y)
    if trace.type == "bar":
        width = max(0.8, 0.8 * (WIDTH - 2 * EDGE) / max(len(x), 1))
        colors = _colors(trace.marker.color, len(x), i)
        bars = (
            f'<rect x="{px - width / 2:.1f}" y="{py:.1f}" width="{width:.1f}" height="{max(HEIGHT - EDGE - py, 0.5):.1f}" '
            f'fill="{color}"/>'
            for px, py, color, on in zip(x, y, colors, seen, strict=True) if on
        )  # fmt: skip
        return "".join(bars)
    color = _colors(trace.line.color or trace.marker.color, 1, i)[0]
    x, y = x[seen], y[seen]
    if trace.mode is not None and "lines" not in trace.mode:
        return "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="1.6" fill="{color}"/>' for a, b in _few(x, y))
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in _few(x, y))
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.5"/>'


def _few(x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    index = np.unique(np.linspace(0, len(x) - 1, min(len(x), POINTS)).round().astype(int)) if len(x) else []
    return [(float(x[i]), float(y[i])) for i in index]


def _colors(given: Any, n: int, i: int) -> list[str]:
    """One colour for every mark; what is not a plain hexadecimal colour becomes the palette's."""
    palette = (INK, "#e07b39", "#4b9e6a", "#8a63b3", "#c8504d", "#9aa3ad")
    each = list(given) if isinstance(given, (tuple, list, np.ndarray)) else [given] * n
    return [c if _plain(c) else palette[i % len(palette)] for c in each][:n] or [palette[0]] * n


def _plain(color: Any) -> bool:
    return (
        isinstance(color, str)
        and len(color) == 7
        and color[0] == "#"
        and all(c in "0123456789abcdefABCDEF" for c in color[1:])
    )


def _cells(trace: Any) -> str:
    values = np.asarray(_plain_values(trace.z), dtype=float)
    if values.ndim != 2 or not values.size:
        return ""
    rows, columns = (
        np.unique(np.linspace(0, size - 1, min(size, most)).round().astype(int))
        for size, most in zip(values.shape, CELLS[::-1], strict=True)
    )
    shown = values[np.ix_(rows, columns)]
    low, high = _span(shown)
    colors = sample_colorscale(
        "Viridis" if trace.zmid is None else "RdBu", np.clip((shown - low) / (high - low), 0, 1).ravel()
    )
    w, h = WIDTH / shown.shape[1], HEIGHT / shown.shape[0]
    return "".join(
        f'<rect x="{c * w:.1f}" y="{r * h:.1f}" width="{w + 0.2:.1f}" height="{h + 0.2:.1f}" fill="{color}"/>'
        for (r, c), color, value in zip(np.ndindex(shown.shape), colors, shown.ravel(), strict=True)
        if np.isfinite(value)
    )  # fmt: skip
