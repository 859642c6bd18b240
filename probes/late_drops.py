"""A late drop of a loss: how far it falls at once in the late part of a run, and how often noise alone falls as far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from interp.errors import InterpError, require_range
from probes.change_points import change_point

LEAST = 40  # points in the late part
UNEVEN = 3  # gaps between steps, as multiples of their median


@dataclass(frozen=True)
class LateDrop:
    """The largest drop in the late part of a curve.

    Attributes:
        step: of the drop: the change point of the points within a window of it (`probes.change_points.change_point`).
        low: lower end of its 95% interval, in steps.
        high: upper end of its 95% interval, in steps.
        factor: level before over level after; 1 where the curve falls nowhere below its best.
        before: the best level until then: the lowest median of a window of points.
        after: the median of the window behind it.
        p_value: share of curves of trend and noise alone whose largest drop is at least as large.
        window: points in a window.
    """

    step: float
    low: int
    high: int
    factor: float
    before: float
    after: float
    p_value: float
    window: int


def late_drop(
    steps: Sequence[int],
    values: Sequence[float],
    start: float = 0.5,
    within: float = 0.05,
    draws: int = 999,
    seed: int = 0,
) -> LateDrop:
    """The largest drop of a positive curve in the late part of a run, with its false-alarm rate.

    Levels are medians over windows that span a share ``within`` of the run, in logarithms. A drop is the best level before a step
    over the level of the window behind it, so a loss that only comes back from a spike has not dropped. The null model has the
    trend and the noise of the late part, and no drop: a random walk with drift plus independent noise (the local level model;
    Harvey 1989, Forecasting, Structural Time Series Models and the Kalman Filter), whose three numbers are medians over the
    curve's differences at lag 1 and at a window's lag; a drop, which few of these cross, moves them little. ``p_value`` is
    (1 + number of null curves that drop as far) / (1 + draws).

    Call it a drop where the p-value is small *and* the factor is one that matters: 0.01 and 2, say. On power laws without a drop
    (200 curves of 400 points for each of independent, autocorrelated, heavy-tailed and random-walk noise, of 5% and 30%) a
    p-value of 0.01 or less came up in 0% to 3%, and together with a factor of 2 in none of the 1,600. It is a cautious test: it
    saw a drop by a factor of 2 in every curve with noise of 5%, but in at most 40% of those with noise of 30%.

    Args:
        steps: training steps, ascending and about evenly spaced in the late part.
        values: the curve, positive; one value per step. Values that are not finite are left out.
        start: where the late part begins, as a share of the last step.
        within: a window, as a share of the run.
        draws: number of null curves.
        seed: of the null curves.

    Returns:
        The drop, whether or not it stands out.

    Raises:
        InterpError: a curve that is not positive, steps and values of different lengths, fewer than 40 points in the late
            part, uneven steps, or a window of fewer than two points.

    >>> curve = [0.1 if step < 7500 else 0.01 for step in range(0, 10_000, 100)]
    >>> drop = late_drop(range(0, 10_000, 100), curve)
    >>> round(drop.factor, 3), (drop.low, drop.step, drop.high), drop.p_value
    (10.0, (7400, 7450.0, 7500), 0.001)
    """
    require_range("start", start, 0, 0.9)
    require_range("within", within, 0, 0.25)
    require_range("draws", draws, 1)
    x, z = _logarithms(steps, values)
    late = x >= x[0] + start * (x[-1] - x[0])
    gaps = np.diff(x[late])
    if late.sum() < LEAST:
        raise InterpError(f"a late drop needs {LEAST} points in the late part of the curve, got {late.sum()}")
    if gaps.max() > UNEVEN * np.median(gaps):
        raise InterpError("a late drop needs about evenly spaced steps; measure with --metrics every:N")
    window = round(within * float(x[-1] - x[0]) / float(np.median(gaps)))
    if window < 2:
        raise InterpError(f"within={within:g} of the run holds {window} points, a level needs 2; measure more often")
    first = int(late.argmax())
    falls, best, after = _falls(z[None], window, first)
    at = int(falls[0].argmax())
    null = _falls(_surrogates(z[late], window, draws, seed), window, window)[0].max(1)
    found = float(falls[0, at])
    near = slice(max(first, window) + at - window, max(first, window) + at + window)
    change = change_point(x[near].tolist(), z[near].tolist())
    middle = float(x[near].mean())
    return LateDrop(
        step=change.step if change else middle,
        low=change.low if change else int(x[near][0]),
        high=change.high if change else int(x[near][-1]),
        factor=float(np.exp(max(found, 0.0))),
        before=float(np.exp(best[0, at])),
        after=float(np.exp(after[0, at])),
        p_value=float((1 + (null >= found).sum()) / (1 + draws)),
        window=window,
    )


def _logarithms(steps: Sequence[int], values: Sequence[float]) -> tuple[Float[np.ndarray, "n"], Float[np.ndarray, "n"]]:
    x, y = np.asarray(steps, dtype=float), np.asarray(values, dtype=float)
    if x.shape != y.shape or x.ndim != 1:
        raise InterpError(f"a curve needs one value per step, got {len(x)} steps and {len(y)} values")
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    if len(y) < LEAST:
        raise InterpError(f"a late drop needs {LEAST} points in the late part of the curve, got {len(y)} in all")
    if y.min() <= 0:
        raise InterpError(f"a late drop is a factor, so the curve must be positive; its least value is {y.min():g}")
    return x, np.log(y)


def _falls(
    z: Float[np.ndarray, "curve n"], window: int, first: int
) -> tuple[Float[np.ndarray, "curve place"], Float[np.ndarray, "curve place"], Float[np.ndarray, "curve place"]]:
    """The falls at every place from ``first`` on, the best levels before, the levels behind."""
    levels = np.median(np.lib.stride_tricks.sliding_window_view(z, window, axis=1), axis=-1)
    best = np.minimum.accumulate(levels, axis=1)[
        :, :-window
    ]  # place k + window: the best of windows that end before it
    after = levels[:, window:]
    own = max(0, first - window)
    return (best - after)[:, own:], best[:, own:], after[:, own:]


def _surrogates(z: Float[np.ndarray, "n"], window: int, draws: int, seed: int) -> Float[np.ndarray, "draw n"]:
    """Curves of drift, random walk and independent noise, with the sizes that the differences of ``z`` have."""
    far = z[window:] - z[:-window]
    drift = np.median(far) / window
    near_square, far_square = _variance(np.diff(z) - drift), _variance(far - np.median(far))
    walk = max(0.0, (far_square - near_square) / (window - 1))
    independent = max(0.0, (near_square - walk) / 2)
    dice = np.random.default_rng(seed)
    steps = drift + walk**0.5 * dice.standard_normal((draws, len(z)))
    return steps.cumsum(1) + independent**0.5 * dice.standard_normal((draws, len(z)))


def _variance(values: Float[np.ndarray, "n"]) -> float:
    """A variance by the median absolute value, which a few outliers do not move."""
    return float((1.4826 * np.median(np.abs(values))) ** 2)
