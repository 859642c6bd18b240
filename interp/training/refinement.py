"""Where a refined phase diagram has cells: squares are halved as long as phases meet in them."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from interp._util.schema import fits
from interp.errors import InterpError
from interp.training.plan import require_whole

WHERE = ("networks", "majorities")
Point = tuple[Fraction, ...]  # along each axis, from 0 to 1


@dataclass(frozen=True)
class Axis:
    """A setting that is varied continuously.

    Attributes:
        name: of the setting.
        low: its lowest value.
        high: its highest.
        log: values are evenly spaced in their logarithm.
        whole: values are rounded to whole numbers.
    """

    name: str
    low: float
    high: float
    log: bool = False
    whole: bool = False

    def value(self, at: Fraction) -> float | int:
        """The value at a place along the axis; both ends are exact, the others have 12 digits."""
        if at in (0, 1):
            found = self.high if at else self.low
        elif self.log:
            found = float(f"{self.low * (self.high / self.low) ** float(at):.12g}")
        else:
            found = float(f"{self.low + (self.high - self.low) * float(at):.12g}")
        return round(found) if self.whole else float(found)


@dataclass(frozen=True)
class Square:
    """A part of the diagram (an interval, if there is one axis), whose corners have been trained.

    Attributes:
        low: its lowest corner.
        size: along each axis.
    """

    low: Point
    size: Fraction

    def corners(self) -> list[Point]:
        """Its corners."""
        steps = itertools.product((Fraction(0), self.size), repeat=len(self.low))
        return [tuple(a + s for a, s in zip(self.low, some, strict=True)) for some in steps]

    def halves(self) -> list[Square]:
        """The squares of half the size in it."""
        half = self.size / 2
        lows = itertools.product((Fraction(0), half), repeat=len(self.low))
        return [Square(tuple(a + s for a, s in zip(self.low, some, strict=True)), half) for some in lows]


def read_axis(name: str, given: Any, whole: bool) -> Axis:
    """An axis as a user gives it.

    Args:
        name: of the setting.
        given: ``(low, high)`` or ``(low, high, "log")``.
        whole: whether its values are whole numbers.

    Returns:
        the axis.

    Raises:
        InterpError: anything else.
    """
    form = f"the axis {name} is (low, high) or (low, high, 'log')"
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) not in (2, 3):
        raise InterpError(f"{form}, got {given!r}")
    if not all(fits(v, float) for v in given[:2]) or (given[2:] and given[2] not in ("log", "linear")):
        raise InterpError(f"{form}, got {given!r}")
    low, high = given[:2]
    log = len(given) == 3 and given[2] == "log"
    if not low < high or (log and low <= 0):
        raise InterpError(f"the axis {name} needs low < high{', both above 0' if log else ''}, got {given!r}")
    if not math.isfinite(high - low):
        raise InterpError(f"the axis {name} is too long: {given!r}")
    return Axis(name, low, high, log, whole)


def first_squares(axes: int, cells: int) -> list[Square]:
    """The squares of the coarse grid.

    Args:
        axes: number of axes.
        cells: trained cells along each of them: the corners of the squares.

    Returns:
        the squares.

    Raises:
        InterpError: fewer than 2 cells.
    """
    require_whole("cells", cells, 2)
    size = Fraction(1, cells - 1)
    lows = itertools.product([i * size for i in range(cells - 1)], repeat=axes)
    return [Square(low, size) for low in lows]


def meeting(squares: Iterable[Square], phases: Mapping[Point, Sequence[str]], where: str = WHERE[0]) -> list[Square]:
    """The squares in which phases meet.

    Args:
        squares: whose corners have been trained.
        phases: of the networks of each cell.
        where: one of `WHERE`: whether all networks at the corners count, or the phase of each corner's majority; a corner
            without a majority counts as one where phases meet.

    Returns:
        those whose corners are not all of one phase.
    """
    seen = phases if where == WHERE[0] else {corner: _majority(found) for corner, found in phases.items()}
    return [s for s in squares if len({phase for corner in s.corners() for phase in seen[corner]}) > 1]


def _majority(found: Sequence[str]) -> list[str]:
    """The commonest phase; several where they are equally common."""
    counts = Counter(found)
    return [phase for phase, n in counts.items() if n == max(counts.values())]
