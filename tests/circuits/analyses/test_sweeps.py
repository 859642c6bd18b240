"""The analysis ``sweeps`` of networks that draw nothing, by the front door; of pictures, see the sweeps of images."""

from __future__ import annotations

import pytest

import interp
from interp import Examples, HookedMLP, MLPConfig, Subject
from tests.models import subject as of_table

SCORES = ("input_factors", "output_factors", "equivariant_share", "change_rank_share")


@pytest.fixture(scope="module")
def found() -> interp.Result:
    """Of a random transformer on addition modulo 7."""
    return interp.analyze(of_table("plain"), "sweeps", {"sweeps": {"directions": 12}})["sweeps"].result


def test_metrics_are_named_as_the_contract_says(found: interp.Result) -> None:
    """``single_`` and ``random_`` scores, each with its interval; what the task is made of."""
    for kind in ("single", "random"):
        for score in SCORES:
            low, high = found.metrics[f"{kind}_{score}_interval"]
            assert low <= found.metrics[f"{kind}_{score}"] <= high
    assert found.metrics["factors"] == 3
    assert found.metrics["expected_factors"] == pytest.approx(3)
    assert found.metrics["symmetry"] == "translations of Z_7 x Z_7"
    assert found.metrics["expected_equivariant_share"] == pytest.approx(1 / 49)


def test_nulls_stand_beside_the_network(found: interp.Result) -> None:
    """Shuffled weights and a random network, at one step and at matched effect; figures and films."""
    scores = found.tables["scores"]
    assert set(scores["null"]) == {"", "shuffled 0", "random network 0"}
    assert set(scores["at"]) == {"one step", "matched effect 0.1"}
    assert set(found.figures) == {"factors by layer", "against nulls"}
    assert "films" in found.pictures
    assert "of 3 frequencies" in found.headline


def test_two_networks_are_compared() -> None:
    """Tables with nulls, and a verdict that follows from the intervals."""
    from circuits.analyses.sweeps import compared

    results = {
        name: interp.analyze(of_table(name), "sweeps", {"sweeps": {"directions": 10, "n_random": 0}})["sweeps"].result
        for name in ("plain", "shared sum")
    }
    made = compared(results)
    assert set(made.tables) == {"scores", "scores with nulls"}
    assert "shared sum against plain" in made.headline
    assert "input factors" in made.figures


def test_networks_of_other_tasks_are_not_set_against_each_other() -> None:
    """Two of three frequencies are not fewer than three of five: neither the headline nor a claim says which is less."""
    nets = {}
    for p in (7, 11):
        model = HookedMLP(MLPConfig((8,), p, d_vocab=p, d_embed=6)).init_weights(seed=0)
        nets[f"mod {p}"] = Subject(f"mod {p}", model, interp.ModularArithmetic(p, equals_token=False))
    options = {"sweeps": {"directions": 10, "n_random": 1}}
    made = interp.compare(nets, "sweeps", options, progress=False).together["sweeps"]
    assert made.headline.count("cannot be compared") == 4
    assert not made.claims
    assert "same factors" in made.notes[0]


def test_a_task_without_symmetry_says_so() -> None:
    """Principal components in place of factors, no equivariant share, and the notes say why."""
    import torch

    model = HookedMLP(MLPConfig((6,), 3, d_in=4)).init_weights(seed=0)
    task = Examples(torch.randn(30, 4, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 3)
    result = interp.analyze(Subject("mlp", model, task), "sweeps", {"sweeps": {"directions": 10}})["sweeps"].result
    assert result.metrics["random_equivariant_share"] is None
    assert result.metrics["factor_kind"] == "principal component"
    assert any("no symmetry of the task" in note for note in result.notes)


def test_measures_over_a_run(demo: Subject) -> None:
    """Factors, equivariant share and rank at one checkpoint, from one sweep; another number of directions is another sweep."""
    from interp.plugins.measure import choose

    known = choose("sweep_factors,sweep_equivariance,sweep_rank")
    values = {name: one(demo, directions=8) for name, one in known.items()}
    assert set(values["sweep_factors"]) == {"input", "output"}
    assert 1 < values["sweep_factors"]["input"] < 26
    assert 0 < values["sweep_equivariance"][""] < 1
    assert 0 < values["sweep_rank"][""] <= 1
