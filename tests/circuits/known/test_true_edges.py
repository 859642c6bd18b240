"""The true edges against plain ablation: every edge of every known circuit, alone, by whole forward passes."""

from __future__ import annotations

from functools import cache
from itertools import product

import pytest
import torch
from torch import Tensor

import circuits
from circuits.discovery.edges import edge_graph
from circuits.engine.evaluation import make_evaluation
from circuits.interventions.values import Zero
from circuits.known.compiling import compiled
from circuits.known.program import Program
from circuits.metrics import make_metric
from interp import HookedMLP, HookedTransformer
from tests.circuits.known import plain

NAMES = circuits.known.names()


@cache
def known(name: str) -> circuits.known.KnownCircuit:
    return circuits.known.by_name(name)


@cache
def labels(name: str) -> tuple[str, ...]:
    """Of all edges that the network has, as the search sees them."""
    evaluation = make_evaluation(known(name).subject, (make_metric("loss"),), None)
    return tuple(edge_graph(evaluation, Zero(), 1 << 30).labels)


def run(
    name: str, inputs: Tensor, edge: str = "", instead: plain.Sent | None = None
) -> tuple[Tensor, dict[str, Tensor]]:
    model = known(name).subject.model
    with torch.no_grad():
        if isinstance(model, HookedTransformer):
            return plain.transformer(model, inputs, edge, instead)
        assert isinstance(model, HookedMLP)
        return plain.mlp(model, inputs, edge, instead)


@cache
def runs(name: str) -> tuple[Tensor, plain.Sent, plain.Sent]:
    """Clean outputs, and what every sender writes in the clean and in the corrupted run."""
    outputs, sent = run(name, known(name).clean)
    return outputs, sent, run(name, known(name).corrupted)[1]


def change(name: str, edge: str, zero: bool = False) -> float:
    """How far replacing one edge by its counterfactual value (or zero) moves an output that is read, at most."""
    outputs, sent, other = runs(name)
    instead = {k: torch.zeros_like(v) for k, v in sent.items()} if zero else other
    changed, _ = run(name, known(name).clean, edge, instead)
    task = known(name).subject.require_task()
    return float((task.read(changed) - task.read(outputs)).abs().max())


@pytest.mark.parametrize("name", NAMES)
def test_a_true_edge_matters_and_no_other_does(name: str) -> None:
    """Its counterfactual value changes an output, that of any edge that is not true changes none."""
    one = known(name)
    assert one.redundant <= one.edges < set(labels(name))
    assert one.constant <= set(labels(name)) - one.edges
    for edge in labels(name):
        moved = change(name, edge)
        if edge not in one.edges:
            assert moved < 1e-8 or one.interference, edge
        elif edge not in one.redundant:
            assert moved > 1e-3, edge


@pytest.mark.parametrize("name", NAMES)
def test_constant_edges_are_seen_by_zero_alone(name: str) -> None:
    """What carries the same on every input matters once it is gone; what is neither does not even then."""
    one = known(name)
    for edge in set(labels(name)) - one.edges:
        moved = change(name, edge, zero=True)
        if edge in one.interference:
            continue
        if edge not in one.constant:
            assert moved < 1e-8, edge
        elif not one.redundant:  # there a backup makes up for these, too
            assert moved > 1e-3, edge


def test_interference_is_small_and_everywhere() -> None:
    """Ablating what the program does not have moves logits, yet less than any true edge does."""
    one = known("interfering_sort")
    noise = [change("interfering_sort", edge) for edge in one.interference]
    assert one.edges == known("sort").edges
    assert len(noise) > len(one.edges)
    assert 0.01 < max(noise) < min(change("interfering_sort", edge) for edge in one.edges)


def test_a_backup_makes_up_for_the_path() -> None:
    """Alone neither of the two matters, together they do: all clean answers are 1, and become 0."""
    one = known("and_or")
    assert all(change("and_or", edge) < 1e-8 for edge in one.redundant)
    _, sent, _ = runs("and_or")
    both_lost = {"L0H0": -sent["L0H1"]}  # the sum of both is what the MLP reads
    without, _ = run("and_or", one.clean, "L0H0 > L0 mlp", both_lost)
    assert one.subject.require_task().read(without).argmax(-1).tolist() == [0] * len(one.clean)


def test_the_rule_sees_a_new_edge() -> None:
    """A weight that lets the logits read the embedding is an edge from then on; a network with norms is refused."""
    one = circuits.known.induction()
    model = one.subject.model
    assert isinstance(model, HookedTransformer)
    with torch.no_grad():
        model.W_U[0, 1] = 0.1
    inputs = one.subject.require_task().inputs
    assert circuits.known.transformer_edges(model, inputs, -1) == one.edges | {"embed > logits"}


def test_the_rule_follows_dead_units() -> None:
    """An MLP's weight into a unit that nobody reads is not an edge."""
    one = circuits.known.parity()
    model = one.subject.model
    assert isinstance(model, HookedMLP)
    with torch.no_grad():
        model.W_U[1] = 0.0
    expected = {edge for edge in one.edges if "L0N1" not in edge}
    assert circuits.known.mlp_edges(model, one.subject.require_task().inputs.double()) == expected


def test_what_shifts_all_keys_alike_is_no_edge() -> None:
    """Softmax does not see it, though the product of weights is not zero; a key of its own makes it an edge."""
    one = circuits.known.induction()
    model, inputs = one.subject.model, one.subject.require_task().inputs
    assert isinstance(model, HookedTransformer)
    attn, free = model.block(1).attention, model.config.d_head - 1
    with torch.no_grad():
        assert not bool(attn.W_Q[0, :, free].any())
        previous, positions = model.W_O[0, 0].any(0), model.W_pos.any(0)  # where L0H0 and positions are written
        attn.W_Q[0, previous, free] = torch.arange(int(previous.sum())).double()
        attn.W_K[0, positions, free] = 1.0  # the same for every key
        assert circuits.known.transformer_edges(model, inputs, -1) == one.edges
        attn.W_K[0, positions.nonzero()[0], free] = 2.0
    more = {"L0H0 > L1H0 queries", "embed > L1H0 keys"}
    assert circuits.known.transformer_edges(model, inputs, -1) - one.edges <= more
    assert "L0H0 > L1H0 queries" in circuits.known.transformer_edges(model, inputs, -1)


def test_what_differs_where_nobody_attends_is_no_edge() -> None:
    """A head that reads tokens and what another head wrote, at position 0 only, where the token is the same on all inputs."""
    p = Program((0, 1), 3)
    last = p.aggregate("last", p.tokens, p.indices, p.indices, lambda q, k: k == 2)
    output = p.aggregate("moved", last, p.indices, p.indices, lambda q, k: k == 0)
    model, tokens = compiled(p, output), torch.tensor(list(product((0, 1), repeat=3)))
    reader = model.block(1).attention.W_V
    with torch.no_grad():
        reader[0, :2] = reader[0, 5:7]  # the subspaces of tokens and of last
    moved = {"embed > L0H0 values", "L0H0 > L1H0 values", "L1H0 > logits"}
    assert circuits.known.transformer_edges(model, tokens, 1) == moved | {"embed > L1H0 values"}
    assert circuits.known.transformer_edges(model, tokens[tokens[:, 0] == 1], 1) == moved


@pytest.mark.parametrize("name", ["reverse", "sort", "histogram", "parity", "superposition"])
def test_the_edges_do_not_depend_on_the_precision(name: str) -> None:
    """In float32 a constant is not its own mean, and an edge that carries one the same everywhere seemed to vary."""
    one = known(name)
    model, inputs = one.subject.model.cast(torch.float32), one.subject.require_task().inputs
    if isinstance(model, HookedTransformer):
        found = circuits.known.transformer_edges(model, inputs, one.subject.require_task().readout or 0)
    else:
        assert isinstance(model, HookedMLP)
        found = circuits.known.mlp_edges(model, inputs.float())
    assert found == one.edges
