"""A figure as a page holds it: thinned to what a screen shows, in binary arrays, without a template of its own."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io as pio
from markupsafe import Markup

from interp.report import figures

PIXELS = 1500  # width at which a curve still shows all that it has
SHORT = 8  # numbers that are shorter as text
NUMBERS = ("x", "y", "z", "array", "arrayminus", "color", "size")  # lists of a trace that may become binary
INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32")
CODES = {"int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4",
         "float64": "f8"}  # fmt: skip


def figure_data(figure: go.Figure) -> dict[str, Any]:
    """A figure as plain values, as small as it gets without a visible loss.

    Args:
        figure: any plotly figure; it stays as it is.

    Returns:
        ``data``, ``layout`` and, where there are any, ``frames``. Curves of more points than a screen has pixels keep the
        extremes of every pixel; arrays are binary, in single precision where that loses nothing visible; the default
        template is left out, since the page has one for all; curves without a colour of their own get distinct ones.
    """
    plain = figure.to_dict()
    layout = dict(plain.get("layout", {}))
    if _default_template(layout.get("template")):
        layout.pop("template")
    traces = [_thinned(dict(trace)) for trace in plain.get("data", [])]
    _distinguish(traces)
    found = {"data": [_packed(trace, "") for trace in traces], "layout": _packed(layout, "layout")}
    if plain.get("frames"):
        found["frames"] = [_packed(frame, "") for frame in plain["frames"]]
    return found


def figure_json(figure: go.Figure) -> Markup:
    """`figure_data` as JSON, escaped so that no text in it can close the script element around it."""
    text = json.dumps(_null(figure_data(figure)), separators=(",", ":"), allow_nan=False, default=str)
    return script_safe(text)


def script_safe(text: str) -> Markup:
    """JSON that no HTML parser finds an element in."""
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def trace_types(figure: go.Figure) -> set[str]:
    """The types of a figure's traces."""
    return {str(trace.type) for trace in figures.traces(figure)}


def _default_template(template: Any) -> bool:
    """Whether a figure has no template that somebody chose; comparing plain values is far cheaper than plotly's own."""
    default = pio.templates.default
    return not template or (default is not None and template == _plain_template(str(default)))


@cache
def _plain_template(name: str) -> dict[str, Any]:
    return dict(pio.templates[name].to_plotly_json())


def unpacked(value: Any) -> Any:
    """An array that plotly has written in binary, as a figure that was stored and read again holds it; all else as it is."""
    if not (isinstance(value, Mapping) and "bdata" in value):
        return value
    array = np.frombuffer(base64.b64decode(value["bdata"]), np.dtype(value["dtype"]))
    shape = value.get("shape")
    return array if shape is None else array.reshape([int(n) for n in str(shape).split(",")])


def _as_array(value: Any) -> np.ndarray | None:
    """Numbers, however plotly keeps them; None for everything else."""
    value = unpacked(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "iuf":
        return value
    if isinstance(value, (list, tuple)) and value and all(type(v) in (int, float) for v in value):
        return np.asarray(value)
    return None


def _packed(value: Any, key: str) -> Any:
    """The same with its arrays of numbers in the shortest form."""
    binary = isinstance(value, np.ndarray) or (isinstance(value, Mapping) and "bdata" in value)
    array = _as_array(value) if binary or key in NUMBERS else None
    if array is not None and key != "range":
        return _written(array)
    if isinstance(value, np.ndarray):
        return [_packed(v, "") for v in value.tolist()]
    if isinstance(value, Mapping):
        return {k: _packed(v, k) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_packed(v, key) for v in value]
    return value


def _written(array: np.ndarray) -> Any:
    narrow = narrowed(array)
    if narrow.size <= SHORT or narrow.ndim not in (1, 2):
        return (
            [float(f"{v:.9g}") if isinstance(v, float) else v for v in array.tolist()]
            if array.ndim == 1
            else array.tolist()
        )
    text = {"dtype": CODES[narrow.dtype.name], "bdata": base64.b64encode(narrow.tobytes()).decode()}
    return text | ({"shape": ", ".join(map(str, narrow.shape))} if narrow.ndim > 1 else {})


def narrowed(array: np.ndarray) -> np.ndarray:
    """Numbers in the smallest type in which no reader sees a difference.

    Args:
        array: whole numbers or floats.

    Returns:
        Integers exactly; floats in single precision if each stays within a millionth of itself, and within a hundred
        thousandth of the range of them all; otherwise in double precision.

    >>> narrowed(np.array([1, 300])).dtype.name, narrowed(np.array([0.1, 0.2])).dtype.name
    ('int16', 'float32')
    >>> narrowed(np.array([1e-300, 1.0])).dtype.name, narrowed(np.array([1e9, 1e9 + 1])).dtype.name
    ('float64', 'float64')
    """
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    if array.dtype.kind in "iu":
        fits = (d for d in INTEGERS if not array.size or _within(array, np.iinfo(d)))
        return array.astype(next(fits, "float64"))
    double = array.astype("float64")
    with np.errstate(over="ignore"):
        single = double.astype("float32")
    finite = np.isfinite(double)
    lost = np.abs(single[finite].astype("float64") - double[finite])
    span = float(np.ptp(double[finite])) if finite.any() else 0.0
    same = bool((lost <= 1e-6 * np.abs(double[finite])).all()) and (not span or bool((lost <= 1e-5 * span).all()))
    return single if same else double


def _within(array: np.ndarray, limits: Any) -> bool:
    return limits.min <= array.min() and array.max() <= limits.max


def _thinned(trace: dict[str, Any]) -> dict[str, Any]:
    """A curve of very many points without those that no screen shows; any other trace as it is."""
    if trace.get("type", "scatter") != "scatter" or "lines" not in trace.get("mode", "lines"):
        return trace
    x, y = _as_array(trace.get("x")), _as_array(trace.get("y"))
    if x is None or y is None or len(x) != len(y) or len(x) <= 2 * PIXELS or bool((np.diff(x) < 0).any()):
        return trace
    kept = extremes(x.astype(float), y.astype(float))
    return _taken(trace, kept, len(x))


def _taken(value: Any, kept: np.ndarray, n: int) -> Any:
    """The same with every list of ``n`` things cut down to those kept."""
    array = _as_array(value)
    if array is not None and array.ndim == 1 and len(array) == n:
        return array[kept]
    if isinstance(value, Mapping):
        return {k: _taken(v, kept, n) for k, v in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)) and len(value) == n:
        return [value[i] for i in kept]
    return value


def extremes(x: np.ndarray, y: np.ndarray, pixels: int = PIXELS) -> np.ndarray:
    """Which points of a curve a screen shows, on a linear axis and on a logarithmic one.

    Args:
        x: in ascending order.
        y: as many.
        pixels: of the axis.

    Returns:
        Indices: of every pixel the lowest and the highest point, and one that is not a number; first and last.
    """
    kept = {0, len(x) - 1}
    for scale in (x, np.log(x, where=x > 0, out=np.full(len(x), -np.inf))):
        finite = np.isfinite(scale)
        if not finite.any() or scale[finite][0] == scale[finite][-1]:
            continue
        low, high = scale[finite][0], scale[finite][-1]
        bucket = np.where(finite, (np.where(finite, scale, low) - low) / (high - low) * (pixels - 1), -1).astype(int)
        kept |= set(_per_bucket(bucket, y))
    return np.array(sorted(kept))


def _per_bucket(bucket: np.ndarray, y: np.ndarray) -> Iterator[int]:
    starts = np.flatnonzero(np.r_[True, bucket[1:] != bucket[:-1]])
    for begin, end in zip(starts, np.r_[starts[1:], len(y)], strict=True):
        part = y[begin:end]
        bad = np.isnan(part)
        if bad.any():
            yield int(begin + bad.argmax())
        if not bad.all():
            yield int(begin + np.nanargmin(part))
            yield int(begin + np.nanargmax(part))


def _distinguish(traces: list[dict[str, Any]]) -> None:
    """Curves without a colour of their own, where there are more than colours: colour and dash, or colour and symbol."""
    bare = [t for t in traces if t.get("type", "scatter") == "scatter" and not _coloured(t)]
    if len(bare) <= len(figures.PALETTE):
        return
    for i, trace in enumerate(bare):
        color, dash, symbol = figures.look(i)
        trace["line"] = {"dash": dash, **trace.get("line", {}), "color": color}
        trace["marker"] = {"symbol": symbol, **trace.get("marker", {}), "color": color}


def _coloured(trace: Mapping[str, Any]) -> bool:
    return any("color" in trace.get(part, {}) or "coloraxis" in trace.get(part, {}) for part in ("line", "marker"))


def _null(value: Any) -> Any:
    """The same with null for numbers that JSON has no form for."""
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, Mapping):
        return {k: _null(v) for k, v in value.items()}
    return [_null(v) for v in value] if isinstance(value, list) else value
