"""EAP, EAP-IG and ACDC against their plain definitions: a loop over edges with whole forward passes."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor

import circuits
from circuits import Counterfactual
from circuits.discovery.graph import Graph
from circuits.discovery.transformer_edges import TransformerEdges
from circuits.methods.pairs import make_ends
from interp import HookedTransformer, InterpError, Subject
from interp.errors import UnknownName
from tests.circuits.methods import plain
from tests.models import subject

NETWORKS = ["two layers", "layer norm", "folded norm", "gated with biases", "no mlp"]


def pair(one: Subject, n: int = 12) -> tuple[Tensor, Tensor]:
    """Clean inputs, and for each another one."""
    inputs = one.require_task().inputs
    order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
    return inputs[order[:n]], inputs[order[n : 2 * n]]


def difference(one: Subject, clean: Tensor, corrupted: Tensor, logits: Tensor) -> Tensor:
    """The mean logit difference of the clean and the corrupted answers, at the readout."""
    task = one.require_task()
    right, wrong = (
        torch.tensor([task.labels[(task.inputs == x).all(1)].item() for x in given]) for given in (clean, corrupted)
    )
    read, rows = task.read(logits), torch.arange(len(clean))
    return (read[rows, right] - read[rows, wrong]).mean()


def model_of(one: Subject) -> HookedTransformer:
    assert isinstance(one.model, HookedTransformer)
    return one.model


@pytest.mark.parametrize("name", NETWORKS)
def test_eap_is_the_gradient_of_each_edge(name: str) -> None:
    """Against autograd along every edge's own share."""
    one = subject(name)
    clean, corrupted = pair(one)
    model = model_of(one)
    found = circuits.eap(one, clean, corrupted)
    shares = {e: torch.ones((), dtype=torch.float64, requires_grad=True) for e in found.edges["component"]}
    held = {s: w.detach() for s, w in plain.run(model, corrupted)[1].items()}
    score = difference(one, clean, corrupted, plain.run(model, clean, held, shares)[0])
    expected = [-g for g in torch.autograd.grad(score, list(shares.values()))]
    torch.testing.assert_close(
        torch.tensor(found.edges["score"]),
        torch.stack(expected),
        rtol=1e-8,
        atol=1e-12 * float(max(map(abs, expected))),
    )
    assert found.clean == pytest.approx(float(score.detach()), rel=1e-12)
    with torch.no_grad():
        assert found.empty == pytest.approx(float(difference(one, clean, corrupted, model(corrupted))), rel=1e-9)


@pytest.mark.parametrize("path", ["inputs", "activations"])
@pytest.mark.parametrize("name", ["two layers", "layer norm"])
def test_eap_ig_is_the_gradient_along_the_path(name: str, path: Literal["inputs", "activations"]) -> None:
    """Against whole passes from interpolated inputs, or with one stage's activations interpolated."""
    one = subject(name)
    clean, corrupted = pair(one)
    model, steps = model_of(one), 3
    found = circuits.eap_ig(one, clean, corrupted, path=path, steps=steps)
    ours = {s: w.detach() for s, w in plain.run(model, clean)[1].items()}
    theirs = {s: w.detach() for s, w in plain.run(model, corrupted)[1].items()}
    stages = [
        ["embed"],
        *([s for s in ours if s.startswith(f"L{i}") and ("H" in s) == heads] for i in range(2) for heads in (1, 0)),
    ]
    expected = dict.fromkeys(found.edges["component"], 0.0)
    for stage in stages[: 1 if path == "inputs" else None]:
        for k in range(1, steps + 1):
            given = {s: (theirs[s] + (ours[s] - theirs[s]) * k / steps).requires_grad_() for s in stage}
            logits, _, hears = plain.run(model, clean, given=given)
            slopes = torch.autograd.grad(
                difference(one, clean, corrupted, logits), list(hears.values()), allow_unused=True
            )
            for receiver, slope in zip(hears, slopes, strict=True):
                for sender in ours if path == "inputs" else stage:
                    if slope is not None and f"{sender} > {receiver}" in expected:
                        expected[f"{sender} > {receiver}"] += (
                            float(((theirs[sender] - ours[sender]) * slope).sum()) / steps
                        )
    torch.testing.assert_close(
        torch.tensor(found.edges["score"]),
        torch.tensor(list(expected.values()), dtype=torch.float64),
        rtol=1e-8,
        atol=1e-12,
    )


@pytest.mark.parametrize(("name", "metric"), [("two layers", "kl"), ("layer norm", "kl"), ("no mlp", "logit_diff")])
def test_acdc_is_the_plain_loop(name: str, metric: str) -> None:
    """Edge by edge, each decided by a whole pass; the same edges are kept, for the same changes."""
    one = subject(name)
    clean, corrupted = pair(one)
    model, threshold = model_of(one), 0.02
    found = circuits.acdc(one, clean, corrupted, threshold=threshold, metric=metric)
    with torch.no_grad():
        held = plain.run(model, corrupted)[1]
        clean_log = one.require_task().read(model(clean)).log_softmax(-1)

        def worse(logits: Tensor) -> float:
            if metric == "logit_diff":
                return -float(difference(one, clean, corrupted, logits))
            changed = one.require_task().read(logits).log_softmax(-1)
            return float((clean_log.exp() * (clean_log - changed)).sum(-1).mean())

        receivers = list(dict.fromkeys(found.edges["receiver"]))
        shares: dict[str, Tensor] = {}
        current, changes = worse(model(clean)), {}
        for receiver in reversed(receivers):
            for sender in reversed(found.edges.query(f"receiver == '{receiver}'")["sender"].to_list()):
                edge = f"{sender} > {receiver}"
                shares[edge] = torch.zeros((), dtype=torch.float64)
                after = worse(plain.run(model, clean, held, shares)[0])
                changes[edge] = after - current
                if changes[edge] < threshold:
                    current = after
                else:
                    del shares[edge]
    assert found.chosen is not None
    kept = found.edges["component"][found.chosen.numpy()].to_list()
    assert set(kept) == set(found.edges["component"]) - set(shares)
    assert 0 < len(kept) < len(found.edges)
    sign = 1 if metric == "kl" else -1
    assert found.edges["score"].to_list() == pytest.approx(
        [sign * changes[e] for e in found.edges["component"]], abs=1e-9
    )
    assert found.circuit(n_random=0).score == pytest.approx(sign * current, abs=1e-9)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("by_position", [False, True])
def test_effects_of_edges_are_single_runs(name: str, by_position: bool) -> None:
    """What does not hear a changed receiver is not run again, and nothing changes by that."""
    one = subject(name)
    clean, corrupted = pair(one)
    graph = make_ends(one, clean, corrupted, "logit_diff", None, by_position=by_position).graph
    kept = torch.rand(len(graph), generator=torch.Generator().manual_seed(1)) < 0.7
    for circuit in (graph.whole, kept):
        torch.testing.assert_close(
            graph.effects(circuit), Graph.effects(graph, circuit), rtol=1e-9, atol=1e-11, equal_nan=True
        )


def test_edges_by_position_add_up() -> None:
    """All positions of an edge together are the edge: in effect, and to first order."""
    one = subject("layer norm")
    clean, corrupted = pair(one)
    fine, coarse = (make_ends(one, clean, corrupted, "logit_diff", None, by_position=b).graph for b in (True, False))
    assert isinstance(fine, TransformerEdges)
    assert "embed > L0H1 keys @ 2" in fine.labels
    owner = torch.tensor([list(coarse.labels).index(label.split(" @ ")[0]) for label in fine.labels])
    kept = torch.rand(3, len(coarse), generator=torch.Generator().manual_seed(1)) < 0.7
    torch.testing.assert_close(fine.scores(kept[:, owner]), coarse.scores(kept), rtol=1e-9, atol=1e-9)
    a, b = (torch.tensor(circuits.eap(one, clean, corrupted, by_position=p).edges["score"]) for p in (True, False))
    torch.testing.assert_close(torch.zeros_like(b).index_add_(0, owner, a), b, rtol=1e-9, atol=1e-12)


def test_circuits_from_scores() -> None:
    """The fewest of the first edges that reach a faithfulness; the curve and its areas; a table and a figure."""
    one = subject("two layers")
    clean, corrupted = pair(one)
    found = circuits.eap_ig(one, clean, corrupted)
    circuit = found.circuit(faithfulness=0.8, n_random=2)
    assert circuit.faithfulness >= 0.8
    assert 0 < len(circuit) < len(found.edges)
    assert set(circuit.components) == set(found.edges["component"].iloc[found.order[: len(circuit)].tolist()])
    curve = found.curve([0.0, 0.5, 1.0])
    assert curve.points["faithfulness"].to_list()[::2] == pytest.approx([0, 1], abs=1e-9)
    middle = float(curve.points["faithfulness"].iloc[1])
    share = float(curve.points["share"].iloc[1])
    assert curve.cpr == pytest.approx(share * middle / 2 + (1 - share) * (1 + middle) / 2, abs=1e-9)
    assert curve.cmd == pytest.approx(share * (1 + abs(1 - middle)) / 2 + (1 - share) * abs(1 - middle) / 2, abs=1e-9)
    assert len(found.figure().data) == len(curve.figure().data) == 1
    assert "EAP-IG" in repr(found)
    table = found.table  # estimates, the largest first: nothing was measured
    assert table["changed"].isna().all()
    assert table["change"].isna().all()
    assert table["score"].to_list() == found.edges["score"].iloc[table["index"]].to_list()
    assert table["score"].abs().is_monotonic_decreasing


def test_discover_takes_counterfactual_inputs() -> None:
    """A held edge carries what it carries for the corrupted input of its row."""
    one = subject("two layers")
    clean, corrupted = pair(one)
    found = circuits.discover(
        one, of="edges", metric="loss", inputs=clean, value=Counterfactual(corrupted), n_random=0, faithfulness=0.8
    )
    assert found.faithfulness >= 0.8
    assert len(found) < len(found.elements)


def test_weights_of_an_mlp_carry_the_corrupted_activation() -> None:
    """With no weight kept the network answers the corrupted input; EAP is the gradient along each weight's share."""
    one = subject("deep")
    clean, corrupted = pair(one)
    found = circuits.eap(one, clean, corrupted)
    empty = difference(one, clean, corrupted, one.model(corrupted)).detach()
    assert found.empty == pytest.approx(float(empty), rel=1e-9)
    shares = torch.ones(1, len(found.edges), dtype=torch.float64, requires_grad=True)
    score = difference(one, clean, corrupted, found.graph.outputs(shares, slice(None))[0])
    (slope,) = torch.autograd.grad(score, shares)
    assert found.edges["score"].to_list() == pytest.approx((-slope[0]).tolist(), rel=1e-9, abs=1e-12)


def test_refusals() -> None:
    one = subject("two layers")
    clean, corrupted = pair(one)
    with pytest.raises(InterpError, match="gradient of kl"):
        circuits.eap(one, clean, corrupted, metric="kl")
    with pytest.raises(InterpError, match="give one of them"):
        circuits.eap(one, clean, corrupted, value="zero")
    with pytest.raises(InterpError, match="align"):
        circuits.eap(one, clean, corrupted[:3])
    with pytest.raises(UnknownName, match="did you mean 'inputs'"):
        circuits.eap_ig(one, clean, corrupted, path="input")  # type: ignore[arg-type]


def test_acdc_of_the_weights_of_an_mlp() -> None:
    """The plain loop over single weights, last layer first, whatever is tried together."""
    one = subject("deep")
    graph = make_ends(one, None, None, "loss", None).graph
    found = circuits.acdc(one, threshold=0.01, metric="loss")
    kept, current = graph.whole.clone(), found.clean
    for edge in range(len(graph) - 1, -1, -1):
        kept[edge] = False
        after = float(graph.scores(kept.unsqueeze(0))[0, 0])
        if after - current < 0.01:
            current = after
        else:
            kept[edge] = True
    assert found.chosen is not None
    assert torch.equal(found.chosen, kept)
