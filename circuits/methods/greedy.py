"""The suite's own search, as a method among others: edges ablated together as long as the circuit stays faithful."""

from __future__ import annotations

import torch
from torch import Tensor

from circuits.discovery.search import Order, floor_of, shrink
from circuits.engine.budget import DEFAULT_BYTES
from circuits.interventions.values import ValueLike
from circuits.methods.edge_scores import EdgeScores, edge_scores
from circuits.methods.pairs import make_ends
from circuits.metrics import MetricLike
from interp.errors import require_range
from interp.hooked.base import HookedModel
from interp.subject import Subject


def greedy(
    subject: Subject | HookedModel,
    clean: Tensor | None = None,
    corrupted: Tensor | None = None,
    *,
    faithfulness: float = 0.99,
    order: Order = "effects",
    metric: MetricLike = "logit_diff",
    value: ValueLike | None = None,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
) -> EdgeScores:
    """The search of `circuits.discover`, with the order in which it ablates edges as their scores.

    Cost: one changed network per edge of the circuit and round, of which only what hears the edge's receiver is run again.

    Args:
        subject: the network, and its task if it has one.
        clean: inputs ``[n, ...]``; the task's examples by default.
        corrupted: another input for each of them, with another answer: an ablated edge carries what it carries there.
        faithfulness: that the circuit must reach.
        order: of `circuits.discover`.
        metric: by name, a `Metric`, or a function of the model's outputs.
        value: what an ablated edge carries without ``corrupted``: ``"mean"`` over the inputs (the default) or ``"zero"``.
        dtype: the network runs in this, the subject's precision by default.
        max_bytes: working memory in addition to the captured activations.

    Returns:
        `EdgeScores` with the edges of the circuit. A score is the round in which the edge was ablated; edges of the circuit
        come after the last round, those that lose more by their absence first.

    Raises:
        MissingCapability: neither inputs nor a task.
        InterpError: a network without edges, or inputs that do not align.
    """
    require_range("faithfulness", faithfulness, 0, 1)
    ends = make_ends(subject, clean, corrupted, metric, value, dtype=dtype, max_bytes=max_bytes)
    graph, rounds = ends.graph, []
    floor = floor_of(ends.clean, ends.empty, faithfulness)
    kept = shrink(graph, floor, 1 if ends.clean > ends.empty else -1, order, None, rounds)
    lost = (graph.effects(kept)[:, 0] - graph.scores(kept.unsqueeze(0))[0, 0]).abs().nan_to_num(0.0)
    scores = torch.stack(rounds).double().sum(0) if rounds else torch.zeros(len(graph), dtype=torch.float64)
    scores = scores + (lost / lost.max().clamp_min(1e-300)).to(scores) * kept
    return edge_scores(
        ends, scores, method="discover", passes=(len(graph) * (len(rounds) + 1), 0), chosen=kept,
    )  # fmt: skip
