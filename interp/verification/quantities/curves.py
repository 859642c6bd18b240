"""Quantities of the curves and checkpoints that a run has recorded."""

from __future__ import annotations

import math

from interp.errors import InterpError, UnknownName, unknown
from interp.verification.material import Material
from interp.verification.quantity import quantity

Points = list[tuple[int, float]]


def _curve(material: Material, name: str) -> Points:
    curves = material.subject.curves
    if name not in curves:
        raise UnknownName(f"{material.file}: {unknown('curve', name, curves)}")
    return curves[name]


@quantity("curve.at", summary="a recorded curve at a step", order=100)
def at(material: Material, *, curve: str, at_step: int) -> float:
    """The value at a step that was recorded."""
    found = dict(_curve(material, curve))
    if at_step not in found:
        near = min(found, key=lambda step: abs(step - at_step))
        raise InterpError(f"{curve} was not recorded at step {at_step:,}; the nearest is {near:,}")
    return found[at_step]


@quantity("curve.first", summary="the first recorded step at which a curve passes a value", order=101)
def first(
    material: Material, *, curve: str, above: float | None = None, at_least: float | None = None,
    below: float | None = None,
) -> int:  # fmt: skip
    """The first step with a value above, at least, or below a number."""
    return first_step(_curve(material, curve), curve, above, at_least, below)


def first_step(points: Points, name: str, above: float | None, at_least: float | None, below: float | None) -> int:
    """The first step whose value meets the one condition that is given.

    Args:
        points: steps and values, in order.
        name: of the curve, for messages.
        above: a value greater than this.
        at_least: a value of at least this.
        below: a value smaller than this.

    Returns:
        the step.

    Raises:
        InterpError: none or several conditions, or no such step.
    """
    given = [limit for limit in (above, at_least, below) if limit is not None]
    if len(given) != 1:
        raise InterpError("give one of above, at_least, below")
    for step, value in points:
        if math.isnan(value):
            continue
        if (above is not None and value > above) or (at_least is not None and value >= at_least):
            return step
        if below is not None and value < below:
            return step
    raise InterpError(f"{name} does not pass {given[0]} at any recorded step")


@quantity("curve.length", summary="number of points of a recorded curve", order=102)
def length(material: Material, *, curve: str) -> int:
    """Points that were recorded."""
    return len(_curve(material, curve))


@quantity("series.steps", summary="steps of the checkpoints of a run", order=103)
def steps(material: Material) -> list[int]:
    """In order."""
    series = material.subject.series
    return [] if series is None else list(series.steps)
