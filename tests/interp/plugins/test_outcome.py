"""Outcomes: the parts of their results, and why there are none."""

from __future__ import annotations

import pytest

from interp import InterpError, Subject, analyze
from interp.plugins.outcome import Outcome
from tests.models import make


def test_parts_of_a_result_by_the_outcome() -> None:
    """They are those of the result itself; without one, the error says why there is none."""
    outcomes = analyze(Subject("no task", make("plain")), "weights,fourier")
    good, result = outcomes["weights"], outcomes["weights"].result
    assert result is not None
    for part in ("metrics", "tables", "figures", "pictures", "notes", "headline"):
        assert getattr(good, part) is getattr(result, part)
        with pytest.raises(
            InterpError, match=r"fourier has no result, it was skipped: needs a task, and none is known"
        ):
            getattr(outcomes["fourier"], part)
    with pytest.raises(InterpError, match=r"bad has no result, it failed: ValueError: no cake"):
        _ = Outcome("bad", "failed", error="ValueError: no cake").tables
    assert "skipped: needs a task, and none is known" in outcomes._repr_html_()
    assert "<h3>fourier</h3>\n<p>skipped: needs a task, and none is known" in outcomes["fourier"]._repr_html_()
