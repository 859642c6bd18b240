"""Everything on a GPU gives what it gives on the CPU."""

from __future__ import annotations

import pytest

from circuits import ablate
from interp import Subject, analyze
from tests.models import subject

pytestmark = pytest.mark.cuda


def on_gpu(name: str) -> Subject:
    one = subject(name)
    return Subject(name, one.model.cuda(), one.task)


@pytest.mark.parametrize("name", ["plain", "layer norm", "per operand", "deep"])
def test_every_analysis(name: str) -> None:
    """The same metrics, one by one, to float64 tolerance."""
    here, there = analyze(subject(name)), analyze(on_gpu(name))
    for analysis, outcome in here.items():
        assert there[analysis].status == outcome.status, there[analysis].error
        for metric, value in outcome.result.metrics.items() if outcome.result else ():
            expected = pytest.approx(value, rel=1e-6, abs=1e-9) if isinstance(value, float) else value
            assert there[analysis].result.metrics[metric] == expected, (analysis, metric)  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["two layers", "deep"])
def test_ablation_with_a_random_baseline(name: str) -> None:
    """The same rows."""
    kind = "heads" if name == "two layers" else "neurons"
    here, there = (ablate(s, kind, n_random=16) for s in (subject(name), on_gpu(name)))
    assert there["correct"].tolist() == here["correct"].tolist()
    assert there["loss"].tolist() == pytest.approx(here["loss"].tolist())
