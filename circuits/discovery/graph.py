"""Graphs: a network as elements (nodes or edges), of which a circuit keeps some and replaces the others by constants."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from typing_extensions import override

from circuits.engine.budget import DEFAULT_BYTES, inputs_at_once, slices
from circuits.engine.evaluation import Evaluation
from circuits.metrics import AccuracyMetric, LogitDiff, LossMetric, Metric
from interp.tasks import Task

EFFECTS = 2048  # largest number of elements whose true effect is measured, each by a run of its own


class Graph(ABC):
    """Elements of a network, and the network with some of them replaced by constants.

    Attributes:
        evaluation: the network, the inputs, and the metrics (`judges`).
        labels: a name for every element.
        places: where each belongs (a site, a layer); random circuits have as many elements at each place.
        max_bytes: working memory in addition to the captured activations.
    """

    evaluation: Evaluation
    labels: Sequence[str]
    places: Sequence[str]
    max_bytes: int = DEFAULT_BYTES

    @abstractmethod
    def outputs(self, kept: Float[Tensor, "k elements"], rows: slice) -> Tensor:
        """Outputs of k networks for some inputs, differentiable in ``kept``.

        Args:
            kept: 1 for an element that stays, 0 for one that is replaced by its constant.
            rows: of the inputs.

        Returns:
            ``[k, n, ...]``.
        """

    def __len__(self) -> int:
        return len(self.labels)

    @torch.no_grad()
    def scores(self, kept: Bool[Tensor, "k elements"]) -> Float[Tensor, "k metrics"]:
        """Means of the metrics over all inputs, of k networks with only these elements."""
        n, budget = len(self.evaluation.inputs), self.at_once
        size = n if any(m.whole for m in self.evaluation.metrics) else min(n, budget)
        if not len(kept):
            return torch.zeros(0, len(self.evaluation.metrics), dtype=torch.float64, device=kept.device)
        found = []
        networks = min(budget // size, self.max_bytes // (32 * len(self)))  # a mask may be as large as the weights
        for part in slices(len(kept), max(1, networks)):
            mask = kept[part].to(self.evaluation.model.dtype)
            sums = [self.evaluation.judge(self.outputs(mask, rows), rows).sum(1) for rows in slices(n, size)]
            found.append(torch.stack(sums).sum(0) / n)
        return torch.cat(found)

    def effects(self, kept: Bool[Tensor, " elements"]) -> Float[Tensor, "elements metrics"]:
        """The metrics of this circuit without each of its elements.

        Args:
            kept: the circuit.

        Returns:
            ``[elements, metrics]``; NaN for elements outside the circuit, and, of more than `EFFECTS` elements in it, for all
            but those that attribution ranks lowest.
        """
        inside = kept.nonzero().flatten()
        if len(inside) > EFFECTS:
            inside = inside[self.attributions(kept)[inside].argsort(stable=True)[:EFFECTS]]
        table = torch.full(
            (len(self), len(self.evaluation.metrics)), torch.nan, dtype=torch.float64, device=kept.device
        )
        for part in inside.split(max(1, self.max_bytes // (8 * len(self)))):
            table[part] = self.scores(_one_less(kept, part))
        return table

    def attributions(self, kept: Bool[Tensor, " elements"], points: int = 1) -> Float[Tensor, " elements"]:
        """How much lower the metric would be without each element, estimated from gradients (attribution patching).

        Syed et al. 2023, https://arxiv.org/abs/2310.10348.

        Args:
            kept: the circuit.
            points: of the straight path from everything ablated to this circuit, over which gradients are averaged: at its
                end a loss may be so small that its gradient vanishes.

        Returns:
            one estimate per element.
        """
        metric, n = self.evaluation.metrics[-1], len(self.evaluation.inputs)
        size = n if metric.whole else min(n, self.at_once)
        total = torch.zeros(len(self), dtype=torch.float64, device=kept.device)
        for rows in slices(n, size):
            for point in range(1, points + 1):
                mask = (kept.to(self.evaluation.model.dtype) * point / points).unsqueeze(0).requires_grad_()
                with torch.enable_grad():
                    value = metric.values(self.outputs(mask, rows), rows, self.evaluation.answers).sum() / n
                    (slope,) = torch.autograd.grad(value, mask)
                total += slope[0].double() / points
        return total

    def judging_alone(self) -> Graph:
        """The same graph, with scores and effects of the first metric only."""
        other = copy.copy(self)
        other.evaluation = replace(self.evaluation, metrics=self.evaluation.metrics[:1])
        return other

    @cached_property
    def at_once(self) -> int:
        """Number of inputs that may run at once."""
        return inputs_at_once(self.evaluation, self.max_bytes)

    @cached_property
    def whole(self) -> Bool[Tensor, " elements"]:
        """The circuit of everything."""
        return torch.ones(len(self), dtype=torch.bool, device=self.evaluation.inputs.device)

    def ends(self) -> tuple[float, float]:
        """The first metric's mean of the whole network, and of the one without any element."""
        clean, empty = self.scores(torch.stack([self.whole, ~self.whole]))[:, 0].tolist()
        return clean, empty

    def random(self, like: Bool[Tensor, " elements"], n: int, seed: int) -> Bool[Tensor, "n elements"]:
        """Random circuits with as many elements at every place as a given one.

        Args:
            like: the given circuit, which is not drawn itself.
            n: number of circuits.
            seed: of the draw.

        Returns:
            ``[n, elements]``; fewer rows where there are no more such circuits.
        """
        generator = torch.Generator().manual_seed(seed)
        places = {p: torch.tensor([i for i, q in enumerate(self.places) if q == p]) for p in dict.fromkeys(self.places)}
        own, found = like.cpu(), {}
        for _ in range(10 * n):
            row = torch.zeros(len(self), dtype=torch.bool)
            for members in places.values():
                row[members[torch.randperm(len(members), generator=generator)[: int(own[members].sum())]]] = True
            if len(found) < n and not torch.equal(row, own):
                found[row.numpy().tobytes()] = row
        rows = torch.stack(list(found.values())) if found else torch.zeros(0, len(self), dtype=torch.bool)
        return rows.to(like.device)


class EdgeGraph(Graph):
    """A graph of edges, each from a sender to a receiver.

    Attributes:
        sender_of: the sender of every edge.
        stages: the senders that write at the same time, from first to last.
    """

    sender_of: Tensor
    stages: Sequence[Sequence[int]]

    @abstractmethod
    def slopes(
        self, kept: Float[Tensor, " elements"], shares: Mapping[int, float] | None = None
    ) -> Float[Tensor, " elements"]:
        """The slope of the last metric's mean along every edge, in one forward and one backward pass over the inputs.

        Args:
            kept: how much of each edge is heard.
            shares: by sender, how much of what it writes in this network (minus its constant) it writes while the gradient is
                taken; the gradient is multiplied by all of it.

        Returns:
            to first order, the metric minus the metric without the edge, heard or not.
        """

    @override
    def attributions(self, kept: Bool[Tensor, " elements"], points: int = 1) -> Float[Tensor, " elements"]:
        shares = [kept.to(self.evaluation.model.dtype) * point / points for point in range(1, points + 1)]
        return torch.stack([self.slopes(share) for share in shares]).mean(0)


def _one_less(kept: Tensor, elements: Tensor) -> Tensor:
    """The circuit without each of some elements ``[element, elements]``."""
    masks = kept.repeat(len(elements), 1)
    masks[torch.arange(len(elements), device=kept.device), elements] = False
    return masks


def better(metric: Metric) -> int:
    """1 where higher values of the metric are better (or it does not say), -1 where lower ones are."""
    return -1 if metric.higher_is_better is False else 1


def judges(judge: Metric, task: Task | None) -> tuple[Metric, ...]:
    """The metric that scores circuits, and one with a gradient that decides where the first is tied.

    For accuracy that is the logit difference of the correct answer; where outputs are not one score per answer, the loss. Rank by
    logit difference, not loss: cross-entropy gradients vanish once the network is confident.

    Args:
        judge: the metric that was asked for.
        task: None where none is known.

    Returns:
        one metric, or for accuracy two.
    """
    if not isinstance(judge, AccuracyMetric):
        return (judge,)
    scored = task is None or task.loss in ("cross_entropy", "mse")
    return (judge, LogitDiff() if scored else LossMetric())
