"""Discovery: the smallest set of components that does the task, and how it does against random ones of its size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
import plotly.graph_objects as go
import torch
from torch import Tensor

from circuits.discovery.edges import edge_graph
from circuits.discovery.graph import Graph, judges
from circuits.discovery.nodes import NodeGraph, node_graph
from circuits.discovery.search import Order, shrink
from circuits.engine.budget import DEFAULT_BYTES
from circuits.engine.components import Kind
from circuits.engine.evaluation import make_evaluation
from circuits.findings import Findings
from circuits.interventions.kinds import Intervention
from circuits.interventions.values import Mean, Value
from circuits.metrics import MetricLike, make_metric
from interp.errors import InterpError, require_range
from interp.subject import Subject

RANDOM_EFFECTS = 3  # random circuits whose every element is taken out, for `minimality`


class NothingToDo(InterpError):
    """Holding everything at its constant changes nothing of the metric, so no circuit could do anything."""


@dataclass(frozen=True, eq=False)
class Circuit(Findings):
    """A part of a network that does its task.

    Attributes:
        elements: ``component, site, kept``, and of those kept ``score`` (of the circuit without it) and ``faithfulness_lost``.
        metric: what judged; ``clean`` is the whole network's, ``empty`` that with everything held at its constant, ``score``
            the circuit's.
        keep: the faithfulness that was asked for.
        faithfulness: ``(score - empty) / (clean - empty)``: the share of the network's performance that the circuit has.
        completeness: the same of everything but the circuit: 0 where nothing outside it does the task, too.
        minimality: the least faithfulness that is lost with any one element of the circuit; below that no element is idle.
        random: ``score, faithfulness, completeness`` and (of the first few) ``minimality`` of random circuits with as many
            elements at every place; a row each.
        interventions: what turns the network into the circuit, for `circuits.applied`; empty for a circuit of edges.
        value: what is outside it is held at this.
        kinds: of its nodes; empty for a circuit of edges.
    """

    elements: pd.DataFrame
    metric: str
    clean: float
    empty: float
    score: float
    keep: float
    faithfulness: float
    completeness: float
    minimality: float
    random: pd.DataFrame
    interventions: tuple[Intervention, ...]
    value: str
    kinds: tuple[Kind, ...]

    @property
    def components(self) -> list[str]:
        """Names of what is in the circuit."""
        return self.elements.query("kept")["component"].to_list()

    @property
    def rows(self) -> pd.DataFrame:
        """`elements`."""
        return self.elements

    @property
    def table(self) -> pd.DataFrame:
        """A row per element: ``component, site, index, metric, clean, changed, change``, and ``kept, faithfulness_lost``.

        ``clean`` is the circuit's score and ``changed`` that of the circuit without the element (NaN outside the circuit).
        """
        own = self.elements
        first = {
            "component": own["component"], "site": own["site"], "index": range(len(own)), "metric": self.metric,
            "clean": self.score, "changed": own["score"], "change": own["score"] - self.score,
        }  # fmt: skip
        return pd.DataFrame({**first, "kept": own["kept"], "faithfulness_lost": own["faithfulness_lost"]})

    @property
    def summary(self) -> dict[str, Any]:
        """Scores of the circuit, of the whole network and of none of it."""
        names = ("metric", "clean", "empty", "score", "keep", "faithfulness", "completeness", "minimality", "value")
        return {name: getattr(self, name) for name in names}

    def figure(self) -> go.Figure:
        """The circuit as a graph, from the inputs below to the outputs above."""
        from circuits.discovery.figure import draw

        what = "nodes" if self.kinds else "edges"
        title = f"{len(self)} of {len(self.elements)} {what}: {self.metric} {self.score:.4g}, network {self.clean:.4g}"
        return draw(self.elements, title)

    def __len__(self) -> int:
        return len(self.components)

    def __repr__(self) -> str:
        best = self.random["faithfulness"].max() if len(self.random) else float("nan")
        return (
            f"Circuit of {len(self)} of {len(self.elements)} elements: {self.metric} {self.score:.4g} (network {self.clean:.4g}, "
            f"nothing {self.empty:.4g}); faithfulness {self.faithfulness:.4f} (best of {len(self.random)} random ones "
            f"{best:.4f}), completeness {self.completeness:.4f}, minimality {self.minimality:.4f}"
        )


def discover(
    subject: Subject,
    *,
    metric: MetricLike = "accuracy",
    keep: float = 0.99,
    of: Literal["nodes", "edges"] = "nodes",
    kinds: Sequence[Kind] = ("heads", "neurons"),
    value: Value = Mean(),
    order: Order = "effects",
    n_random: int = 20,
    seed: int = 0,
    inputs: Tensor | None = None,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
    progress: Callable[[int, int], None] | None = None,
) -> Circuit:
    """The smallest circuit that a greedy search finds: what is needed least goes first, judged by the true score.

    Args:
        metric: what judges: by name, a `Metric`, or a function of the model's outputs. The circuit must do as
            the network does, be that better or worse than nothing.
        keep: the faithfulness that the circuit must have: the share of the way from everything held to the whole network.
        of: ``"nodes"``: heads and neurons. ``"edges"`` of transformers (from the embedding, every head and MLP to every
            head's queries, keys and values, every MLP and the logits) and of MLPs (the single weights).
        kinds: of nodes: ``"neurons"``, ``"heads"``, or whole layers' ``"attention"`` and ``"mlp"``.
        value: what the rest is held at: its mean over the inputs, at each position its own, or `Zero` or `Fixed`.
        order: ``"effects"``: by the true effect of each. ``"attribution"``: by gradients first, which takes one run a round
            where effects take one (of the rest of the network) per element, and by effects at the end.
        n_random: random circuits of the same size beside it.
        inputs: run on these instead of the task's examples.
        dtype: the model is computed in this, the subject's precision by default.
        max_bytes: working memory besides the captured activations.
        progress: called with (elements that are out, elements in all).

    Returns:
        a circuit of which no single node can be taken out any more (`search.shrink`). It need not be the only one.

    Raises:
        MissingCapability: no task is known, and no inputs with a metric take its place.
        NothingToDo: a metric that holding everything does not change.
        InterpError: a network without such elements, or a value that differs between inputs.

    Misleads where the held values are far from what the network ever sees, and where parts back each other up: the search
    keeps one of them. Source: Conmy et al. 2023 (ACDC); Marks et al. 2024 (faithfulness and completeness); Wang et al. 2022.
    """
    require_range("keep", keep, 0, 1)
    require_range("n_random", n_random, 0)
    evaluation = make_evaluation(subject, judges(make_metric(metric), subject.task), inputs, dtype=dtype)
    if of == "edges":
        graph: Graph = edge_graph(evaluation, value, max_bytes)
    else:
        graph = node_graph(evaluation, kinds, value, max_bytes)
    clean, empty = graph.scores(torch.stack([graph.whole, ~graph.whole]))[:, 0].tolist()
    if not abs(clean - empty) > 1e-9 * max(abs(clean), abs(empty)):
        raise NothingToDo(
            f"{subject.name}: {evaluation.metrics[0].name} is {empty:g} with all {len(graph)} elements held at {value}, and {clean:g} "
            "with none: there is nothing that a circuit could do"
        )
    kept = shrink(graph, empty + keep * (clean - empty), 1 if clean > empty else -1, order, progress)
    about = {"keep": keep, "value": repr(value), "kinds": tuple(kinds) if of == "nodes" else ()}
    return _judged(graph, kept, (clean, empty), graph.random(kept, n_random, seed), about)


def _judged(graph: Graph, kept: Tensor, ends: tuple[float, float], random: Tensor, about: Mapping[str, Any]) -> Circuit:
    """The circuit, beside random ones ``[n, elements]``."""
    (clean, empty), graph = ends, graph.judging_alone()

    def faithfulness(scores: Tensor) -> Tensor:
        return (scores - empty) / (clean - empty)

    score, rest = graph.scores(torch.stack([kept, ~kept]))[:, 0]
    without = graph.effects(kept)[:, 0]
    lost = faithfulness(score) - faithfulness(without)
    table = pd.DataFrame(columns=["score", "faithfulness", "completeness", "minimality"], dtype=float)
    if len(random):
        own, others = graph.scores(random)[:, 0], graph.scores(~random)[:, 0]
        minimal = torch.full_like(own, torch.nan)
        for i in range(min(len(random), RANDOM_EFFECTS)):
            minimal[i] = _least(faithfulness(own[i]) - faithfulness(graph.effects(random[i])[:, 0]))
        columns = {
            "score": own,
            "faithfulness": faithfulness(own),
            "completeness": faithfulness(others),
            "minimality": minimal,
        }
        table = pd.DataFrame({name: column.tolist() for name, column in columns.items()})
    elements = pd.DataFrame({
        "component": list(graph.labels), "site": list(graph.places), "kept": kept.tolist(), "score": without.tolist(),
        "faithfulness_lost": lost.tolist(),
    })  # fmt: skip
    interventions = tuple(graph.interventions(kept)) if isinstance(graph, NodeGraph) else ()
    return Circuit(
        elements, graph.evaluation.metrics[0].name, clean, empty, float(score), faithfulness=float(faithfulness(score)),
        completeness=float(faithfulness(rest)), minimality=_least(lost), random=table, interventions=interventions, **about,
    )  # fmt: skip


def _least(lost: Tensor) -> float:
    """The smallest of the elements that are in."""
    known = lost[~lost.isnan()]
    return float(known.min()) if len(known) else float("nan")
