"""Everything on a GPU gives what it gives on the CPU."""

from __future__ import annotations

import pytest

from circuits import (
    ablate,
    ablate_pairs,
    ablation_intervals,
    atp_star,
    causal_scrubbing,
    das,
    edge_pruning,
    factor_circuits,
    integrated_gradients,
    optimal_ablation,
    subnetwork_probing,
)
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


def test_pairs_intervals_and_factors() -> None:
    """Interactions, intervals of the same draws, and drops by factor."""
    here, there = subject("two layers"), on_gpu("two layers")
    for function, columns, arguments in (
        (ablate_pairs, ["interaction"], {"top": 8}), (ablation_intervals, ["low", "high", "p_adjusted"], {"n_boot": 100}),
    ):  # fmt: skip
        found, expected = function(there, **arguments).rows, function(here, **arguments).rows
        assert found[columns].to_numpy() == pytest.approx(expected[columns].to_numpy(), rel=1e-6, abs=1e-9)
    found, expected = (factor_circuits(s, factors=[1, 2]).effects["drop"].to_numpy() for s in (there, here))
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_methods_by_name() -> None:
    """Masks, nodes, constants, hypotheses and a subspace, by their seeds."""
    found = []
    for one in (subject("two layers"), on_gpu("two layers")):
        task = subject("two layers").require_task()
        clean, corrupted, answers = task.inputs[:8], task.inputs[8:16], task.labels[:8]
        found.append([
            *edge_pruning(one, clean, corrupted, steps=3).edges["score"],
            *subnetwork_probing(one, clean, corrupted, steps=3).edges["score"],
            *atp_star(one, clean, corrupted, verify=True).nodes["score"],
            *integrated_gradients(one, clean, corrupted, verify=True).nodes["effect"],
            *optimal_ablation(one, inputs=clean, steps=3).nodes["effect"],
            *causal_scrubbing(one, {"L0H1": answers % 2}, inputs=clean).draws["scrubbed"],
            *das(one, "blocks.0.hook_resid_mid", clean, corrupted, answers, steps=3).losses,
        ])  # fmt: skip
    assert found[1] == pytest.approx(found[0], rel=1e-6, abs=1e-9)
