"""Changes of level against a search over all splits, simulated noise, and the laws that they obey."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp import InterpError
from probes.change_points import LIMIT, Change, change_point, first_step_above

seeds = st.integers(0, 10**6)
EXTREMES = {
    "far apart": [1e-310, 1e-310, 1.0, 1.0],
    "huge": [-1e200, -1e200, 1e200, 1e200],
    "tiny": [1e-200, 1e-200, -1e-200, -1e-200],
    "overflow": [1.0, 1.0, 1.7e308, 1.7e308],
}


def noisy(seed: int, n: int = 30, at: int = 12, jump: float = 2.0) -> np.ndarray:
    """Independent normal noise around a step: the first ``at`` values lie below it."""
    return np.random.default_rng(seed).normal(size=n) + jump * (np.arange(n) >= at)


def squares(part: np.ndarray) -> float:
    return float(((part - part.mean()) ** 2).sum())


def slow(x: np.ndarray, y: np.ndarray) -> Change:
    """Every split by its own two means."""
    log = bool(y.min() > 0 and y.max() >= 100 * y.min())
    z = np.log(y) if log else y
    rest = {k: squares(z[:k]) + squares(z[k:]) for k in range(1, len(z))}
    best = min(rest, key=lambda k: rest[k])
    inside = [k for k, r in rest.items() if len(z) * math.log(r / rest[best]) <= LIMIT]
    levels = [float(np.exp(p.mean()) if log else p.mean()) for p in (z[:best], z[best:])]
    return Change(
        float(x[best - 1] + x[best]) / 2,
        int(x[inside[0] - 1]),
        int(x[inside[-1]]),
        *levels,
        1 - rest[best] / squares(z),
        log,
    )


def same(found: Change | None, expected: Change | None) -> bool:
    """All fields, floats to rounding."""
    assert found is not None
    assert expected is not None
    return asdict(found) == pytest.approx(asdict(expected), rel=1e-7, abs=1e-10)


def found(x: np.ndarray, y: np.ndarray) -> Change:
    change = change_point(x.tolist(), y.tolist())
    assert change is not None
    return change


def test_the_best_split_by_a_search() -> None:
    """Random walks, steps and curves over decades, at uneven steps; both kinds of fit occur, and long intervals."""
    logs, wide = set(), 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        n = int(draw.integers(4, 40))
        x, y = np.sort(draw.choice(10_000, n, replace=False)), [np.cumsum, np.asarray][seed % 2](draw.normal(size=n))
        y = np.exp(3 * y) if seed % 3 == 0 else y + 2 * (np.arange(n) > n // 3)
        change = found(x, y)
        assert same(change, slow(x, y)), seed
        logs.add(change.log)
        wide += change.high - change.low > 500
    assert logs == {True, False}
    assert wide > 20


@pytest.mark.parametrize(("jump", "width"), [(1.2, 200), (2.0, 80)])
def test_the_interval_holds_the_true_change(jump: float, width: float) -> None:
    """In about 95% of draws of independent noise, though half of the intervals are short (of 290)."""
    changes = [found(np.arange(30) * 10, noisy(seed, jump=jump)) for seed in range(300)]
    assert np.median([c.high - c.low for c in changes]) <= width
    assert 0.90 <= np.mean([c.low <= 110 and c.high >= 120 for c in changes]) <= 0.99  # both checkpoints around it


def test_two_decades_are_fitted_in_their_logarithm() -> None:
    """From 100 on, in positive curves alone; levels are geometric means then."""
    x, y = np.arange(8), np.array([1.0, 4.0, 1.0, 4.0, 100.0, 25.0, 100.0, 25.0])
    change = found(x, y)
    assert (change.log, change.step) == (True, 3.5)
    assert (change.before, change.after) == pytest.approx((2, 50))
    assert not found(x, np.where(y == 100, 99.9, y)).log
    assert not found(x, np.where(y == 1, 0.0, y)).log
    linear = found(x, -y)
    assert (linear.log, linear.before, linear.after) == (False, pytest.approx(-2.5), pytest.approx(-62.5))


def test_a_log_fit_finds_a_fall_that_a_linear_one_does_not() -> None:
    """A loss that halves early and falls by 1,000 late."""
    y = np.array([2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1e-3, 1e-3, 1e-3, 1e-3])
    assert found(np.arange(10), y).step == 5.5
    assert found(np.arange(10), np.where(y == 1e-3, -8.0, y)).step == 5.5
    assert found(np.arange(10), np.array([9.0, *y[1:] * 0.999])).step == 5.5


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_left_out(bad: float) -> None:
    """As if those checkpoints were not there, at the ends and at the change, too."""
    x, y = np.arange(30) * 7, noisy(3)
    for places in ([0], [29], [11, 12], [0, 5, 6, 12, 29], list(range(26))):
        keep = np.setdiff1d(np.arange(30), places)
        broken = y.copy()
        broken[places] = bad
        assert same(change_point(x.tolist(), broken.tolist()), change_point(x[keep].tolist(), y[keep].tolist()))


@pytest.mark.parametrize("level", [0.0, 1.0, -3e5, 1e-90, 1e90])
def test_constants_have_no_change(level: float) -> None:
    """Up to rounding; what is above it is a change."""
    assert change_point(range(9), [level] * 9) is None
    assert change_point(range(9), [level * (1 + 1e-15 * i) for i in range(9)]) is None
    assert (change_point(range(9), [level] * 5 + [level * 1.001] * 4) is None) == (level == 0)


def test_fewer_than_four_values_have_no_change() -> None:
    """None of them, three, and more of which three are finite."""
    assert change_point([], []) is None
    assert change_point([1, 2, 3], [0.0, 0.0, 1.0]) is None
    assert change_point([1, 2, 3, 4, 5], [0.0, math.nan, 0.0, 1.0, math.inf]) is None
    assert change_point([1, 2, 3, 4], [math.nan] * 4) is None
    assert change_point([1, 2, 3, 4], [0.0, 0.0, 0.0, 1.0]) == Change(3.5, 3, 4, 0.0, 1.0, 1.0, False)


def test_ties_are_all_in_the_interval() -> None:
    """A bump in the middle has two best splits: one of them is the step, and the interval reaches over both."""
    change = found(np.arange(6) * 10, np.array([1.0, 0.0, 0.0, 0.0, 0.0, 1.0]))
    assert change.step in (5, 45)
    assert (change.low, change.high) == (0, 50)
    assert change.explained == pytest.approx((1 / 6) * (4 / 6) ** 2 * (6 / 5) / (8 / 36))


def test_a_ramp_explains_three_quarters() -> None:
    """The docstring's yardstick for curves without a step: the middle, and 0.75 of the variance."""
    change = found(np.arange(2_000), np.arange(2_000.0))
    assert change.explained == pytest.approx(0.75, abs=1e-6)
    assert change.step == 999.5
    in_decades = found(np.arange(2_000), 10.0 ** np.linspace(-9, 3, 2_000))
    assert (in_decades.explained, in_decades.log) == (pytest.approx(0.75, abs=1e-6), True)


def test_the_larger_of_two_changes() -> None:
    """A staircase, in either order."""
    low_high = np.repeat([0.0, 1.0, 4.0], 10)
    assert found(np.arange(30), low_high).step == 19.5
    assert found(np.arange(30), np.repeat([0.0, 3.0, 4.0], 10)).step == 9.5


@pytest.mark.parametrize("name", EXTREMES)
def test_extreme_values_are_split_without_a_warning(name: str) -> None:
    """A run that diverges leaves numbers near the ends of float64; the step is plain to see."""
    assert found(np.arange(4), np.array(EXTREMES[name])).step == 1.5


@given(seeds, st.floats(-1e3, 1e3), st.floats(1e-3, 1e3), st.booleans())
def test_units_change_nothing_laws(seed: int, shift: float, scale: float, negative: bool) -> None:
    """A linear fit moves with the values."""
    y, x, scale = noisy(seed) - 10, np.arange(30), -scale if negative else scale
    one, other = found(x, y), found(x, scale * y + shift)
    if other.log:
        return
    places = ("step", "low", "high", "explained", "log")
    assert [getattr(other, p) for p in places] == pytest.approx([getattr(one, p) for p in places])
    assert other.before == pytest.approx(scale * one.before + shift, abs=1e-6)
    assert other.after == pytest.approx(scale * one.after + shift, abs=1e-6)


@given(seeds, st.floats(1e-9, 1e9))
def test_positive_scale_laws(seed: int, scale: float) -> None:
    """A log fit moves with the scale, and its reciprocal is its mirror image."""
    y, x = np.exp(3 * noisy(seed)), np.arange(30)
    one, scaled, inverse = found(x, y), found(x, scale * y), found(x, 1 / y)
    assert one.log
    assert same(scaled, Change(**{**asdict(one), "before": scale * one.before, "after": scale * one.after}))
    assert same(inverse, Change(**{**asdict(one), "before": 1 / one.before, "after": 1 / one.after}))


@given(seeds, st.integers(1, 10**6), st.integers(0, 10**6))
def test_steps_laws(seed: int, factor: int, start: int) -> None:
    """Steps in another unit, or counted from elsewhere, move the step and its interval alone."""
    x, y = np.sort(np.random.default_rng(seed).choice(1_000, 30, replace=False)), noisy(seed, jump=1.0)
    one = asdict(found(x, y))
    moved = {k: v * factor + start if k in ("step", "low", "high") else v for k, v in one.items()}
    assert same(found(factor * x + start, y), Change(**moved))


@given(seeds)
def test_reversal_laws(seed: int) -> None:
    """Read from its end, the curve changes at the mirrored step, from after to before."""
    x, y = np.sort(np.random.default_rng(seed).choice(1_000, 30, replace=False)), noisy(seed, jump=1.0)
    one, back = found(x, y), found(-x[::-1], y[::-1])
    mirrored = Change(-one.step, -one.high, -one.low, one.after, one.before, one.explained, one.log)
    assert same(back, mirrored)


@given(st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=4, max_size=25))
def test_order_laws(values: list[float]) -> None:
    """Whatever the curve: low < step < high at checkpoints, and a share between 0 and 1 (with ties, too)."""
    steps = [i * i for i in range(len(values))]
    change = change_point(steps, values)
    if change is None:
        return
    assert change.low < change.step < change.high
    assert {change.low, change.high} <= set(steps)
    assert 0 <= change.explained <= 1
    tolerance = 1e-9 * max(map(abs, values))
    assert min(values) - tolerance <= min(change.before, change.after)
    assert max(change.before, change.after) <= max(values) + tolerance


def test_a_fit_as_one_wants_it() -> None:
    """Over decades, on the linear scale on request; a logarithm needs positive values."""
    y = np.array([1e-4, 1e-4, 1e-2, 1e-2, 1e-2, 1.0, 1.0, 1.0])
    assert (found(np.arange(8), y).log, change_point(range(8), y.tolist(), log=False)) == (
        True,
        slow_linear(np.arange(8), y),
    )
    with pytest.raises(InterpError, match="log=True needs positive values"):
        change_point(range(8), (y - 1).tolist(), log=True)


def slow_linear(x: np.ndarray, y: np.ndarray) -> Change:
    """As `change_point` of the same curve with its sign changed, which has no logarithm."""
    c = found(x, -y)
    return Change(**{**asdict(c), "before": -c.before, "after": -c.after})


def test_refusals() -> None:
    """Steps and values of different lengths are not a curve."""
    with pytest.raises(InterpError, match="5 steps and 4 values"):
        change_point(range(5), [0.0, 0.0, 1.0, 1.0])


@given(st.lists(st.one_of(st.floats(0, 1), st.just(math.nan)), max_size=12), st.floats(0, 1))
def test_threshold_laws(values: list[float], threshold: float) -> None:
    """The earliest step after which no value is below the threshold, by trying all; NaN is below."""
    points = [(10 * i, v) for i, v in enumerate(values)]
    reached = [s for i, (s, _) in enumerate(points) if all(v >= threshold for _, v in points[i:])]
    assert first_step_above(points, threshold) == (reached[0] if reached else None)
