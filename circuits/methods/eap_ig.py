"""EAP with integrated gradients (EAP-IG): the gradient averaged on the way from the corrupted run to the clean one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from circuits.discovery.graph import EdgeGraph
from circuits.engine.arguments import require_whole
from circuits.engine.budget import DEFAULT_BYTES
from circuits.interventions.values import ValueLike
from circuits.methods.edge_scores import EdgeScores, edge_scores
from circuits.methods.pairs import make_ends
from circuits.metrics import MetricLike
from interp.errors import UnknownName, unknown
from interp.hooked.base import HookedModel
from interp.subject import Subject

Path = Literal["inputs", "activations", "edges"]


def eap_ig(
    subject: Subject | HookedModel,
    clean: Tensor | None = None,
    corrupted: Tensor | None = None,
    *,
    path: Path = "inputs",
    steps: int = 5,
    metric: MetricLike = "logit_diff",
    value: ValueLike | None = None,
    by_position: bool = False,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
) -> EdgeScores:
    """EAP-IG: edge attribution patching with integrated gradients.

        score(sender > receiver) = sum of  (a_corrupted - a_clean)(sender) * mean over k of dm/d(what the receiver hears)

    with the gradient at the points k / steps, k = 1 ... steps, of a straight path from the corrupted to the clean run.

    Cost: ``steps`` backward passes, and as many and two more forward passes; with ``path="activations"`` for each layer's
    heads and each MLP so many.

    Misleads less than `eap` where the metric saturates, but half-way inputs are such as the network never sees.

    Args:
        subject: the network, and its task if it has one.
        clean: inputs ``[n, ...]``; the task's examples by default.
        corrupted: another input for each of them, with another answer: an ablated edge carries what it carries there.
        path: ``"inputs"``: the embedded inputs move, as in the paper. ``"activations"``: what one layer's heads or one MLP
            write moves, each in turn. ``"edges"``: all edges' masks move together, as in auto-circuit.
        steps: points on the path.
        metric: with a gradient: by name, a `Metric`, or a function of the model's outputs.
        value: what an ablated edge carries without ``corrupted``: ``"mean"`` over the inputs (the default) or ``"zero"``.
        by_position: tell edges of a transformer apart by the position at which they are read.
        dtype: the network runs in this, the subject's precision by default.
        max_bytes: working memory in addition to the captured activations.

    Returns:
        `EdgeScores`: the expected change of the metric (changed minus clean) by ablating each edge.

    Raises:
        MissingCapability: neither inputs nor a task.
        UnknownName: another path.
        InterpError: a network without edges, inputs that do not align, or a metric without a gradient.

    Hanna et al. 2024, Have Faith in Faithfulness, https://arxiv.org/abs/2403.17806.
    """
    require_whole("steps", steps, 1, 1000)
    if path not in get_args(Path):
        raise UnknownName(unknown("path", path, get_args(Path)))
    ends = make_ends(
        subject, clean, corrupted, metric, value, by_position=by_position, dtype=dtype, max_bytes=max_bytes
    )
    graph = ends.graph
    if path == "edges":
        scores, backward = -graph.attributions(graph.whole, points=steps), steps
    elif path == "inputs":
        scores, backward = _along(graph, graph.stages[0], steps), steps
    else:
        scores = torch.zeros(len(graph), dtype=torch.float64, device=graph.whole.device)
        for stage in graph.stages:
            own = torch.isin(graph.sender_of, torch.tensor(stage)).to(scores.device)
            scores = torch.where(own, _along(graph, stage, steps), scores)
        backward = steps * len(graph.stages)
    method = "EAP-IG" if path == "inputs" else f"EAP-IG ({path})"
    return edge_scores(ends, scores, method=method, passes=(backward + 2, backward))


def _along(graph: EdgeGraph, senders: Sequence[int], steps: int) -> Tensor:
    """The expected change by ablating each edge, with gradients along the path on which some senders move."""
    whole = graph.whole.to(graph.evaluation.model.dtype)
    points = [graph.slopes(whole, dict.fromkeys(senders, k / steps)) for k in range(1, steps + 1)]
    return -torch.stack(points).mean(0)
