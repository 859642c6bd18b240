"""The search on graphs whose score is a rule: what it orders by, what it tries, and how many rounds it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import chain, combinations
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from circuits.discovery.graph import Graph
from circuits.discovery.search import floor_of, shrink
from circuits.metrics import AccuracyMetric

WORKS = 1.0


class Rule(Graph):
    """Elements of which some sets work and others do not, with attributions that are given.

    Attributes:
        asked: sizes of the circuits whose every element was ablated: one entry for each (dear) round by effects.
        scored: number of single scores.
    """

    def __init__(self, works: Callable[[set[int]], bool], attributions: Sequence[float]):
        self.works, self.slopes = works, torch.tensor(attributions, dtype=torch.float64)
        self.labels = [str(i) for i in range(len(attributions))]
        self.places = ["here"] * len(attributions)
        self.evaluation = SimpleNamespace(metrics=(AccuracyMetric(),), inputs=torch.zeros(1))  # type: ignore[assignment]
        self.asked: list[int] = []
        self.scored = 0

    def outputs(self, kept: Tensor, rows: slice) -> Tensor:
        raise AssertionError("scores are given")

    def scores(self, kept: Tensor) -> Tensor:
        self.scored += len(kept)
        return torch.tensor([[WORKS if self.works({*row.nonzero().flatten().tolist()}) else 0.0] for row in kept])

    def effects(self, kept: Tensor) -> Tensor:
        self.asked.append(int(kept.sum()))
        table = torch.full((len(self), 1), torch.nan, dtype=torch.float64)
        for i in kept.nonzero().flatten().tolist():
            table[i] = self.scores((kept & (torch.arange(len(self)) != i)).unsqueeze(0))[0]
        return table

    def attributions(self, kept: Tensor, points: int = 1) -> Tensor:
        return self.slopes


def found(graph: Rule, order: str = "effects") -> list[int]:
    return shrink(graph, WORKS, 1, order).nonzero().flatten().tolist()  # type: ignore[arg-type]


@pytest.mark.parametrize("sign", [1, -1])
def test_slopes_of_either_sign_count(sign: int) -> None:
    """The one needed element has the largest slope, whatever its sign: gradients alone leave nothing to effects."""
    graph = Rule(lambda kept: 0 in kept, [5.0 * sign, *[0.1, -0.1] * 10])
    assert found(graph, "attribution") == [0]
    assert graph.asked == [1]  # the circuit was already found


def test_what_stands_behind_one_that_cannot_go_is_tried() -> None:
    """Of 0 and 1 one must stay, and all others are idle: found in one round, with no second one for them."""
    graph = Rule(lambda kept: bool(kept & {0, 1}), [0.0] * 6)
    assert found(graph) == [1]
    assert graph.asked == [6, 1]


@pytest.mark.parametrize("order", ["effects", "attribution"])
def test_what_is_found_is_minimal_for_any_rule(order: str) -> None:
    """Rules of several sets, each of which works: no element of what is found can go."""
    sets = [{0, 1, 2}, {2, 3}, {1, 4, 5}]
    graph = Rule(lambda kept: any(s <= kept for s in sets), [1.0, -2.0, 3.0, -1.0, 0.5, 0.1])
    kept = found(graph, order)
    assert {*kept} in sets
    smaller = chain.from_iterable(combinations(kept, n) for n in range(len(kept)))
    assert not any(graph.works({*one}) for one in smaller)


def test_progress_ends_with_what_is_out() -> None:
    """Called after each round with (elements ablated, elements in all)."""
    seen: list[tuple[int, int]] = []
    graph = Rule(lambda kept: 3 in kept, [0.0] * 8)
    shrink(graph, WORKS, 1, "effects", lambda *x: seen.append(x))
    assert seen == [(7, 8)]


@pytest.mark.parametrize(("clean", "empty"), [(9, 3), (6, 1), (1, 6)])
def test_a_score_at_the_floor_is_enough(clean: int, empty: int) -> None:
    """0.3 + 1 (0.9 - 0.3) is above 0.9, so that of a faithfulness of 1 not even idle elements could go."""
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        for n in (9, 10, 11, 40):
            exact = Fraction(empty, n) + Fraction(share) * Fraction(clean - empty, n)
            floor = floor_of(clean / n, empty / n, share)
            assert abs(floor - exact) < 1e-14
            assert float(exact) >= floor if clean > empty else float(exact) <= floor
