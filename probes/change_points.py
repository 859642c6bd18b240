"""When a curve changes: the best single step between two levels with its interval, and the step that passes a threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from interp.errors import InterpError

LIMIT = -2 * math.log(1 - math.sqrt(0.95))  # 7.35: see `change_point`
DECADES = 2.0  # a positive curve that spans at least this many is fitted in its logarithm


@dataclass(frozen=True)
class Change:
    """A change of level.

    Attributes:
        step: halfway between the last checkpoint before the change and the first after it.
        low: lower end of the 95% interval, in steps.
        high: upper end of the 95% interval, in steps.
        before: the level before, in the curve's own unit (a geometric mean if ``log``).
        after: the level after, likewise.
        explained: share of the curve's variance that the step explains; 0.75 for a straight slope.
        log: whether the curve's logarithm was fitted.
    """

    step: float
    low: int
    high: int
    before: float
    after: float
    explained: float
    log: bool


def change_point(steps: Sequence[int], values: Sequence[float], *, log: bool | None = None) -> Change | None:
    """Change point of a curve: the split into two levels with the smallest residual sum of squares (RSS).

    The interval holds every split whose profile likelihood, for independent normal residuals, is not rejected at 95%:
    ``n ln(RSS / RSS_min) <= 7.35``. On either side of the true step the log likelihood is a random walk that drifts down,
    whose maximum exceeds x with probability exp(-x), and that of both sides with 1 - (1 - exp(-x))^2 (Hinkley 1970,
    https://doi.org/10.1093/biomet/57.1.1; Siegmund 1986). Neighbouring checkpoints are correlated, so the interval is too
    narrow rather than too wide; it is never narrower than the two checkpoints around the step. Every checkpoint counts
    once, however far apart they are; values that are not finite are left out. Positive curves that span two decades or
    more are fitted in their logarithm. Of two changes the larger one is found.

    Args:
        steps: training steps, ascending.
        values: the curve, one value per step.
        log: whether to fit the logarithm; by default as above. An accuracy is fitted as it is (False), since its distance
            from 0 means little.

    Returns:
        The change; None for fewer than four finite values, or a curve that is constant up to rounding.

    Raises:
        InterpError: steps and values of different lengths, or a logarithm of values that are not positive.

    >>> change_point([0, 10, 20, 30, 40, 50], [1.0, 1.0, 1.0, 5.0, 5.0, 5.0])
    Change(step=25.0, low=20, high=30, before=1.0, after=5.0, explained=1.0, log=False)
    """
    x, y = np.asarray(steps), np.asarray(values, dtype=float)
    if x.shape != y.shape:
        raise InterpError(f"a curve needs one value per step, got {len(x)} steps and {len(y)} values")
    finite = np.isfinite(y)
    x, y = x[finite], y[finite]
    n = len(y)
    size = np.abs(y).max() if n else 0.0
    if n < 4 or np.ptp(y / size if size else y) <= 1e-12:
        return None
    if log and y.min() <= 0:
        raise InterpError(f"log=True needs positive values, and the lowest is {y.min():g}")
    if log is None:
        log = bool(y.min() > 0 and np.log10(y.max()) - np.log10(y.min()) >= DECADES)
    z = np.log10(y) if log else y / size
    z = (z - z.mean()) / z.std()  # the same answer in every unit
    split = np.arange(1, n)
    left = np.cumsum(z)[:-1]
    # with mean 0, the squares that a split explains are the two parts' sums squared over their lengths
    explained = left**2 / split + left**2 / (n - split)
    rest = np.maximum(n - explained, n * 1e-12)
    best = int(rest.argmin())
    allowed = np.flatnonzero(n * np.log(rest / rest[best]) <= LIMIT)
    k = best + 1
    level = (lambda part: float(10 ** np.log10(part).mean())) if log else (lambda part: float(part.mean()))
    return Change(
        step=float(x[best] + x[k]) / 2,
        low=int(x[allowed[0]]),
        high=int(x[allowed[-1] + 1]),
        before=level(y[:k]),
        after=level(y[k:]),
        explained=float(1 - rest[best] / n) if rest[best] > n * 1e-9 else 1.0,
        log=log,
    )


def first_step_above(points: Sequence[tuple[int, float]], threshold: float) -> int | None:
    """The first step from which a curve stays at or above a threshold.

    Args:
        points: (step, value) pairs in the order of the steps; NaN counts as below.
        threshold: the value to reach.

    Returns:
        The step; None if the curve ends below the threshold.

    >>> first_step_above([(0, 0.1), (10, 1.0), (20, 0.5), (30, 1.0), (40, 1.0)], 0.999)
    30
    """
    first = None
    for step, value in points:
        if not value >= threshold:  # NaN is not above anything
            first = None
        elif first is None:
            first = step
    return first
