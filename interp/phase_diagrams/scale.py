"""Where the cells of a phase diagram lie along an axis: their edges, to scale wherever the values allow it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from interp.phase_diagrams.axes import ordered

ORDER, LINEAR, LOG = "order", "linear", "log"
TICKS = 12
CLOSEST = 1 / 25  # of the axis: values that are closer than this get no tick each, their labels would overlap


@dataclass(frozen=True)
class Scale:
    """The values along an axis and how distances between them are drawn.

    Attributes:
        values: numbers by size, then text.
        kind: ``linear``, ``log``, or ``order``: one cell's width from each to the next.
    """

    values: tuple[Any, ...]
    kind: str

    @classmethod
    def of(cls, values: Iterable[Any], *, log: bool = False) -> Scale:
        """The scale of some values.

        Args:
            values: as cells have them, in any order.
            log: they were spaced evenly in their logarithm.

        Returns:
            a logarithmic scale where that was so, or spaces them more evenly over a decade or more; numbers are to scale,
            unless a 0 among logarithmic ones has no place; text is in its order.

        >>> [Scale.of(v).kind for v in ([0.1, 0.01, 0.001], [0, 0.5, 2], [0, 0.1, 1, 10], ["tanh", "relu"], [3])]
        ['log', 'linear', 'order', 'order', 'order']
        """
        own = tuple(ordered(values))
        if len(own) < 2 or not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in own):
            return cls(own, ORDER)
        if not log and not _geometric([v for v in own if v > 0]):
            return cls(own, LINEAR)
        return cls(own, LOG if own[0] > 0 else ORDER)

    @property
    def positions(self) -> list[float]:
        """Where each value is along the axis, from 0 to 1."""
        places = self._places()
        extent = places[-1] - places[0] or 1.0
        return [(place - places[0]) / extent for place in places]

    @property
    def edges(self) -> list[float]:
        """The edges of the cells in the axis's own unit, one more than values: halfway to the next, as far beyond the ends."""
        places = self._places()
        inner = [(a + b) / 2 for a, b in pairwise(places)]
        ends = (inner[0] - places[0], places[-1] - inner[-1]) if inner else (0.5, 0.5)
        found = [places[0] - ends[0], *inner, places[-1] + ends[1]]
        return [math.exp(place) for place in found] if self.kind == LOG else found

    def _places(self) -> list[float]:
        if self.kind == ORDER:
            return [float(i) for i in range(len(self.values))]
        return [math.log(v) if self.kind == LOG else float(v) for v in self.values]

    def axis(self) -> dict[str, Any]:
        """Arguments for plotly's axes: type, range and ticks."""
        shown: dict[str, Any] = {"type": "log" if self.kind == LOG else "linear", "showgrid": False, "zeroline": False}
        low, high = self.edges[0], self.edges[-1]
        shown["range"] = [math.log10(low), math.log10(high)] if self.kind == LOG else [low, high]
        near = min((b - a for a, b in pairwise(self.positions)), default=1.0)
        if self.kind == ORDER:
            some = range(0, len(self.values), -(-len(self.values) // TICKS))
            return {**shown, "tickvals": list(some), "ticktext": [short(self.values[i]) for i in some]}
        if len(self.values) <= TICKS and near >= CLOSEST:
            return {**shown, "tickvals": list(self.values), "ticktext": [short(v) for v in self.values]}
        return {**shown, "exponentformat": "power"}


def _geometric(numbers: Sequence[float]) -> bool:
    """Whether numbers by size span a decade, and more evenly in their logarithm."""
    if len(numbers) < 2 or numbers[-1] < 10 * numbers[0]:
        return False
    return _unevenness([math.log(v) for v in numbers]) < _unevenness(numbers) or len(numbers) == 2


def _unevenness(places: Sequence[float]) -> float:
    steps = [b - a for a, b in pairwise(places)]
    return max(steps) / min(steps)


def short(value: object) -> str:
    """A value as a label of an axis."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
