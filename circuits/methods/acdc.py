"""ACDC: automatic circuit discovery, edge by edge from the outputs to the inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from circuits.discovery.edge_runs import Base, Run
from circuits.discovery.graph import EdgeGraph, better
from circuits.discovery.held_edges import HeldEdges
from circuits.discovery.transformer_edges import TransformerEdges
from circuits.engine.budget import DEFAULT_BYTES, slices
from circuits.interventions.values import ValueLike
from circuits.methods.edge_scores import EdgeScores, edge_scores
from circuits.methods.pairs import make_ends
from circuits.metrics import MetricLike
from interp._util.bar import with_bar
from interp._util.estimate import told
from interp._util.threads import few_threads
from interp.errors import require_range
from interp.hooked.base import HookedModel
from interp.subject import Subject

WIDEST = 64  # edges whose removal is tried together


@with_bar
def acdc(
    subject: Subject | HookedModel,
    clean: Tensor | None = None,
    corrupted: Tensor | None = None,
    *,
    threshold: float,
    metric: MetricLike = "kl",
    value: ValueLike | None = None,
    by_position: bool = False,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
    progress: Callable[[int, int], None] | bool | None = None,
) -> EdgeScores:
    """ACDC: automatic circuit discovery, which removes every edge that the metric can spare.

    Receivers are visited from the logits to the first layer, the senders of each from the last to the first. An edge is
    removed for good if that makes the metric worse by less than ``threshold``.

    Cost: one changed network per edge, but only what hears the receiver is run again, and as many edges as can be removed in a
    row are tried in one batch; the decisions are those of the plain loop.

    Misleads in that it depends on the order and on the threshold, keeps one of several parts that back each other up, and
    removes edges that make the metric worse one by one, each by less than the threshold.

    Args:
        subject: a transformer or an MLP (whose edges are its weights), and its task if it has one.
        clean: inputs ``[n, ...]``; the task's examples by default.
        corrupted: another input for each of them, with another answer: an ablated edge carries what it carries there.
        threshold: by how much the metric may get worse by one edge, in the metric's unit (nats for ``"kl"``).
        metric: by name, a `Metric`, or a function of the model's outputs. A function is better where it is higher.
        value: what an ablated edge carries without ``corrupted``: ``"mean"`` over the inputs (the default) or ``"zero"``.
        by_position: tell edges apart by the position at which they are read.
        dtype: the network runs in this, the subject's precision by default.
        max_bytes: working memory in addition to the captured activations.
        progress: called with (edges visited, edges in all). By default a notebook shows a bar; False leaves it out.

    Returns:
        `EdgeScores` with the edges that are kept; a score is by how much the metric changed when the edge was tried.

    Raises:
        MissingCapability: neither inputs nor a task.
        InterpError: a network without edges, inputs that do not align, or a metric that ablating everything does not change.

    Conmy et al. 2023, Towards Automated Circuit Discovery, https://arxiv.org/abs/2304.14997.
    """
    require_range("threshold", threshold, 0, float("inf"))
    ends = make_ends(
        subject, clean, corrupted, metric, value, by_position=by_position, dtype=dtype, max_bytes=max_bytes
    )
    with few_threads(sum(p.numel() for p in ends.graph.evaluation.model.parameters())), torch.no_grad():
        search = _Search(ends.graph, threshold, ends.clean)
        seen = told("edges visited", progress)
        for receiver in search.receivers:
            search.visit(receiver)
            seen(search.visited, len(ends.graph))
    return edge_scores(
        ends, search.scores, method=f"ACDC ({threshold:g})",
        passes=(search.tried + 2, 0), chosen=search.kept,
    )  # fmt: skip


class _Search:
    """The network without the edges that were removed so far.

    Attributes:
        receivers: the edges of each, in the order in which they are visited.
        kept: edges that are left.
        scores: the change of the metric by each edge, when it was tried.
        current: the metric.
        visited: number of edges that are decided.
        tried: number of changed networks that were run.
    """

    def __init__(self, graph: EdgeGraph, threshold: float, clean: float):
        self.graph, self.threshold, self.current = graph, threshold, clean
        self.worse = -better(graph.evaluation.metrics[0])
        self.kept, self.visited, self.tried = graph.whole.clone(), 0, 0
        self.scores = torch.zeros(len(graph), dtype=torch.float64)
        self.width, self.most = 4, max(1, min(WIDEST, graph.at_once // len(graph.evaluation.inputs)))
        self.removals = _Removals(graph) if isinstance(graph, TransformerEdges) else None
        self.receivers = [range(len(graph) - 1, -1, -1)]
        if isinstance(graph, TransformerEdges):
            self.receivers = [range(r.edges.stop - 1, r.edges.start - 1, -1) for r in reversed(graph.receivers)]

    def visit(self, receiver: Sequence[int]) -> None:
        """Decide on every edge into a receiver, in the given order."""
        left = list(receiver)
        while left:
            own = left[: min(self.width, self.most)]
            removed = self._try(own)
            self.width = min(self.width * 2, self.most) if removed == len(own) else max(1, removed + 1)
            decided = min(removed + 1, len(own))
            self.visited += decided
            left = left[decided:]

    def _try(self, edges: Sequence[int]) -> int:
        """Remove edges one after the other until one is needed; how many were removed."""
        if self.removals is not None:
            found = self.removals.scores(edges)
        else:
            masks = self.kept.repeat(len(edges), 1)
            for j, edge in enumerate(edges):
                masks[j:, edge] = False
            found = self.graph.scores(masks)[:, 0]
        self.tried += len(edges)
        values = [self.current, *found.tolist()]
        steps = [after - before for before, after in pairwise(values)]
        removed = next((j for j, step in enumerate(steps) if not self.worse * step < self.threshold), len(steps))
        for edge, step in list(zip(edges, steps, strict=True))[: removed + 1]:
            self.scores[edge] = step
        if removed:
            if self.removals is not None:
                self.removals.accept(removed)
            self.kept[list(edges[:removed])] = False
            self.current = values[removed]
        return removed


class _Removals:
    """Runs of a transformer from which edges into one receiver are removed, one after the other."""

    def __init__(self, graph: TransformerEdges):
        n = len(graph.evaluation.inputs)
        self.graph, self.judge = graph, graph.evaluation.metrics[0]
        self.parts = list(slices(n, n if self.judge.whole else min(n, graph.at_once)))
        self.bases: list[tuple[HeldEdges, Base]] = [
            (held, held.base(graph.whole)) for held in map(graph.held, self.parts)
        ]
        self.tried: tuple[int, Tensor, list[Run]] | None = None

    def scores(self, edges: Sequence[int]) -> Tensor:
        """The metric without the first edge, the first two and so on, which all lead into one receiver."""
        index = next(i for i, r in enumerate(self.graph.receivers) if r.edges.start <= edges[0] < r.edges.stop)
        own, start = self.bases[0][1].rows[index], self.graph.receivers[index].start
        rows = own.flatten().repeat(len(edges), 1)
        for j, edge in enumerate(edges):
            rows[j:, edge - start] = 0
        rows, runs = rows.unflatten(1, own.shape), []
        sums = torch.zeros(len(edges), dtype=torch.float64, device=self.graph.whole.device)
        for (held, base), part in zip(self.bases, self.parts, strict=True):
            runs.append(held.run({index: rows}, base))
            outputs = base.outputs_of(runs[-1], len(rows))
            sums += self.judge.values(outputs, part, self.graph.evaluation.answers).sum(1)
        self.tried = (index, rows, runs)
        return sums / len(self.graph.evaluation.inputs)

    def accept(self, n: int) -> None:
        """Go on without the first n edges of the last `scores`."""
        assert self.tried is not None
        index, rows, runs = self.tried
        for (_, base), run in zip(self.bases, runs, strict=True):
            base.become(run, n - 1, {index: rows[n - 1]})
