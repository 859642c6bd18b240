"""A threshold of accuracy with its side, compared with whole numbers of right answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from interp.errors import UnknownName, require_range, unknown

SIDES = (">", ">=")
ROUNDING = 1e-6  # of a share in float32, where nobody knows of how many examples it is


@dataclass(frozen=True)
class Threshold:
    """An accuracy that counts as reached: above it, or at least it.

    A share is a number of right answers over a number of examples, and both are whole: 9 of 10 is exactly 0.9, although nine
    times 0.1 is not.

    Attributes:
        share: 0 to 1, meant as it is written: 0.9 is nine tenths.
        side: ``">"`` or ``">="``.

    Raises:
        UnknownName: another side.
        InterpError: a share that none is.

    >>> Threshold(0.9, ">=").needed(10), Threshold(0.9, ">").needed(10)
    (9, 10)
    >>> Threshold(0.9, ">=").reached(sum([0.1] * 9), 10), Threshold(0.9, ">").reached(0.9, 10)
    (True, False)
    """

    share: float
    side: str = ">="

    def __post_init__(self) -> None:
        require_range("threshold", self.share, 0, 1)
        if self.side not in SIDES:
            raise UnknownName(unknown("side of a threshold", self.side, SIDES))

    def needed(self, n: int) -> int:
        """The fewest right answers of ``n`` that reach it; above ``n`` where not even all do."""
        return _needed(float(self.share), self.side, n)

    @property
    def least(self) -> float:
        """The share from which it counts as reached where the number of examples is not known, give or take a rounding."""
        return self.share - ROUNDING if self.side == ">=" else math.nextafter(self.share + ROUNDING, 2)

    def reached(self, share: float, n: int) -> bool:
        """Whether a share of ``n`` examples reaches it."""
        return round(share * n) >= self.needed(n)


@lru_cache(maxsize=1024)
def _needed(share: float, side: str, n: int) -> int:
    exact = Fraction(str(share)) * n
    return math.ceil(exact) if side == ">=" else math.floor(exact) + 1
