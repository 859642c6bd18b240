"""A figure of every checkpoint of a run, with a slider over the steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from interp.errors import InterpError, MissingCapability, UnknownName, kind_of, require_range, unknown
from interp.subject import Subject
from probes.plots import panels
from probes.plots.attention_patterns import attention
from probes.plots.frequency_panels import frequencies
from probes.plots.logit_parts import logit_attribution
from probes.plots.unit_maps import unit

if TYPE_CHECKING:
    import plotly.graph_objects as go

DRAWN: dict[str, Callable[..., Any]] = {
    "attention": attention, "frequencies": frequencies, "logit_attribution": logit_attribution, "unit": unit,
}  # fmt: skip


def over_checkpoints(
    subject: Subject, draw: str | Callable[..., go.Figure], *, most: int = 12, **options: Any
) -> go.Figure:
    """A figure with a slider over the checkpoints of a run; colours and axes are the same at every step.

    Args:
        subject: with several checkpoints.
        draw: a figure of this room by name (``"attention"``, ``"frequencies"``, ``"logit_attribution"``, ``"unit"``), or any
            function of a Subject that returns a plotly figure.
        most: checkpoints, evenly chosen, with the first and the last.
        options: arguments of the figure, such as ``unit=3``.

    Returns:
        the figure, at the last checkpoint first.

    Raises:
        MissingCapability: a single checkpoint.
        UnknownName: no such figure.
        InterpError: what does not draw a plotly figure, or not the same traces at every step.

    >>> import interp
    >>> figure = over_checkpoints(interp.load(interp.__path__[0] + "/demo/run"), "unit", unit=3, most=3)
    >>> [frame.name for frame in figure.frames]
    ['0', '3000', '8000']
    """
    import plotly.graph_objects as go

    if not isinstance(subject, Subject):
        raise InterpError(f"a Subject with checkpoints is needed (interp.load(RUN)), got {kind_of(subject)}")
    for reason in subject.lacks(["series"]):
        raise MissingCapability(f"{subject.name}: {reason}")
    function = _function(draw)
    require_range("most", most, 2, 100)
    series = subject.series
    assert series is not None  # has the capability
    chosen = sorted({round(i) for i in np.linspace(0, len(series) - 1, min(most, len(series)))})
    if function is frequencies and "frequencies" not in options:
        options["frequencies"] = _last_frequencies(subject)
    if function is attention:
        options = {"examples": 0, **options}
    drawn = []
    for i in chosen:
        there = replace(subject, model=series[i], step=series.steps[i])
        figure = function(there, **options)
        if not isinstance(figure, go.Figure):
            raise InterpError(f"{getattr(draw, '__name__', draw)} returns {kind_of(figure)}, a plotly figure is needed")
        drawn.append(figure)
    return _joined(drawn, [series.steps[i] for i in chosen])


def _function(draw: Any) -> Callable[..., Any]:
    if callable(draw):
        return draw
    if draw not in DRAWN:
        raise UnknownName(unknown("figure", draw, DRAWN))
    return DRAWN[draw]


def _last_frequencies(subject: Subject) -> list[int]:
    from probes import cyclic_tables, fourier

    return sorted(fourier.logit_frequencies(cyclic_tables.logit_table(subject))[:6]) or [1]


def _joined(drawn: Sequence[go.Figure], steps: Sequence[int]) -> go.Figure:
    """Figures of the same traces as the frames of one."""
    import plotly.graph_objects as go

    counts = {tuple(trace.type for trace in panels.traces(figure)) for figure in drawn}
    if len(counts) > 1:
        raise InterpError(
            "the figure has other traces at other checkpoints: fix them by an argument, such as frequencies="
        )
    made = panels.shown(drawn[-1])
    _same_scales(made, drawn)
    title = made.layout.title.text or ""
    made.frames = [
        go.Frame(data=figure.data, name=str(step), layout={"title": {"text": f"{title}, step {step:,}"}})
        for figure, step in zip(drawn, steps, strict=True)
    ]
    how = {"mode": "immediate", "frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}}
    slider = {
        "steps": [{"method": "animate", "label": f"{s:,}", "args": [[str(s)], how]} for s in steps],
        "currentvalue": {"prefix": "step "}, "pad": {"t": 40}, "active": len(steps) - 1,
    }  # fmt: skip
    height = (made.layout.height or 340) + 90
    return made.update_layout(sliders=[slider], title_text=f"{title}, step {steps[-1]:,}", height=height)


def _same_scales(made: go.Figure, drawn: Sequence[go.Figure]) -> None:
    """The same range of colours and of values at every step."""
    reach: dict[str, tuple[float, float]] = {}
    for figure in drawn:
        for trace in panels.traces(figure):
            for name, values in _scaled(trace):
                known = np.asarray(values, dtype=float)
                known = known[np.isfinite(known)]
                if known.size:
                    low, high = reach.get(name, (np.inf, -np.inf))
                    reach[name] = min(low, float(known.min())), max(high, float(known.max()))
    for name, (low, high) in reach.items():
        if name == "coloraxis":
            axis = made.layout.coloraxis
            signed = axis.cmin is not None and axis.cmin < 0
            far = max(abs(low), abs(high)) or 1.0
            low = low if axis.cmin is None else min(low, axis.cmin)
            high = high if axis.cmax is None else max(high, axis.cmax)
            axis.update(cmin=-far if signed else low, cmax=far if signed else high)
        elif name.startswith(("xaxis", "yaxis")):
            own = made.layout[name]
            if own.type in (None, "linear") and own.autorange is None:
                pad = 0.05 * ((high - low) or 1.0)
                own.range = [low - pad, high + pad]
    for figure in (made, *drawn):
        for trace in panels.traces(figure):
            if trace.type == "heatmap" and not trace.coloraxis and "z" in reach:
                trace.update(zmin=reach["z"][0], zmax=reach["z"][1], zmid=None)


def _scaled(trace: Any) -> list[tuple[str, Any]]:
    """The numbers of a trace, by what scale they share."""
    if trace.type == "heatmap":
        return [("coloraxis" if trace.coloraxis else "z", trace.z)]
    if trace.type not in ("bar", "scatter", "scattergl"):
        return []
    found = []
    for letter in "xy":
        values, axis = getattr(trace, letter), getattr(trace, f"{letter}axis") or letter
        if values is not None and np.asarray(values).dtype.kind in "fiu" and (trace.type != "bar" or letter == "y"):
            found.append((f"{letter}axis{axis[1:]}", values))
    return found
