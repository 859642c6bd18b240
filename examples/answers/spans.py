"""Numbers over seeds and starts in words, with their 95% intervals.

Of seeds: the mean with Student's interval. Of shares of starts: Wilson's interval; of their differences: Newcombe's
(https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I, method 10).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import t

from probes.wilson_interval import wilson as share

from claims import Verdict


def half_width(values: ArrayLike) -> float:
    """Half of Student's 95% interval of a mean, of two values or more."""
    own = np.asarray(values, dtype=float)
    return float(t.ppf(0.975, len(own) - 1) * own.std(ddof=1) / len(own) ** 0.5)


def span(values: Iterable[float], digits: int = 3) -> str:
    """The mean over seeds with its interval; of one seed its value. Seeds without a value are counted: "never in 1 of 3"."""
    given = np.asarray(list(values), dtype=float)
    own = given[np.isfinite(given)]
    if not len(own):
        return "never"
    mean, missing = float(own.mean()), len(given) - len(own)
    never = f" (never in {missing} of {len(given)})" if missing else ""
    if len(own) == 1:
        return (f"{mean:,.{digits}g}" if abs(mean) < 1_000 else f"{mean:,.0f}") + never
    half = half_width(own)
    shown = [f"{v:,.{digits}g}" if abs(mean) < 1_000 else f"{v:,.0f}" for v in (mean, mean - half, mean + half)]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]{never}"


def several(checks: Sequence[bool | str]) -> Verdict:
    """True where all hold, in part where some do, else False; undecided where checks that are undecided could turn that."""
    worst, best = ([even if check == "undecided" else bool(check) for check in checks] for even in (False, True))
    found = [True if all(own) else "in part" if any(own) else False for own in (worst, best)]
    return found[0] if found[0] == found[1] else "undecided"


def counted(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else ", ".join(f"{values.count(v)} {v}" for v in dict.fromkeys(values))


def difference(hits: int, n: int, others: int, m: int) -> tuple[float, float]:
    """Newcombe's interval of the difference between two shares, the first less the second."""
    p, q = hits / n, others / m
    (low, high), (least, most) = share(hits, n), share(others, m)
    return p - q - ((p - low) ** 2 + (most - q) ** 2) ** 0.5, p - q + ((high - p) ** 2 + (q - least) ** 2) ** 0.5
