"""Subnetwork probing: a mask per edge, learned with a penalty on the expected share of edges."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from circuits.engine.arguments import numbers
from circuits.engine.budget import DEFAULT_BYTES
from circuits.interventions.values import ValueLike
from circuits.methods.edge_scores import EdgeScores
from circuits.methods.learned_masks import Masks, along_the_path, check_training, require_gradient, settled
from circuits.methods.pairs import make_ends
from circuits.metrics import MetricLike
from interp._util.bar import with_bar
from interp.hooked.base import HookedModel
from interp.subject import Subject

STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)


@with_bar
def subnetwork_probing(
    subject: Subject | HookedModel,
    clean: Tensor | None = None,
    corrupted: Tensor | None = None,
    *,
    strengths: Sequence[float] = STRENGTHS,
    faithfulness: float = 0.9,
    steps: int = 300,
    lr: float = 0.1,
    n_seeds: int = 1,
    seed: int = 0,
    metric: MetricLike = "kl",
    value: ValueLike | None = None,
    by_position: bool = False,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
    progress: Callable[[int, int], None] | bool | None = None,
) -> EdgeScores:
    """Subnetwork probing on edges: masks that minimise ``1 - faithfulness + strength * expected share of edges``.

    Every edge has a hard-concrete gate; a mask of 0 is an ablated edge. Masks for all strengths are trained together. The
    paper's loss is the task's, in nats; here it is the share of the metric that is lost, so that a strength means the same for
    every metric: how much faithfulness all edges together are worth.

    Cost: ``steps`` forward and backward passes over all inputs for each strength and seed, whatever the number of edges.

    Misleads in that soft masks scale what an edge carries, which no circuit can: look at the faithfulness of the rounded ones
    in ``.path``. Masks differ between seeds where parts back each other up. A metric that circuits can raise beyond the
    network's (``logit_diff``) is raised.

    Args:
        subject: the network, and its task if it has one.
        clean: inputs ``[n, ...]``; the task's examples by default. Some hundreds are enough.
        corrupted: another input for each of them, with another answer: an ablated edge carries what it carries there.
        strengths: of the penalty, the path of sparsities.
        faithfulness: the smallest circuit of the path that reaches it is ``chosen``; if none does, the most faithful one.
        steps: of Adam.
        lr: its step, in logits of a gate.
        n_seeds: train so many masks for every strength, each with other noise; scores are their mean.
        seed: of the noise.
        metric: with a gradient: by name, a `Metric`, or a function of the model's outputs.
        value: what an ablated edge carries without ``corrupted``: ``"mean"`` over the inputs (the default) or ``"zero"``.
        by_position: tell edges of a transformer apart by the position at which they are read.
        dtype: the network runs in this, the subject's precision by default.
        max_bytes: working memory in addition to the captured activations.
        progress: called with (steps done, steps in all). By default a notebook shows a bar; False leaves it out.

    Returns:
        `EdgeScores`: a score is the mean of the edge's masks over strengths and seeds, between 0 and 1 (not a change of the
        metric); ``.path`` has the circuit of masks of at least 1/2 for every strength.

    Raises:
        MissingCapability: neither inputs nor a task.
        InterpError: a network without edges, inputs that do not align, a metric without a gradient, no strengths or negative
            ones.

    Cao et al. 2021, Low-Complexity Probing via Finding Subnetworks, https://arxiv.org/abs/2104.03514; on edges as in
    https://github.com/UFO-101/auto-circuit.
    """
    check_training(steps, lr, n_seeds, seed, faithfulness)
    strengths = numbers("strengths", strengths, 0, math.inf, STRENGTHS)
    ends = make_ends(
        subject, clean, corrupted, metric, value, by_position=by_position, dtype=dtype, max_bytes=max_bytes
    )
    require_gradient(ends)
    weights = torch.tensor(strengths * n_seeds, device=ends.graph.whole.device)
    masks = Masks(ends, lambda share, step, of: weights.to(share) * share)
    found = masks.train(len(weights), steps, lr, seed, progress).unflatten(0, (n_seeds, len(strengths)))
    return along_the_path(
        ends, found, settled(found) >= 0.5, name="strength", points=strengths, faithfulness=faithfulness,
        method="subnetwork probing", steps=steps,
    )  # fmt: skip
