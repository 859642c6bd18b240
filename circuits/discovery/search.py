"""The greedy search for a small circuit: elements needed least are ablated first, as many together as the score allows."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.bisection import largest
from circuits.discovery.graph import Graph, better

ROUNDING = 4 * sys.float_info.epsilon  # of a floor: three operations on the metrics at its two ends
TRIES = 12  # elements tried one by one in a round: each costs one run, where a round costs one per element

Order = Literal["effects", "attribution"]


def shrink(
    graph: Graph,
    floor: float,
    direction: int,
    order: Order,
    progress: Callable[[int, int], None] | None = None,
    rounds: list[Bool[Tensor, " elements"]] | None = None,
) -> Bool[Tensor, " elements"]:
    """The elements that are left when no further one can be ablated.

    In rounds: the elements of the circuit are ordered by how little each is needed in it, and as many of the first of them are
    ablated together as leave the score at ``floor``. How many is found by bisection, decided by the true score; the next few
    are tried one by one, since the one that could not be ablated may have stood in their way. The circuit shrinks until not
    even the first one can be ablated.

    With ``"effects"``, and in the end always, no single element can be removed from what is found: it is minimal, though not
    always the smallest.

    Args:
        graph: the network's elements.
        floor: what the metric must keep, of `floor_of`.
        direction: 1 where the whole network has a higher metric than the empty one, -1 where it has a lower one.
        order: ``"effects"``: by the true score without each. ``"attribution"``: by gradients as long as they find something to
            ablate, and by true effects after that.
        progress: called with (elements ablated, elements in all) after each round.
        rounds: is given the circuit after each round.

    Returns:
        which elements are kept.
    """
    kept, goal = graph.whole, Goal(graph, floor, direction)
    for ranked in (_by_attribution, _by_effects) if order == "attribution" else (_by_effects,):
        while n := _most(goal, kept, candidates := ranked(goal, kept)):
            kept = _few_more(goal, _without(kept, candidates, n), candidates[n + 1 : n + 1 + TRIES])
            if rounds is not None:
                rounds.append(kept)
            if progress is not None:
                progress(int((~kept).sum()), len(graph))
    return kept


def floor_of(clean: float, empty: float, faithfulness: float) -> float:
    """The metric that a circuit must keep, looser by what rounding may add: a score exactly there is enough.

    Args:
        clean: the metric of the whole network.
        empty: the metric with everything ablated.
        faithfulness: share of the way from ``empty`` to ``clean``.

    Returns:
        the metric.

    >>> 0.3 + 1.0 * (0.9 - 0.3) <= 0.9, floor_of(0.9, 0.3, 1.0) <= 0.9
    (False, True)
    """
    slack = ROUNDING * max(abs(clean), abs(empty))
    return empty + faithfulness * (clean - empty) - (slack if clean > empty else -slack)


@dataclass(frozen=True)
class Goal:
    """What a circuit must reach.

    Attributes:
        graph: the network's elements.
        floor: what the metric must keep.
        direction: 1 where higher is better, -1 where lower is.
    """

    graph: Graph
    floor: float
    direction: int

    def reached(self, scores: Float[Tensor, "k metrics"]) -> Bool[Tensor, " k"]:
        """Whether the metric is at the floor or better; NaN is not."""
        return self.direction * scores[:, 0] >= self.direction * self.floor


def _by_effects(goal: Goal, kept: Tensor) -> Tensor:
    """Elements that can be ablated by themselves, those that leave the best score first."""
    table = goal.graph.effects(kept)
    judge, *others = goal.graph.evaluation.metrics
    keys = [goal.direction * better(judge) * better(m) * table[:, i + 1] for i, m in enumerate(others)]
    order = torch.arange(len(goal.graph), device=kept.device)
    for key in [*keys, goal.direction * table[:, 0]]:  # the metric that decides last, so that it counts most
        order = order[(-key[order]).argsort(stable=True)]
    can_go = kept & goal.reached(table)
    return order[can_go[order]]


def _by_attribution(goal: Goal, kept: Tensor) -> Tensor:
    """All elements of the circuit, those with the smallest slope first, of either sign: both kinds are in use."""
    order = goal.graph.attributions(kept).abs().argsort(stable=True)
    return order[kept[order]]


def _without(kept: Tensor, candidates: Tensor, n: int) -> Tensor:
    left = kept.clone()
    left[candidates[:n]] = False
    return left


def _few_more(goal: Goal, kept: Tensor, candidates: Tensor) -> Tensor:
    for i in range(len(candidates)):
        less = _without(kept, candidates[i:], 1)
        if bool(goal.reached(goal.graph.scores(less.unsqueeze(0)))):
            kept = less
    return kept


def _most(goal: Goal, kept: Tensor, candidates: Tensor) -> int:
    """How many of the first candidates can be ablated together: bisection assumes that the score falls with their number."""

    def enough(n: int) -> bool:
        return bool(goal.reached(goal.graph.scores(_without(kept, candidates, n).unsqueeze(0))))

    return largest(len(candidates), enough)
