"""Edge pruning: a mask per edge, learned so that a given share of the edges is left (Lagrangian)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from circuits.engine.arguments import numbers
from circuits.engine.budget import DEFAULT_BYTES
from circuits.interventions.values import ValueLike
from circuits.methods.edge_scores import EdgeScores
from circuits.methods.learned_masks import Masks, along_the_path, check_training, require_gradient
from circuits.methods.pairs import make_ends
from circuits.metrics import MetricLike
from interp._util.bar import with_bar
from interp.hooked.base import HookedModel
from interp.subject import Subject

SPARSITIES = (0.5, 0.7, 0.8, 0.9, 0.95)


@with_bar
def edge_pruning(
    subject: Subject | HookedModel,
    clean: Tensor | None = None,
    corrupted: Tensor | None = None,
    *,
    sparsities: Sequence[float] = SPARSITIES,
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
    """Edge pruning: masks that minimise ``1 - faithfulness`` at a given sparsity, the share of edges that are ablated.

        minimise over masks, maximise over l1 and l2:  1 - faithfulness + l1 (t - s) + l2 (t - s)^2

    with s the expected sparsity of the hard-concrete masks, and the target t rising from 0 to the sparsity asked for in the
    first half of the steps. All sparsities are trained together. In the end each circuit keeps the edges with the largest
    masks, as many as its sparsity leaves. The paper's further masks of whole nodes are left out.

    Cost: ``steps`` forward and backward passes over all inputs for each sparsity and seed, whatever the number of edges.

    Misleads as `subnetwork_probing` does, and where the sparsity asked for is not one that the network has: of edges that do
    the same work some are kept by chance, and of edges that do nothing some fill up the number.

    Args:
        subject: the network, and its task if it has one.
        clean: inputs ``[n, ...]``; the task's examples by default. Some hundreds are enough.
        corrupted: another input for each of them, with another answer: an ablated edge carries what it carries there.
        sparsities: shares of edges that are ablated, the path.
        faithfulness: the smallest circuit of the path that reaches it is ``chosen``; if none does, the most faithful one.
        steps: of Adam.
        lr: its step, in logits of a gate and in multipliers.
        n_seeds: train so many masks for every sparsity, each with other noise; scores are their mean.
        seed: of the noise.
        metric: with a gradient: by name, a `Metric`, or a function of the model's outputs.
        value: what an ablated edge carries without ``corrupted``: ``"mean"`` over the inputs (the default) or ``"zero"``.
        by_position: tell edges of a transformer apart by the position at which they are read.
        dtype: the network runs in this, the subject's precision by default.
        max_bytes: working memory in addition to the captured activations.
        progress: called with (steps done, steps in all). By default a notebook shows a bar; False leaves it out.

    Returns:
        `EdgeScores`: a score is the mean of the edge's masks over sparsities and seeds, between 0 and 1 (not a change of the
        metric); ``.path`` has every sparsity's circuit.

    Raises:
        MissingCapability: neither inputs nor a task.
        InterpError: a network without edges, inputs that do not align, a metric without a gradient, or sparsities that are
            not between 0 and 1.

    Bhaskar et al. 2024, Finding Transformer Circuits with Edge Pruning, https://arxiv.org/abs/2406.16778.
    """
    check_training(steps, lr, n_seeds, seed, faithfulness)
    sparsities = numbers("sparsities", sparsities, 0, 1, SPARSITIES)
    ends = make_ends(
        subject, clean, corrupted, metric, value, by_position=by_position, dtype=dtype, max_bytes=max_bytes
    )
    require_gradient(ends)
    graph, k = ends.graph, len(sparsities) * n_seeds
    goals = torch.tensor(sparsities * n_seeds, dtype=graph.evaluation.model.dtype, device=graph.whole.device)
    linear, square = (torch.zeros_like(goals, requires_grad=True) for _ in range(2))

    def lagrangian(share: Tensor, step: int, of: int) -> Tensor:
        missing = goals * min(1.0, 2 * (step + 1) / of) - (1 - share)
        return linear * missing + square * missing.square()

    masks = Masks(ends, lagrangian, (linear, square))
    found = masks.train(k, steps, lr, seed, progress)
    kept = torch.zeros(found.shape, dtype=torch.bool, device=found.device)
    for i, goal in enumerate(goals.tolist()):
        kept[i, (-found[i]).argsort(stable=True)[: round((1 - goal) * len(graph))]] = True
    shape = (n_seeds, len(sparsities))
    return along_the_path(
        ends, found.unflatten(0, shape), kept.unflatten(0, shape), name="sparsity", points=sparsities,
        faithfulness=faithfulness, method="edge pruning", steps=steps,
    )  # fmt: skip
