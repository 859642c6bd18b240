"""Graphs against plain runs: nodes by `applied`, edges by patched queries, ablated senders and edited weights."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from circuits import Ablate, Counterfactual, Mean, Patch, Zero, applied
from circuits.discovery.edges import edge_graph
from circuits.discovery.graph import Graph, judges
from circuits.discovery.nodes import NodeGraph, node_graph
from circuits.discovery.transformer_edges import TransformerEdges
from circuits.engine.evaluation import make_evaluation
from circuits.interventions.values import Fixed, Resample, Value
from circuits.metrics import make_metric
from interp import HookedMLP, InterpError, Site, Subject, capture
from interp.hooked.base import HookedModel
from interp.sites import resolve_sites
from tests.models import make, subject

BYTES = 1 << 24
TRANSFORMERS = [
    "plain",
    "two layers",
    "layer norm",
    "folded norm",
    "no mlp",
    "bidirectional",
    "square",
    "gated",
    "gated with biases",
]


MEAN = Mean()


def nodes(one: Subject, value: Value = MEAN, metric: str = "loss") -> NodeGraph:
    return node_graph(make_evaluation(one, judges(make_metric(metric), one.task)), ("heads", "neurons"), value, BYTES)


def edges(one: Subject, value: Value = MEAN, max_bytes: int = BYTES) -> Graph:
    return edge_graph(make_evaluation(one, "loss"), value, max_bytes)


def masks(graph: Graph, n: int) -> Tensor:
    found = torch.rand(n, len(graph), generator=torch.Generator().manual_seed(0)) < 0.6
    found[0], found[1] = True, False
    return found


@torch.no_grad()
def loss_under(one: Subject, interventions: list) -> float:
    task = one.require_task()
    with applied(one, interventions, strict=False):
        return float(task.losses(task.read(one.model(task.inputs))).mean())


def without(graph: Graph, *elements: int) -> Tensor:
    kept = graph.whole.clone()
    kept[list(elements)] = False
    return kept


@pytest.mark.parametrize("value", [Mean(), Mean(("batch", "pos"), "train"), Zero()], ids=str)
@pytest.mark.parametrize("name", ["plain", "two layers", "layer norm", "no mlp"])
def test_circuits_of_nodes_of_transformers(name: str, value: Value) -> None:
    """Random circuits in one batch, and each circuit by its interventions, at every position."""
    one = subject(name)
    graph = nodes(one, value)
    chosen = masks(graph, 5)
    found = graph.scores(chosen)[:, 0]
    for row, score in zip(chosen, found.tolist(), strict=True):
        held = []
        for n in graph.nodes:
            gone = (~row[n.elements]).nonzero().flatten().tolist()
            part = {"head" if n.site.endswith("hook_z") else "unit": gone}
            reference = value if isinstance(value, Zero) else Mean(value.over, value.reference or "all")  # type: ignore[attr-defined]
            held += [Ablate(Site(n.site, **part), reference)] if gone else []
        assert score == pytest.approx(loss_under(one, held), rel=1e-9)


@pytest.mark.parametrize("name", ["plain", "layer norm", "gated", "deep", "per operand"])
def test_effects_are_single_runs(name: str) -> None:
    """The engine of `ablate` within a circuit, against masks with one element less."""
    graph = nodes(subject(name))
    kept = masks(graph, 3)[2]
    torch.testing.assert_close(graph.effects(kept), Graph.effects(graph, kept), rtol=1e-9, atol=1e-12, equal_nan=True)


def test_interventions_are_the_circuit() -> None:
    one = subject("two layers")
    graph = nodes(one, metric="accuracy")
    kept = masks(graph, 4)[3]
    score = graph.scores(kept.unsqueeze(0))[0]
    task = one.require_task()
    with torch.no_grad(), applied(graph.evaluation.model, graph.interventions(kept)):
        logits = task.read(graph.evaluation.model(task.inputs))
    assert float(task.correct(logits).double().mean()) == float(score[0])
    rows = torch.arange(len(logits))
    others = logits.clone().index_put_((rows, task.labels), torch.tensor(-torch.inf, dtype=logits.dtype))
    lead = (logits[rows, task.labels] - others.amax(1)).mean()
    assert float(lead) == pytest.approx(float(score[1]), rel=1e-12)


@pytest.mark.parametrize("kind", ["nodes", "edges"])
@pytest.mark.parametrize("name", ["two layers", "layer norm", "gated", "deep"])
def test_attributions_are_slopes(name: str, kind: str) -> None:
    """At the circuit itself (one point), against central differences of the loss along the mask."""
    graph: Graph = (nodes if kind == "nodes" else edges)(subject(name))
    kept = masks(graph, 3)[2]
    found = graph.attributions(kept, points=1)
    everything = slice(0, len(graph.evaluation.inputs))
    for i in (0, 3, 7):
        step = torch.zeros(len(graph), dtype=torch.float64).index_fill_(0, torch.tensor([i]), 1e-5)
        pair = torch.stack([kept.double() + step, kept.double() - step])
        up, down = graph.evaluation.judge(graph.outputs(pair, everything), everything).mean(1)[:, 0].tolist()
        assert float(found[i]) == pytest.approx((up - down) / 2e-5, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_all_edges_are_the_network(name: str) -> None:
    """To rounding, in the smallest pieces too; with none left, every input gets the same answer."""
    one = subject(name)
    graph = edges(one)
    everything = slice(0, len(graph.evaluation.inputs))
    torch.testing.assert_close(
        graph.outputs(graph.whole.double().unsqueeze(0), everything)[0], graph.evaluation.model(graph.evaluation.inputs),
        rtol=1e-9, atol=1e-9,
    )  # fmt: skip
    nothing = graph.outputs(torch.zeros(1, len(graph), dtype=torch.float64), everything)[0]
    torch.testing.assert_close(nothing, nothing[:1].expand_as(nothing), rtol=1e-9, atol=1e-9)
    chosen = masks(graph, 3)
    torch.testing.assert_close(edges(one, max_bytes=1).scores(chosen), graph.scores(chosen))


@pytest.mark.parametrize("value", [Mean(), Mean(("batch", "pos")), Zero()], ids=str)
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_a_sender_that_nobody_hears_is_ablated(name: str, value: Value) -> None:
    """Without any of its edges, a head or an MLP acts as if it had been ablated at what it writes."""
    one = subject(name)
    graph = edges(one, value)
    for label, site in (("L0H1", Site("blocks.0.attn.hook_z", head=1)), ("L0 mlp", Site("blocks.0.hook_mlp_out"))):
        own = [i for i, e in enumerate(graph.labels) if e.startswith(f"{label} > ")]
        if own:
            found = float(graph.scores(without(graph, *own).unsqueeze(0))[0, 0])
            assert found == pytest.approx(loss_under(one, [Ablate(site, value)]), rel=1e-9)


@torch.no_grad()
def test_one_edge_to_queries_and_one_to_keys() -> None:
    """The plain construction: what that head's queries (keys) would be from the stream without the sender, patched."""
    one = subject("two layers")
    graph, model, inputs = edges(one), make("two layers"), one.require_task().inputs
    acts = capture(model, inputs, "*")
    z = acts["blocks.0.attn.hook_z"]
    deviation = (z - z.mean(0))[:, :, 2] @ model.block(0).attn.W_O[2]
    for what, point, weight in (("queries", "hook_q", "W_Q"), ("keys", "hook_k", "W_K")):
        changed = acts[f"blocks.1.attn.{point}"].clone()
        changed[:, :, 1] -= deviation @ getattr(model.block(1).attn, weight)[1]
        expected = loss_under(one, [Patch(f"blocks.1.attn.{point}", changed)])
        edge = list(graph.labels).index(f"L0H2 > L1H1 {what}")
        assert float(graph.scores(without(graph, edge).unsqueeze(0))[0, 0]) == pytest.approx(expected, rel=1e-9)


def test_labels_and_places_of_edges() -> None:
    """2 layers of 3 heads: 9 + 1 readers of embed; then 4; then 9 of 5 senders, one of 8, the logits of 9."""
    graph = edges(subject("two layers"))
    assert isinstance(graph, TransformerEdges)
    assert len(graph) == len(set(graph.labels)) == 9 + 4 + 45 + 8 + 9
    assert graph.labels[0] == "embed > L0H0 queries"
    assert graph.labels[-1] == "L1 mlp > logits"


@pytest.mark.parametrize("value", [Mean(), Zero()], ids=str)
@pytest.mark.parametrize("name", ["deep", "shared sum", "per operand", "product"])
def test_weights_of_an_mlp(name: str, value: Value) -> None:
    """Edges that are out, against a copy whose weights are 0 and whose biases hold what the units are on average."""
    one = subject(name)
    graph, inputs = edges(one, value), one.require_task().inputs
    assert isinstance(one.model, HookedMLP)
    chosen = masks(graph, 4)
    everything = slice(0, len(inputs))
    found = graph.outputs(chosen.double(), everything)
    sites = ["hook_input", *(f"layers.{i}.hook_post" for i in range(len(one.model.config.hidden)))]
    acts = capture(one.model, inputs, sites)
    for row, outputs in zip(chosen, found, strict=True):
        start, x = 0, acts["hook_input"]
        for i, (W, bias) in enumerate(graph.weights):  # type: ignore[attr-defined]
            kept = row[start : start + W.numel()].reshape(W.shape)
            start += W.numel()
            mean = acts[sites[i]].mean(0) if isinstance(value, Mean) else torch.zeros(len(W), dtype=W.dtype)
            folded = (0 if bias is None else bias) + mean @ (W * ~kept)
            x = x @ (W * kept) + folded
            x = one.model.layer(i).act(x) if i < len(sites) - 1 else x
        torch.testing.assert_close(outputs, x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["two layers", "layer norm"])
def test_nodes_that_are_what_they_are_for_another_input(name: str) -> None:
    """Each circuit against a whole pass in which the others' activations are patched in, and effects against one less."""
    one = subject(name)
    value, inputs = Resample(3), one.require_task().inputs
    graph = nodes(one, value)
    other = inputs[torch.randperm(len(inputs), generator=torch.Generator().manual_seed(3))]
    same = nodes(one, Counterfactual(other))
    chosen = masks(graph, 4)
    found = graph.scores(chosen)[:, 0]
    torch.testing.assert_close(found, same.scores(chosen)[:, 0])
    acts = capture(graph.evaluation.whole, other, [n.site for n in graph.nodes])
    for row, score in zip(chosen, found.tolist(), strict=True):
        held = []
        for n in graph.nodes:
            gone = (~row[n.elements]).nonzero().flatten().tolist()
            part = {"head" if n.site.endswith("hook_z") else "unit": gone}
            held += [Patch(Site(n.site, **part), acts[n.site])] if gone else []
        assert score == pytest.approx(loss_under(one, held), rel=1e-9)
    torch.testing.assert_close(graph.effects(chosen[2]), Graph.effects(graph, chosen[2]), equal_nan=True)


def test_edges_of_resampled_inputs() -> None:
    one = subject("two layers")
    inputs = one.require_task().inputs
    other = inputs[torch.randperm(len(inputs), generator=torch.Generator().manual_seed(5))]
    chosen = masks(edges(one), 3)
    torch.testing.assert_close(
        edges(one, Resample(5)).scores(chosen), edges(one, Counterfactual(other)).scores(chosen), rtol=1e-12, atol=0
    )


def test_random_circuits_are_of_the_same_size_everywhere() -> None:
    graph = nodes(subject("two layers"))
    kept = masks(graph, 3)[2]
    random = graph.random(kept, 12, seed=1)
    assert len(random.unique(dim=0)) == 12
    assert not (random == kept).all(1).any()
    for site in set(graph.places):
        own = torch.tensor([p == site for p in graph.places])
        assert (random[:, own].sum(1) == kept[own].sum()).all()
    assert len(graph.random(graph.whole, 3, seed=0)) == 0


def test_refusals_of_graphs() -> None:
    one = subject("plain")
    with pytest.raises(InterpError, match="differs between inputs"):
        nodes(one, Fixed(torch.ones(len(one.require_task().inputs), 1, 1, 1)[:2]))
    with pytest.raises(InterpError, match="needs a corrupted one in its row"):
        nodes(one, Counterfactual(one.require_task().inputs[:3]))
    with pytest.raises(InterpError, match="Mean, Zero, Resample or Counterfactual"):
        edges(one, Fixed(torch.tensor(1.0)))
    with pytest.raises(InterpError, match="edges are defined for transformers and MLPs"):
        edge_graph(
            make_evaluation(Subject("lstm", make("lstm")), lambda out: out[:, -1, 0], torch.ones(3, 4).long()),
            Mean(),
            BYTES,
        )


def test_nothing_is_left_on_the_model() -> None:
    graph = nodes(subject("plain"))
    graph.scores(masks(graph, 3))
    graph.attributions(graph.whole)

    def fail(outputs: Tensor) -> Tensor:
        raise KeyboardInterrupt

    stopped = node_graph(make_evaluation(subject("plain"), make_metric(fail)), ("heads",), Mean(), BYTES)
    with pytest.raises(KeyboardInterrupt):
        stopped.scores(stopped.whole.unsqueeze(0))
    for model in (graph.evaluation.model, stopped.evaluation.model):
        assert_clean(model)


def assert_clean(model: HookedModel) -> None:
    assert not model.watched_sites()
    assert resolve_sites(model, "*")
    copy.deepcopy(model)


def test_edges_need_a_stream_that_adds_up() -> None:
    """With norms after every sum an edge is not a term of one; nodes are searched instead, as the message says."""
    for name in ("norm last", "norm last, no mlp"):
        with pytest.raises(InterpError, match="of='nodes'"):
            edges(subject(name))
    assert len(nodes(subject("norm last"))) == 2 * 3 + 2 * 10
