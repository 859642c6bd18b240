"""Bounds that were published in place of a number: *over 99%*, *between 2 and 5*."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

CONDITIONS = ("above", "at_least", "below", "at_most")


@dataclass(frozen=True)
class Bounds:
    """Where a number lies.

    Attributes:
        above: it is larger than this.
        at_least: it is this or larger.
        below: it is smaller than this.
        at_most: it is this or smaller.
    """

    above: float | None = None
    at_least: float | None = None
    below: float | None = None
    at_most: float | None = None

    def __str__(self) -> str:
        given = ((name, getattr(self, name)) for name in CONDITIONS)
        return " and ".join(f"{name.replace('_', ' ')} {limit!r}" for name, limit in given if limit is not None)

    def holds(self, value: Any) -> bool:
        """Whether a number lies there.

        Args:
            value: what was computed; anything but a number does not.

        Returns:
            whether every bound holds.

        >>> Bounds(at_least=2, below=5).holds(2), Bounds(above=2).holds(2), Bounds(at_most=2).holds(float("nan"))
        (True, False, False)
        """
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
            return False
        return (
            (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
            and (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
        )

    @property
    def empty(self) -> bool:
        """Whether no number lies there."""
        low = max((limit for limit in (self.above, self.at_least) if limit is not None), default=-math.inf)
        high = min((limit for limit in (self.below, self.at_most) if limit is not None), default=math.inf)
        open_ = self.above == low or self.below == high
        return low > high or (low == high and open_)
