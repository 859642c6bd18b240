"""Learned edge masks against a plain training loop, and on a network whose edges are known."""

from __future__ import annotations

import math

import pytest
import torch

import circuits
from interp import HookedMLP, InterpError, MLPConfig, Subject
from tests.circuits.methods import plain
from tests.circuits.methods.test_methods import model_of, pair
from tests.models import subject


def sparse_network() -> tuple[Subject, torch.Tensor]:
    """Two of six inputs and two of four units are used, by eight weights; and inputs."""
    model = HookedMLP(MLPConfig((4,), 2, d_in=6)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.layer(0).W[:2, :2] = torch.tensor([[2.0, -2.0], [-2.0, 2.0]])
        model.unembed.W_U[:2] = torch.tensor([[3.0, -3.0], [-3.0, 3.0]])
    return Subject("sparse", model), torch.randn(64, 6, generator=torch.Generator().manual_seed(0)).double()


def needed(names: list[str]) -> set[str]:
    """Edges of `sparse_network` with a weight."""
    ends = [name.replace("in", "").replace("L0N", "").replace("out", "").split(" > ") for name in names]
    return {name for name, (a, b) in zip(names, ends, strict=True) if int(a) < 2 and int(b) < 2}


@pytest.mark.parametrize("strength", [0.5, 4.0])
def test_subnetwork_probing_is_the_plain_training(strength: float) -> None:
    """Every mask after three steps, from gates, loss and penalty written out, through whole forward passes."""
    one = subject("no mlp")
    clean, corrupted = pair(one, 6)
    found = circuits.subnetwork_probing(one, clean, corrupted, strengths=[strength], steps=3, lr=0.3, seed=5)
    model, names = model_of(one), found.edges["component"].to_list()
    held = {s: w.detach() for s, w in plain.run(model, corrupted)[1].items()}
    log_clean = one.require_task().read(model(clean)).detach().log_softmax(-1)
    generator = torch.Generator().manual_seed(5)
    start = math.log((1 / 1.2) / (1 - 1 / 1.2))
    logits = torch.full((len(names),), start, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.3)
    for _ in range(3):
        u = torch.rand(len(names), generator=generator, dtype=torch.float64)
        gates = (torch.sigmoid(1.5 * (torch.log(u / (1 - u)) + logits)) * 1.2 - 0.1).clamp(0, 1)
        out = plain.run(model, clean, held, dict(zip(names, gates, strict=True)))[0]
        changed = one.require_task().read(out).log_softmax(-1)
        kl = (log_clean.exp() * (log_clean - changed)).sum(-1).mean()
        closed = torch.sigmoid(2 / 3 * math.log(0.1 / 1.1) - logits)  # the probability of a gate of 0
        loss = kl / found.empty + strength * (1 - closed).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    expected = (torch.sigmoid(logits) * 1.2 - 0.1).clamp(0, 1)
    torch.testing.assert_close(torch.tensor(found.edges["score"]), expected.detach(), rtol=1e-7, atol=1e-9)
    assert (found.forward, found.backward) == (6, 3)


def test_masks_find_the_edges_that_are_there() -> None:
    """Eight of 32 weights are not zero; all others go at no cost."""
    one, inputs = sparse_network()
    whole = one.model(inputs).detach()

    def alike(outputs: torch.Tensor) -> torch.Tensor:
        return -(outputs - whole).square().sum(-1)

    probed = circuits.subnetwork_probing(one, inputs, strengths=[0.2, 0.5], metric=alike, value="zero", steps=120)
    pruned = circuits.edge_pruning(one, inputs, sparsities=[0.5, 0.75], metric=alike, value="zero", steps=120)
    for found in (probed, pruned):
        names = found.edges["component"].to_list()
        assert found.chosen is not None
        assert {n for n, kept in zip(names, found.chosen.tolist(), strict=True) if kept} == needed(names)
        assert found.circuit(n_random=0).faithfulness == pytest.approx(1)
        assert found.edges["score"].between(0, 1).all()
        assert found.table["change"].isna().all()
        assert sorted(found.table["score"]) == sorted(found.edges["score"])
        assert found.path is not None
        assert found.path["faithfulness"].to_list() == pytest.approx([1, 1])
    assert pruned.path is not None
    assert pruned.path["edges"].to_list() == [16, 8]


def test_masks_are_those_of_their_seed() -> None:
    """The same twice; others for another seed; two seeds are a mask more for every strength."""
    one, inputs = sparse_network()
    a, b, c = (circuits.edge_pruning(one, inputs, sparsities=[0.7], steps=5, seed=s) for s in (0, 0, 1))
    assert a.edges.equals(b.edges)
    assert not a.edges.equals(c.edges)
    two = circuits.edge_pruning(one, inputs, sparsities=[0.7, 0.5], steps=5, n_seeds=2)
    assert two.path is not None
    assert two.path[["seed", "sparsity"]].to_numpy().tolist() == [[0, 0.7], [0, 0.5], [1, 0.7], [1, 0.5]]


def test_refusals() -> None:
    one, inputs = sparse_network()
    for wrong in ([-1.0], [], 1.0, "0.5", ["a"], [float("nan")], [float("inf")]):
        with pytest.raises(InterpError, match="strengths are one or more numbers of at least 0"):
            circuits.subnetwork_probing(one, inputs, strengths=wrong)  # type: ignore[arg-type]
        with pytest.raises(InterpError, match="sparsities are one or more numbers between 0 and 1"):
            circuits.edge_pruning(one, inputs, sparsities=wrong)  # type: ignore[arg-type]
    for method in (circuits.subnetwork_probing, circuits.edge_pruning):
        for rate in (0, -0.1, "0.1", None, float("nan")):
            with pytest.raises(InterpError, match="lr must be a finite number above 0"):
                method(one, inputs, lr=rate)  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="sparsities are one or more numbers between 0 and 1"):
        circuits.edge_pruning(one, inputs, sparsities=[2.0])
    with pytest.raises(InterpError, match="accuracy has none"):
        circuits.edge_pruning(subject("two layers"), metric="accuracy")
