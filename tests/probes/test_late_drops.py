"""Late drops: the statistic by a plain loop, the rate of false alarms on noise, and the laws that they obey."""

from __future__ import annotations

import math

import numpy as np
import pytest

from interp import InterpError
from probes.change_points import change_point
from probes.late_drops import late_drop

STEPS = np.arange(200) * 50


def curve(seed: int, noise: float = 0.2, drop: float = 1.0, at: int = 150) -> np.ndarray:
    """A power law with independent noise that falls by a factor at one point."""
    dice = np.random.default_rng(seed)
    falling = (1 + STEPS / 500) ** -0.5 * np.exp(noise * dice.standard_normal(len(STEPS)))
    return falling / np.where(np.arange(len(STEPS)) >= at, drop, 1.0)


def slow(y: np.ndarray, window: int, first: int) -> tuple[float, int]:
    """The largest fall from the best level before a place to the level behind it, and the first place of it."""
    falls = {}
    for place in range(first, len(y) - window + 1):
        best = min(float(np.median(y[end - window : end])) for end in range(window, place + 1))
        falls[place] = best / float(np.median(y[place : place + window]))
    return max(falls.values()), max(falls, key=lambda place: falls[place])


@pytest.mark.parametrize("seed", range(4))
def test_the_drop_of_a_plain_loop(seed: int) -> None:
    """Windows of 11 points, whose median is one of them, so that the logarithm changes nothing."""
    y = curve(seed, drop=1.0 + seed)
    found = late_drop(STEPS.tolist(), y.tolist(), within=0.055, draws=9)
    factor, place = slow(y, 11, 100)
    assert found.window == 11
    assert found.factor == pytest.approx(max(1.0, factor))
    assert found.before / found.after == pytest.approx(factor)
    near = slice(place - 11, place + 11)
    change = change_point(STEPS[near].tolist(), np.log(y[near]).tolist())
    assert change is not None
    assert (found.low, found.step, found.high) == (change.low, change.step, change.high)


def test_noise_gives_false_alarms_at_its_rate() -> None:
    """At a level of 0.1 about a tenth of curves without a drop, and nearly all of those that fall by a factor of 3."""
    none = [late_drop(STEPS, curve(seed), draws=99, seed=seed).p_value for seed in range(60)]  # type: ignore[arg-type]
    fell = [late_drop(STEPS, curve(seed, drop=3.0), draws=99, seed=seed) for seed in range(20)]  # type: ignore[arg-type]
    assert np.mean(np.array(none) <= 0.1) <= 0.2
    assert np.median(none) > 0.2
    assert np.mean([d.p_value <= 0.01 for d in fell]) >= 0.9
    assert np.median([d.factor for d in fell]) == pytest.approx(3, rel=0.15)
    assert np.median([d.step for d in fell]) == 7_475


def test_coming_back_from_a_spike_is_no_drop() -> None:
    """The loss rises fiftyfold for a fifth of the run and returns to where it was."""
    y = curve(1, noise=0.02) * (1 + STEPS / 500) ** 0.5
    y[110:150] *= 50
    found = late_drop(STEPS.tolist(), y.tolist(), draws=99)
    assert found.factor < 1.05
    assert found.p_value > 0.05


def test_an_early_drop_is_not_late() -> None:
    """It is when the late part begins before it."""
    y = curve(2, noise=0.02, drop=10.0, at=60)
    assert late_drop(STEPS.tolist(), y.tolist(), draws=99).factor < 1.2
    assert late_drop(STEPS.tolist(), y.tolist(), start=0.2, draws=99).factor > 9


def test_units_change_nothing_laws() -> None:
    """Of the loss and of the steps, and points that are not finite."""
    y = curve(3, drop=2.0)
    one = late_drop(STEPS.tolist(), y.tolist(), draws=49)
    scaled = late_drop((STEPS * 7).tolist(), (y * 1e-9).tolist(), draws=49)
    assert (scaled.factor, scaled.p_value, scaled.window) == (pytest.approx(one.factor), one.p_value, one.window)
    assert (scaled.low, scaled.step, scaled.high) == (7 * one.low, 7 * one.step, 7 * one.high)
    gaps = late_drop([*STEPS.tolist(), 10_000], [*y.tolist(), math.nan], draws=49)
    assert gaps == one


def test_refusals() -> None:
    y = curve(0).tolist()
    with pytest.raises(InterpError, match="200 steps and 199 values"):
        late_drop(STEPS.tolist(), y[1:])
    with pytest.raises(InterpError, match="must be positive; its least value is 0"):
        late_drop(STEPS.tolist(), [*y[1:], 0.0])
    with pytest.raises(InterpError, match="40 points in the late part of the curve, got 30"):
        late_drop(STEPS[:60].tolist(), y[:60])
    with pytest.raises(InterpError, match="evenly spaced steps; measure with --metrics every:N"):
        late_drop([*range(150), *range(1_000, 1_050)], y, start=0.1)
    with pytest.raises(InterpError, match="holds 1 points"):
        late_drop(STEPS.tolist(), y, within=0.005)
