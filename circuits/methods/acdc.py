"""ACDC: automatic circuit discovery, edge by edge from the outputs to the inputs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from circuits.discovery.edge_runs import Base
from circuits.discovery.graph import better
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
from interp.errors import InterpError, require_range
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
        subject: a transformer, and its task if it has one.
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
        InterpError: not a transformer, inputs that do not align, or a metric that ablating everything does not change.

    Conmy et al. 2023, Towards Automated Circuit Discovery, https://arxiv.org/abs/2304.14997.
    """
    require_range("threshold", threshold, 0, float("inf"))
    ends = make_ends(
        subject, clean, corrupted, metric, value, by_position=by_position, dtype=dtype, max_bytes=max_bytes
    )
    if not isinstance(ends.graph, TransformerEdges):
        raise InterpError(
            f"ACDC visits the edges of transformers, not of a {type(ends.graph.evaluation.model).__name__}; "
            "circuits.discover(subject, of='edges') searches its weights"
        )
    with few_threads(sum(p.numel() for p in ends.graph.evaluation.model.parameters())), torch.no_grad():
        search = _Search(ends.graph, threshold, ends.clean)
        seen = told("edges visited", progress)
        for index in range(len(ends.graph.receivers) - 1, -1, -1):
            search.visit(index)
            if seen is not None:
                seen(search.visited, len(ends.graph))
    return edge_scores(
        ends.graph, search.scores, method=f"ACDC ({threshold:g})", ends=(ends.clean, ends.empty),
        passes=(search.tried + 2, 0), value=ends.value, chosen=search.kept,
    )  # fmt: skip


class _Search:
    """The network without the edges that were removed so far.

    Attributes:
        kept: edges that are left.
        scores: the change of the metric by each edge, when it was tried.
        current: the metric.
        visited: number of edges that are decided.
        tried: number of changed networks that were run.
    """

    def __init__(self, graph: TransformerEdges, threshold: float, clean: float):
        self.graph, self.threshold, self.current = graph, threshold, clean
        self.worse = -better(graph.evaluation.metrics[0])
        self.kept, self.visited, self.tried = graph.whole.clone(), 0, 0
        self.scores = torch.zeros(len(graph), dtype=torch.float64)
        n, self.width = len(graph.evaluation.inputs), 4
        whole_batch = any(m.whole for m in graph.evaluation.metrics[:1])
        self.parts = list(slices(n, n if whole_batch else min(n, graph.at_once)))
        self.most = max(1, min(WIDEST, graph.at_once // n))
        self.runs: list[tuple[HeldEdges, Base]] = [
            (held, held.base(graph.whole)) for held in map(graph.held, self.parts)
        ]

    def visit(self, index: int) -> None:
        """Decide on every edge into a receiver."""
        receiver, widest = self.graph.receivers[index], self.most
        left = list(range(receiver.hears * receiver.width - 1, -1, -1))
        while left:
            own = left[: min(self.width, widest)]
            removed = self._try(index, own)
            self.width = min(self.width * 2, widest) if removed == len(own) else max(1, removed + 1)
            decided = min(removed + 1, len(own))
            self.visited += decided
            left = left[decided:]

    def _try(self, index: int, edges: list[int]) -> int:
        """Remove edges one after the other until one is needed; how many were removed."""
        start = self.graph.receivers[index].start
        row = self.runs[0][1].rows[index]
        rows = row.flatten().repeat(len(edges), 1)
        for j, edge in enumerate(edges):
            rows[j:, edge] = 0
        rows = rows.unflatten(1, row.shape)
        found, sums = [], torch.zeros(len(edges), dtype=torch.float64, device=self.kept.device)
        judge = self.graph.evaluation.metrics[0]
        for (held, base), part in zip(self.runs, self.parts, strict=True):
            run = held.run({index: rows}, base)
            assert base.outputs is not None
            outputs = base.outputs.expand(len(rows), *base.outputs.shape) if run.outputs is None else run.outputs
            sums += judge.values(outputs, part, self.graph.evaluation.answers).sum(1)
            found.append(run)
        self.tried += len(edges)
        values = [self.current, *(sums / len(self.graph.evaluation.inputs)).tolist()]
        steps = [after - before for before, after in pairwise(values)]
        removed = next((j for j, step in enumerate(steps) if not self.worse * step < self.threshold), len(steps))
        for edge, step in list(zip(edges, steps, strict=True))[: removed + 1]:
            self.scores[start + edge] = step
        if removed:
            for (_, base), run in zip(self.runs, found, strict=True):
                base.become(run, removed - 1, {index: rows[removed - 1]})
            self.kept[[start + edge for edge in edges[:removed]]] = False
            self.current = values[removed]
        return removed
