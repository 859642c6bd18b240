"""Recorded curves: steps of memorising and generalising, thinned points, the shipped run."""

from __future__ import annotations

import math

import pytest

from interp import Subject
from probes import cyclic_tables as tables
from probes import fourier, progress
from probes.analyses import curves
from probes.change_points import first_step_above


def test_steps_of_memorising_and_generalising() -> None:
    """The first step from which the curve stays above the threshold."""
    points = [(0, 0.0), (10, 1.0), (20, 0.9), (30, 1.0), (40, 1.0)]
    assert first_step_above(points, 0.999) == 30
    assert first_step_above(points[:3], 0.999) is None
    assert first_step_above([], 0.999) is None
    x, y = curves.thin([(i, float(i)) for i in range(10_000)], 100)
    assert (x[0], x[-1], len(x) <= 100) == (0, 9_999, True)
    assert (x == y).all()


def test_the_shipped_run(demo: Subject) -> None:
    """The demo groks, and its history and curves tell the same story."""
    frame = progress(demo, ["loss", "mode_power"])
    recorded = dict(demo.curves["test_loss"])
    losses = frame.query("measure == 'loss' and where == 'test'")
    assert len(losses) > 10
    for step, value in zip(losses["step"], losses["value"], strict=True):
        assert value == pytest.approx(recorded[int(step)], rel=1e-3)
    found = curves.curves(demo).metrics
    assert found["memorised_at_step"] < found["generalised_at_step"] / 5
    modes = frame.query("measure == 'mode_power' and where != 'others'").pivot(
        index="step", columns="where", values="value"
    )
    keys = fourier.logit_frequencies(tables.logit_table(demo))
    assert sorted(modes) == sorted(f"frequency {k}" for k in keys)
    assert modes.iloc[-1].sum() > 0.9 > modes.iloc[0].sum() + 0.85


def test_nan_is_above_no_threshold() -> None:
    """A curve that ends in NaN has not been memorised."""
    assert first_step_above([(0, 1.0), (10, math.nan)], 0.999) is None
