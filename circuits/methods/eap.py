"""Edge attribution patching (EAP): every edge's effect to first order, from two forward passes and one backward pass."""

from __future__ import annotations

import torch
from torch import Tensor

from circuits.engine.budget import DEFAULT_BYTES
from circuits.interventions.values import ValueLike
from circuits.methods.edge_scores import EdgeScores, edge_scores
from circuits.methods.pairs import make_ends
from circuits.metrics import MetricLike
from interp.errors import InterpError
from interp.hooked.base import HookedModel
from interp.subject import Subject


def eap(
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
    """Edge attribution patching (EAP): each edge's effect estimated by the gradient at the clean run.

        score(sender > receiver) = sum of  (a_corrupted - a_clean)(sender) * dm/d(what the receiver hears)(clean)

    Cost: a forward pass of the clean and one of the corrupted inputs, and a backward pass, whatever the number of edges.

    Misleads where the metric is not linear between the two runs: behind saturated softmaxes and dead ReLUs the gradient is 0
    although the edge matters (`eap_ig` averages it along the way), and where parts back each other up.

    Args:
        subject: the network, and its task if it has one.
        clean: inputs ``[n, ...]``; the task's examples by default.
        corrupted: another input for each of them, with another answer: an ablated edge carries what it carries there.
        metric: with a gradient: by name, a `Metric`, or a function of the model's outputs. Not ``"kl"``, whose gradient at the
            clean run is zero.
        value: what an ablated edge carries without ``corrupted``: ``"mean"`` over the inputs (the default) or ``"zero"``.
        by_position: tell edges of a transformer apart by the position at which they are read.
        dtype: the network runs in this, the subject's precision by default.
        max_bytes: working memory in addition to the captured activations.

    Returns:
        `EdgeScores`: the expected change of the metric (changed minus clean) by ablating each edge.

    Raises:
        MissingCapability: neither inputs nor a task.
        InterpError: a network without edges, inputs that do not align, or a metric without a gradient.

    Syed et al. 2023, Attribution Patching Outperforms Automated Circuit Discovery, https://arxiv.org/abs/2310.10348.
    """
    ends = make_ends(
        subject, clean, corrupted, metric, value, by_position=by_position, dtype=dtype, max_bytes=max_bytes
    )
    graph = ends.graph
    scores = -graph.slopes(graph.whole.to(graph.evaluation.model.dtype))
    if not bool(scores.abs().max() > 1e-9 * abs(ends.clean - ends.empty)):
        raise InterpError(
            f"the gradient of {graph.evaluation.metrics[-1].name} at the clean run is zero (that of 'kl' always is): use "
            "metric='logit_diff' or circuits.eap_ig, which takes it along the way"
        )
    return edge_scores(ends, scores, method="EAP", passes=(2, 1))
