"""When a curve changes, and how sure that is: one step between two levels, by least squares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LIMIT = -2 * math.log(1 - math.sqrt(0.95))  # 7.35: see `change_point`
DECADES = 2.0  # a positive curve that spans as many is fitted in its logarithm


@dataclass(frozen=True)
class Change:
    """A change of level.

    Attributes:
        step: halfway between the last checkpoint before and the first after.
        low, high: 95% interval, in steps.
        before, after: the two levels, in the curve's own unit (geometric means where ``log``).
        explained: share of the curve's variance that the step explains; a straight slope has 0.75.
        log: whether the fit was to the curve's logarithm.
    """

    step: float
    low: int
    high: int
    before: float
    after: float
    explained: float
    log: bool


def change_point(steps: Sequence[int], values: Sequence[float]) -> Change | None:
    """The change of level that leaves the least squares: of all splits in two parts, the best.

    The interval holds every split whose profile likelihood, for independent normal residuals, is not rejected at 95%:
    ``n ln(RSS / RSS_min) <= 7.35``. On either side of the true step the log likelihood is a random walk that drifts down,
    whose highest point exceeds x with probability exp(-x); of both sides, with 1 - (1 - exp(-x))^2 (Hinkley 1970,
    Siegmund 1986). Neighbouring checkpoints are alike, so that the interval is too narrow rather than too wide; it never is
    narrower than the two checkpoints around the step. Every checkpoint counts once, whatever lies between them; values that
    are not finite are left out. Positive curves over two decades or more are fitted in their logarithm. A curve that
    changes twice has its larger change found.

    Returns:
        None for fewer than four finite values, or a curve that is constant up to rounding.

    >>> change_point([0, 10, 20, 30, 40, 50], [1.0, 1.0, 1.0, 5.0, 5.0, 5.0])
    Change(step=25.0, low=20, high=30, before=1.0, after=5.0, explained=1.0, log=False)
    """
    x, y = np.asarray(steps), np.asarray(values, dtype=float)
    finite = np.isfinite(y)
    x, y = x[finite], y[finite]
    n = len(y)
    size = np.abs(y).max() if n else 0.0
    if n < 4 or np.ptp(y / size if size else y) <= 1e-12:
        return None
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
