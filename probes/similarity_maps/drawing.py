"""Figures of a similarity map: heat map, embedding, and the similarity of consecutive checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from probes.similarity import Measure
from probes.similarity_maps.segments import RepresentationChange

if TYPE_CHECKING:
    import plotly.graph_objects as go

NAMED = 30  # networks whose names stand in the embedding; of more they show on hover


def heat_map(
    frame: pd.DataFrame, site: str, measure: Measure, steps: Sequence[int] | None, changes: Sequence[RepresentationChange]
) -> go.Figure:  # fmt: skip
    """Similarity of every two rows as colours; change points as lines.

    Args:
        frame: ``[K, K]``.
        site: whose map it is.
        measure: of the values.
        steps: of the rows, where they are checkpoints.
        changes: of the representation.

    Returns:
        The figure.
    """
    from interp.report import figures

    labels = [f"{step:,}" for step in steps] if steps else short(map(str, frame.index))
    title = "training step" if steps else ""
    drawn = figures.heatmap(
        frame.to_numpy(), x=labels, y=labels, title=f"{_named(measure)} at {site}", x_title=title, y_title=title,
        unit=measure.name if measure.unit == "1" else f"{measure.name} ({measure.unit})", height=460,
    )  # fmt: skip
    drawn.update_yaxes(autorange="reversed", scaleanchor="x", constrain="domain", nticks=20)
    drawn.update_xaxes(constrain="domain", nticks=20)
    if measure.unit == "1":
        drawn.update_traces(zmin=0, zmax=1)
    if not measure.higher_is_more_alike:
        drawn.update_traces(reversescale=True)
    for change in changes:
        place = next(i for i, step in enumerate(steps or ()) if step > change.step) - 0.5
        line = {"color": "white", "width": 1, "dash": "dash"}
        drawn.add_shape(type="line", x0=place, x1=place, y0=0, y1=1, yref="y domain", line=line)
        drawn.add_shape(type="line", y0=place, y1=place, x0=0, x1=1, xref="x domain", line=line)
    return drawn


def scatter(points: pd.DataFrame, site: str, steps: Sequence[int] | None) -> go.Figure:
    """The embedding of networks, named, or of checkpoints along their path.

    Args:
        points: ``[K, 2]``.
        site: whose map it is.
        steps: where the points are checkpoints.

    Returns:
        The figure.
    """
    from interp.report import figures

    labels = short(map(str, points.index))
    title = f"Networks by similarity at {site}: {points.attrs['share']:.0%} of the squared distances"
    x, y = points[1].to_numpy(), points[2].to_numpy()
    if steps is None:
        drawn = figures.scatter(x, y, labels=labels, title=title, x_title="MDS 1", y_title="MDS 2", square=True)
        if len(points) <= NAMED:
            drawn.update_traces(mode="markers+text", textposition="top center")
        return drawn
    own = [int(step) for step in points.index]
    drawn = figures.scatter(
        x, y, labels=[f"step {step:,}" for step in own], colors=own, title=title.replace("Networks", "Checkpoints"),
        x_title="MDS 1", y_title="MDS 2", square=True, color_title="step",
    )  # fmt: skip
    return drawn.update_traces(mode="lines+markers", line={"color": figures.GREY, "width": 1})


def line(frame: pd.DataFrame, site: str, measure: Measure, changes: Sequence[RepresentationChange]) -> go.Figure:
    """Similarity of each checkpoint to the next, with the changes and their intervals.

    Args:
        frame: ``step, next_step, value``.
        site: whose map it is.
        measure: of the values.
        changes: of the representation.

    Returns:
        The figure.
    """
    from interp.report import figures

    middle = (frame["step"] + frame["next_step"]) / 2
    marks = {f"change {i}" if len(changes) > 1 else "change": c.step for i, c in enumerate(changes, 1)}
    drawn = figures.timeline(
        {"to the next checkpoint": (middle, frame["value"])}, title=f"{_named(measure)} of consecutive checkpoints at {site}",
        y_title=measure.name, marks=marks,
    )  # fmt: skip
    for change in changes:
        drawn.add_vrect(x0=change.low, x1=change.high, fillcolor=figures.ORANGE, opacity=0.15, line_width=0)
    return drawn


def short(names: Sequence[str] | map) -> list[str]:
    """Names without the words with which all of them begin.

    Args:
        names: of networks.

    Returns:
        What tells them apart; the names themselves where one would have nothing left.

    >>> short(["runs/p53 seed=1", "runs/p53 seed=2"]), short(["a", "a b"])
    (['seed=1', 'seed=2'], ['a', 'a b'])
    """
    whole = list(names)
    words = [name.split(" ") for name in whole]
    while len(whole) > 1 and all(len(one) > 1 for one in words) and len({one[0] for one in words}) == 1:
        words = [one[1:] for one in words]
    return [" ".join(one) for one in words]


def _named(measure: Measure) -> str:
    return measure.summary[:1].upper() + measure.summary[1:]
