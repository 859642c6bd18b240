"""Scores of edges: what every method gives, and the circuits that follow from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from jaxtyping import Bool
from torch import Tensor

from circuits.discovery.discover import Circuit, judged
from circuits.discovery.graph import EdgeGraph
from circuits.findings import Findings
from circuits.methods.faithfulness import Faithfulness, curve
from circuits.methods.pairs import Ends
from circuits.metrics import KLMetric
from interp.errors import InterpError, require_range

if TYPE_CHECKING:
    import plotly.graph_objects as go

SIZES = 48  # of circuits that are tried first for a faithfulness
CHANGE = "expected change"  # what most methods' scores are
MEASURED = "changed minus clean"  # what scores are where each edge was ablated by itself
DEFAULT = 0.9  # faithfulness of the circuit of a method that only ranks edges


@dataclass(frozen=True, eq=False)
class EdgeScores(Findings):
    """How much each edge of a network matters, by one method.

    Attributes:
        edges: ``component`` ("sender > receiver"), ``sender``, ``receiver``, ``site`` and ``score``: the change of the metric,
            changed minus clean, that the method expects of ablating the edge, or what else it ranks edges by.
        method: its name.
        metric: the name of the metric.
        clean: the metric of the whole network.
        empty: the metric with every edge ablated.
        value: what an ablated edge carries.
        forward: passes over all inputs that the method took, in whole forward passes where they are not counted as changed
            networks.
        backward: backward passes over all inputs.
        chosen: the edges that the method itself keeps; None where it only ranks.
        unit: what a score is: an expected change of the metric, or what a method gives in place of one.
        path: the circuits of a method that finds several, along a path of sparsities: their edges and faithfulness.
        graph: what was scored.
    """

    edges: pd.DataFrame
    method: str
    metric: str
    clean: float
    empty: float
    value: str
    forward: int
    backward: int
    chosen: Bool[Tensor, " edges"] | None
    graph: EdgeGraph = field(repr=False)
    unit: str = CHANGE
    path: pd.DataFrame | None = None

    @property
    def rows(self) -> pd.DataFrame:
        """`edges`."""
        return self.edges

    @property
    def table(self) -> pd.DataFrame:
        """A row per edge, those first that rank first: ``component, site, index, metric, clean, changed, change, score``.

        ``index`` is the row in `edges`. ``changed`` and ``change`` are what was measured: NaN where a score is an estimate of
        the change, or something else (`unit`).
        """
        order = self.order.tolist()
        own = self.edges.iloc[order].reset_index(drop=True)
        score = own["score"] + 0.0  # no minus before a zero
        change = score if self.unit == MEASURED else torch.nan
        return pd.DataFrame({
            "component": own["component"], "site": own["site"], "index": order, "metric": self.metric, "clean": self.clean,
            "changed": self.clean + change, "change": change, "score": score,
        })  # fmt: skip

    @property
    def summary(self) -> dict[str, Any]:
        """The method, its cost, and the metric of the network with all edges and with none."""
        names = ("method", "metric", "clean", "empty", "value", "forward", "backward")
        return {name: getattr(self, name) for name in names} | {"edges": len(self.edges)}

    @property
    def order(self) -> Tensor:
        """Edges by the size of their scores, largest first; those that the method keeps before all others."""
        size = torch.tensor(self.edges["score"].to_list(), dtype=torch.float64).abs().nan_to_num(-1.0)
        if self.chosen is not None:
            size = size + 2 * (size.max() + 1) * self.chosen.cpu()
        return (-size).argsort(stable=True)

    def top(self, n: int) -> Bool[Tensor, " edges"]:
        """The n edges with the largest scores, of either sign.

        Args:
            n: how many.

        Returns:
            which edges are kept.
        """
        kept = torch.zeros(len(self.edges), dtype=torch.bool)
        kept[self.order[:n]] = True
        return kept.to(self.graph.whole.device)

    def circuit(
        self, n: int | None = None, *, faithfulness: float | None = None, n_random: int = 20, seed: int = 0
    ) -> Circuit:
        """The circuit of the edges with the largest scores.

        Args:
            n: how many edges.
            faithfulness: keep the fewest of the first edges that reach it, of the sizes that are tried: some 50 first, then
                every one between the last that fell short and the first that did not. Without it and ``n``, the edges that
                the method keeps itself, and 0.9 for one that only ranks.
            n_random: random circuits of the same size, for comparison.
            seed: of the random circuits.

        Returns:
            the circuit with its true scores.

        Raises:
            InterpError: both ``n`` and ``faithfulness``, or one outside its range.
        """
        if n is not None and faithfulness is not None:
            raise InterpError("give the number of edges n or the faithfulness of the circuit, not both")
        if n is not None:
            require_range("n", n, 0, len(self.edges))
            kept = self.top(n)
        elif faithfulness is None and self.chosen is not None:
            kept = self.chosen
        else:
            faithfulness = DEFAULT if faithfulness is None else faithfulness
            require_range("faithfulness", faithfulness, 0, 1)
            kept = self.top(self._fewest(faithfulness))
        about = {"target": float("nan") if faithfulness is None else faithfulness, "value": self.value, "kinds": ()}
        return judged(self.graph, kept, (self.clean, self.empty), self.graph.random(kept, n_random, seed), about)

    def _fewest(self, target: float) -> int:
        total = len(self.edges)
        sizes = sorted({round(total * (i / SIZES) ** 2) for i in range(SIZES + 1)} | set(range(min(total, 8) + 1)))
        found = self._faithful(sizes)
        first = next((i for i, f in enumerate(found) if f >= target), len(sizes) - 1)
        if first == 0:
            return sizes[0]
        between = list(range(sizes[first - 1] + 1, sizes[first]))
        own = self._faithful(between)
        return next((n for n, f in zip(between, own, strict=True) if f >= target), sizes[first])

    def _faithful(self, sizes: Sequence[int]) -> list[float]:
        if not sizes:
            return []
        masks = torch.stack([self.top(n) for n in sizes])
        return ((self.graph.scores(masks)[:, 0] - self.empty) / (self.clean - self.empty)).tolist()

    def curve(self, shares: Sequence[float] | None = None) -> Faithfulness:
        """Faithfulness of the circuits of the first edges, over their share of all edges.

        Args:
            shares: of all edges; those of the MIB benchmark by default.

        Returns:
            the curve, with its areas (CPR and CMD).
        """
        return curve(self.method, len(self.edges), self._faithful, shares)

    def figure(self) -> go.Figure:
        """The edges with the largest scores."""
        from circuits.methods.ranked import ranked

        own = self.edges
        title = f"{self.metric}, {self.unit}"
        return ranked(
            own["component"].to_list(), own["score"].to_list(), method=self.method, of="edges", value_title=title
        )

    def __repr__(self) -> str:
        kept = "" if self.chosen is None else f", {int(self.chosen.sum())} kept"
        return (
            f"EdgeScores of {len(self.edges)} edges by {self.method}{kept}: {self.metric} {self.clean:.4g} in the whole "
            f"network, {self.empty:.4g} with every edge ablated; {self.forward} forward and {self.backward} backward passes"
        )


def edge_scores(
    ends: Ends,
    scores: Tensor,
    *,
    method: str,
    passes: tuple[int, int],
    chosen: Tensor | None = None,
    unit: str = CHANGE,
    path: pd.DataFrame | None = None,
) -> EdgeScores:
    """The result of a method.

    Args:
        ends: the graph that was scored, and its metric with all edges and with none.
        scores: one per edge.
        method: its name.
        passes: forward and backward, over all inputs.
        chosen: the edges that the method keeps.
        unit: what a score is.
        path: the circuits of a path of sparsities.

    Returns:
        the scores with the names of their edges.
    """
    graph, clean = ends.graph, ends.clean
    if isinstance(graph.evaluation.metrics[0], KLMetric):
        clean = max(clean, 0.0)  # the network differs from itself by rounding alone
    pairs = [label.split(" > ") for label in graph.labels]
    edges = pd.DataFrame({
        "component": list(graph.labels), "sender": [p[0] for p in pairs], "receiver": [p[1] for p in pairs],
        "site": list(graph.places), "score": scores.tolist(),
    })  # fmt: skip
    return EdgeScores(
        edges,
        method,
        graph.evaluation.metrics[0].name,
        clean,
        ends.empty,
        ends.value,
        *passes,
        chosen=chosen,
        graph=graph,
        unit=unit,
        path=path,
    )
