"""Edge masks that are learned by gradient descent: hard-concrete gates, and circuits along a path of sparsities.

A gate is a random number between 0 and 1 with a mass at both ends, so that the expected number of open edges has a gradient.
All masks of a path (and of several seeds) are trained together, as one batch of networks.

Louizos et al. 2018, Learning Sparse Neural Networks through L0 Regularization, https://arxiv.org/abs/1712.01312.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.engine.arguments import require_whole
from circuits.engine.budget import slices
from circuits.methods.edge_scores import EdgeScores, edge_scores
from circuits.methods.pairs import Ends
from interp._util.estimate import told
from interp._util.threads import few_threads
from interp.errors import InterpError, require_positive, require_range

TEMPERATURE, LOW, HIGH = 2 / 3, -0.1, 1.1  # of the hard-concrete distribution, as in the papers
START = 0.9  # of every mask


def sampled(logits: Tensor, noise: Tensor) -> Tensor:
    """Gates for uniform noise between 0 and 1, differentiable in the logits."""
    soft = ((noise.log() - (-noise).log1p() + logits) / TEMPERATURE).sigmoid()
    return (soft * (HIGH - LOW) + LOW).clamp(0, 1)


def open_share(logits: Float[Tensor, "k edges"]) -> Float[Tensor, " k"]:
    """The expected share of gates that are not closed."""
    return (logits - TEMPERATURE * math.log(-LOW / HIGH)).sigmoid().mean(1)


def settled(logits: Tensor) -> Tensor:
    """Gates without noise."""
    return (logits.sigmoid() * (HIGH - LOW) + LOW).clamp(0, 1)


@dataclass
class Masks:
    """Masks of k networks, trained together.

    Attributes:
        ends: the graph, and its metric with all edges and with none.
        penalty: of the expected shares of open edges ``[k]`` at a step ``(share, step, steps)``; a number per network, added
            to its loss.
        ascending: what the penalty is maximised by, if anything (Lagrange multipliers).
    """

    ends: Ends
    penalty: Callable[[Tensor, int, int], Tensor]
    ascending: Sequence[Tensor] = ()

    def train(
        self, k: int, steps: int, lr: float, seed: int, progress: Callable[[int, int], None] | bool | None
    ) -> Float[Tensor, "k edges"]:
        """Minimise ``1 - faithfulness + penalty`` by Adam.

        Args:
            k: number of networks.
            steps: of Adam, each on all inputs.
            lr: its step, in logits of a gate.
            seed: of the gates' noise.
            progress: called with (steps done, steps in all).

        Returns:
            the logits of the gates.
        """
        graph, generator = self.ends.graph, torch.Generator().manual_seed(seed)
        dtype, device = graph.evaluation.model.dtype, graph.whole.device
        first = (START - LOW) / (HIGH - LOW)
        start = math.log(first / (1 - first))
        logits = torch.full((k, len(graph)), start, dtype=dtype, device=device, requires_grad=True)
        groups = [{"params": [logits]}, *({"params": [p], "maximize": True} for p in self.ascending)]
        optimizer, seen = torch.optim.Adam(groups, lr=lr), told("steps of the masks", progress)
        with few_threads(sum(p.numel() for p in graph.evaluation.model.parameters())), torch.enable_grad():
            for step in range(steps):
                optimizer.zero_grad()
                noise = torch.rand(k, len(graph), generator=generator, dtype=torch.float64).clamp(1e-6, 1 - 1e-6)
                gates = sampled(logits, noise.to(logits))
                gates.backward(self._slopes(gates.detach()))
                self.penalty(open_share(logits), step, steps).sum().backward()
                optimizer.step()
                seen(step + 1, steps)
        return logits.detach()

    def _slopes(self, gates: Float[Tensor, "k edges"]) -> Float[Tensor, "k edges"]:
        """The gradient of ``1 - faithfulness`` of every network."""
        graph, found = self.ends.graph, torch.zeros_like(gates)
        metric, n = graph.evaluation.metrics[-1], len(graph.evaluation.inputs)
        size = n if metric.whole else min(n, graph.at_once)
        for part in slices(len(gates), max(1, graph.at_once // size)):
            own = gates[part].requires_grad_()
            for rows in slices(n, size):
                values = metric.values(graph.outputs(own, rows), rows, graph.evaluation.answers).sum() / n
                found[part] += torch.autograd.grad(values, own)[0]
        return -found / (self.ends.clean - self.ends.empty)


def check_training(steps: int, lr: float, n_seeds: int, seed: int, faithfulness: float) -> None:
    """Refuse arguments of a training that are out of range.

    Raises:
        InterpError: the first of them.
    """
    require_whole("steps", steps, 1)
    require_positive("lr", lr)
    require_whole("n_seeds", n_seeds, 1)
    require_whole("seed", seed, 0)
    require_range("faithfulness", faithfulness, 0, 1)


def require_gradient(ends: Ends) -> None:
    """Refuse a metric without a gradient.

    Raises:
        InterpError: such as accuracy.
    """
    metrics = ends.graph.evaluation.metrics
    if len(metrics) > 1:
        raise InterpError(
            f"masks are learned by gradients, and {metrics[0].name} has none: use 'kl', 'loss' or 'logit_diff'"
        )


def along_the_path(
    ends: Ends,
    logits: Float[Tensor, "seeds path edges"],
    kept: Bool[Tensor, "seeds path edges"],
    *,
    name: str,
    points: Sequence[float],
    faithfulness: float,
    method: str,
    steps: int,
) -> EdgeScores:
    """The result of masks that were learned.

    Args:
        ends: what they are masks of.
        logits: of the gates.
        kept: the circuits that they stand for.
        name: of what changes along the path.
        points: its values.
        faithfulness: of the circuit that is chosen.
        method: its name.
        steps: of Adam.

    Returns:
        scores (the mean of an edge's masks) with the circuits of the path; ``chosen`` is the smallest one that is faithful
        enough, or the most faithful one.
    """
    seeds, path, _ = kept.shape
    masks, flat = settled(logits).double(), kept.flatten(0, 1)
    found = ends.faithfulness(flat)
    table = pd.DataFrame({
        "seed": [i // path for i in range(len(flat))], name: list(points) * seeds, "edges": flat.sum(1).tolist(),
        "faithfulness": found.tolist(),
    })  # fmt: skip
    enough = (found >= faithfulness).nonzero().flatten()
    best = int(enough[flat[enough].sum(1).argmin()]) if len(enough) else int(found.argmax())
    passes = (steps * len(flat) + len(flat) + 2, steps * len(flat))
    return edge_scores(
        ends, masks.mean((0, 1)), method=method, passes=passes,
        chosen=flat[best], unit="mean mask", path=table,
    )  # fmt: skip
