"""True effects of edges: every edge ablated by itself, which the other methods estimate."""

from __future__ import annotations

import torch
from torch import Tensor

from circuits.engine.budget import DEFAULT_BYTES
from circuits.interventions.values import ValueLike
from circuits.methods.edge_scores import MEASURED, EdgeScores, edge_scores
from circuits.methods.pairs import make_ends
from circuits.metrics import MetricLike
from interp.hooked.base import HookedModel
from interp.subject import Subject


def edge_effects(
    subject: Subject | HookedModel,
    clean: Tensor | None = None,
    corrupted: Tensor | None = None,
    *,
    metric: MetricLike = "logit_diff",
    value: ValueLike | None = None,
    by_position: bool = False,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
) -> EdgeScores:
    """Edge patching: the metric with each edge ablated by itself, minus that of the whole network.

    Cost: one changed network per edge, of which only what hears the edge's receiver is run again.

    Misleads where parts back each other up: of two that do the same work, neither changes anything by itself.

    Args:
        subject: the network, and its task if it has one.
        clean: inputs ``[n, ...]``; the task's examples by default.
        corrupted: another input for each of them, with another answer: an ablated edge carries what it carries there.
        metric: by name, a `Metric`, or a function of the model's outputs.
        value: what an ablated edge carries without ``corrupted``: ``"mean"`` over the inputs (the default) or ``"zero"``.
        by_position: tell edges of a transformer apart by the position at which they are read.
        dtype: the network runs in this, the subject's precision by default.
        max_bytes: working memory in addition to the captured activations.

    Returns:
        `EdgeScores`: the change of the metric (changed minus clean) by ablating each edge.

    Raises:
        MissingCapability: neither inputs nor a task.
        InterpError: a network without edges, or inputs that do not align.

    Goldowsky-Dill et al. 2023, Localizing Model Behavior with Path Patching, https://arxiv.org/abs/2304.05969.
    """
    ends = make_ends(
        subject, clean, corrupted, metric, value, by_position=by_position, dtype=dtype, max_bytes=max_bytes
    )
    graph = ends.graph
    scores = graph.effects(graph.whole)[:, 0] - ends.clean
    return edge_scores(
        ends,
        scores,
        method="edge patching",
        passes=(len(graph) + 2, 0),
        unit=MEASURED,
    )
