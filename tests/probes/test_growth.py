"""The shape of a rise: against SciPy's fit, jumps, and what is neither."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import curve_fit

from interp import InterpError
from probes.growth import RISE, Growth, growth

STEPS = np.arange(0, 3000, 50)


def logistic(t: np.ndarray, low: float, height: float, centre: float, width: float) -> np.ndarray:
    return low + height / (1 + np.exp(-(t - centre) / width))


def shape(values: np.ndarray) -> Growth:
    found = growth(STEPS.tolist(), values.tolist())
    assert found is not None
    return found


@pytest.mark.parametrize(("low", "height"), [(0.1, 0.8), (-3.0, 50.0), (0.9, -0.7)])
def test_the_fit_by_scipy(low: float, height: float) -> None:
    """Noisy sigmoids up and down: the same residual, centre and duration."""
    y = logistic(STEPS, low, height, 1200, 90) + 0.02 * abs(height) * np.random.default_rng(0).normal(size=len(STEPS))
    found = shape(y)
    fitted, _ = curve_fit(logistic, STEPS, y, p0=(low, height, 1200, 90))
    rest = ((y - logistic(STEPS, *fitted)) ** 2).sum() / ((y - y.mean()) ** 2).sum()
    assert found.kind == "sigmoid"
    assert 1 - found.sigmoid == pytest.approx(rest, rel=0.02)
    assert (found.step, found.duration) == pytest.approx((fitted[2], RISE * fitted[3]), rel=0.03)
    assert (found.before, found.after) == pytest.approx((fitted[0], fitted[0] + fitted[1]), abs=0.02 * abs(height))


def test_jumps_and_what_is_neither() -> None:
    """A step with noise is a jump, at whatever step; noise alone is neither; a slow rise is not a jump."""
    noise = np.random.default_rng(1).normal(size=len(STEPS))
    for at in (400, 1500, 2600):
        assert shape((at < STEPS) + 0.05 * noise).kind == "jump"
    assert shape(noise).kind == "neither"
    slow = shape(logistic(STEPS, 0, 1, 1500, 300) + 0.02 * noise)
    assert (slow.kind, slow.jump < slow.sigmoid) == ("sigmoid", True)
    assert slow.evidence > 0


def test_what_has_no_shape() -> None:
    """Too few values, a constant, values that are not finite; lengths that differ."""
    assert growth(range(5), [0.0, 0.0, 1.0, 1.0, 1.0]) is None
    assert growth(range(9), [2.0] * 9) is None
    assert growth(range(9), [math.nan] * 9) is None
    with pytest.raises(InterpError, match="9 steps and 2 values"):
        growth(range(9), [0.0, 1.0])
