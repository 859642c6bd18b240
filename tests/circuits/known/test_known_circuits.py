"""The registry, the comparison of edges, and the circuits as the search finds them."""

from __future__ import annotations

import math

import pytest
import torch

import circuits
from interp import InterpError, Subject, UnknownName

KNOWN = circuits.known


def test_all_circuits_are_there_and_right() -> None:
    """Every name makes a circuit whose network answers all examples; pairs differ in their answers."""
    found = KNOWN.all_circuits()
    assert tuple(found) == KNOWN.names()
    for name, one in found.items():
        task = one.subject.require_task()
        assert one.name == name
        assert bool(task.correct(one.subject.logits()).all())
        assert one.clean.shape == one.corrupted.shape
        answers = [one.subject.model(x.to(one.subject.model.dtype) if x.is_floating_point() else x)
                   for x in (one.clean, one.corrupted)]  # fmt: skip
        clean, corrupted = (task.read(a) for a in answers)
        differ = (
            clean.argmax(1) != corrupted.argmax(1)
            if clean.shape[1] > 1
            else clean[:, 0].sign() != corrupted[:, 0].sign()
        )
        assert bool(differ.all()), name
        assert name in repr(one)
        assert one.nodes


def test_edges_by_hand() -> None:
    """The circuits that one can read off: K-composition, a count, an alternating sum."""
    assert KNOWN.induction().edges == {
        "embed > L0H0 values", "L0H0 > L1H0 keys", "embed > L1H0 queries", "embed > L1H0 values", "L1H0 > logits",
    }  # fmt: skip
    assert KNOWN.induction().nodes == {"L0H0", "L1H0"}
    assert KNOWN.histogram().edges == {
        "embed > L0H0 queries", "embed > L0H0 keys", "L0H0 > L0 mlp", "L0 mlp > logits",
    }  # fmt: skip
    bits = {f"in{bit} > L0N{unit}" for bit in range(3) for unit in range(3)}
    assert KNOWN.parity().edges == bits | {f"L0N{unit} > out0" for unit in range(3)}


def test_compare() -> None:
    """By hand: 3 of 4 found are true, one is constant and does not count."""
    one = KNOWN.and_or()
    found = ["embed > L0H0 values", "L0H0 > L0 mlp", "L0 mlp > L1 mlp", "embed > logits", "embed > L0H0 keys"]
    scores = one.compare(found)
    assert (scores.precision, scores.recall, scores.recall_needed) == (3 / 4, 3 / 7, 1 / 3)
    assert scores.spurious == {"embed > logits"}
    assert scores.missed == one.edges - set(found)
    assert math.isnan(one.compare([]).precision)
    assert one.compare(one.edges).recall == 1


def test_compare_by_heads() -> None:
    """An edge into a head's queries and one into its values are the same edge into the head."""
    one = KNOWN.sort()
    found = {edge.replace("queries", "values") for edge in one.edges}
    assert one.compare(found).recall < 1
    scores = one.compare(found, heads=True)
    assert (scores.precision, scores.recall) == (1, 1)


@pytest.mark.parametrize("given", ["embed > logits", 3, [1.5], None])
def test_compare_refuses_what_is_no_label(given: object) -> None:
    with pytest.raises(InterpError, match="edges are labels such as"):
        KNOWN.sort().compare(given)  # pyright: ignore[reportArgumentType]


def test_unknown_names() -> None:
    with pytest.raises(UnknownName, match="reverse"):
        KNOWN.by_name("revers")


def test_a_network_that_errs_has_no_known_circuit() -> None:
    """A wrong answer, or one answer only, is said."""
    from circuits.known.known_circuit import counterfactuals, known_circuit

    one = KNOWN.superposition().subject
    with torch.no_grad():
        one.model.W_U.zero_()  # pyright: ignore[reportCallIssue, reportAttributeAccessIssue]  an MLP
    with pytest.raises(InterpError, match="10 of 12 answers are wrong"):
        known_circuit("broken", Subject("broken", one.model, one.task), "")
    with pytest.raises(InterpError, match="the same answer"):
        counterfactuals(torch.tensor([[0], [1]]), torch.tensor([1, 1]))


def test_soft_networks_let_gradients_through() -> None:
    """Attribution finds nothing before the last head of a hard network, and every head of the circuit in a soft one."""
    for one, layers in ((KNOWN.sort(), {"1"}), (KNOWN.sort(soft=True), {"0", "1"})):
        table = circuits.attribute(one.subject, one.clean, one.corrupted).table
        felt = table[(table["change"].abs() > 1e-6) & table["site"].str.contains("hook_z")]
        assert set(felt["site"].str.split(".").str[1]) == layers
        assert set(felt["component"].str.split("head=").str[1]) == {"0"}
        assert one.edges == KNOWN.sort().edges


def test_the_search_finds_induction() -> None:
    """With each edge that is ablated at the mean: all that it finds is true."""
    one = KNOWN.induction()
    found = circuits.discover(one.subject, of="edges", n_random=0)
    assert one.compare(found.components).precision == 1
    assert one.compare(found.components).recall == 1
