"""Circuit discovery: the smallest set of heads, neurons or edges that does the task, against random circuits of its size."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import pandas as pd
import torch
from torch import Tensor

from circuits.discovery.edges import edge_graph
from circuits.discovery.graph import Graph, judges
from circuits.discovery.nodes import NodeGraph, node_graph
from circuits.discovery.search import Order, floor_of, shrink
from circuits.engine.budget import DEFAULT_BYTES
from circuits.engine.components import KINDS, Kind
from circuits.engine.evaluation import make_evaluation
from circuits.findings import Findings
from circuits.interventions.kinds import Intervention
from circuits.interventions.values import DEFAULT, ValueLike, as_value
from circuits.metrics import MetricLike, make_metric
from interp._util.bar import with_bar
from interp._util.estimate import told
from interp._util.renamed import renamed
from interp._util.threads import few_threads
from interp.errors import InterpError, UnknownName, require_range, unknown
from interp.hooked.base import HookedModel
from interp.subject import Subject, as_subject

if TYPE_CHECKING:
    import plotly.graph_objects as go


RANDOM_EFFECTS = 3  # random circuits whose every element is ablated, for `minimality`
OF = ("nodes", "edges")


class NothingToDo(InterpError):
    """Ablating everything does not change the metric, so there is nothing that a circuit could do."""


@dataclass(frozen=True, eq=False)
class Circuit(Findings):
    """A circuit: a part of a network that does its task.

    Attributes:
        elements: ``component, site, kept``, and for those kept ``score`` (of the circuit without it) and ``faithfulness_lost``.
        metric: the name of the metric that scores it.
        clean: the metric of the whole network.
        empty: the metric of the network with everything ablated.
        score: the metric of the circuit.
        target: the faithfulness that was asked for.
        faithfulness: ``(score - empty) / (clean - empty)``: the share of the network's performance that the circuit has.
        completeness: the same for everything but the circuit: 0 where nothing outside it does the task as well.
        minimality: the least faithfulness that is lost with any one element of the circuit: no element costs less.
        random: ``score, faithfulness, completeness`` and (of the first few) ``minimality`` of random circuits with as many
            elements at every place; a row each.
        interventions: turn the network into the circuit, for `circuits.applied`; empty for a circuit of edges.
        value: what replaces everything outside the circuit.
        kinds: of its nodes; empty for a circuit of edges.
    """

    elements: pd.DataFrame
    metric: str
    clean: float
    empty: float
    score: float
    target: float
    faithfulness: float
    completeness: float
    minimality: float
    random: pd.DataFrame
    interventions: tuple[Intervention, ...]
    value: str
    kinds: tuple[Kind, ...]

    @property
    def keep(self) -> float:
        """Deprecated: `target`."""
        warnings.warn("Circuit.keep is now Circuit.target", DeprecationWarning, stacklevel=2)
        return self.target

    @property
    def components(self) -> list[str]:
        """Names of the elements in the circuit."""
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
        names = ("metric", "clean", "empty", "score", "target", "faithfulness", "completeness", "minimality", "value")
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
        n = len(self.random)
        beside = f" (best of {n} random circuits {self.random['faithfulness'].max():.4f})" if n else ""
        return (
            f"Circuit of {len(self)} of {len(self.elements)} elements: {self.metric} {self.score:.4g} (whole network "
            f"{self.clean:.4g}, everything ablated {self.empty:.4g}); faithfulness {self.faithfulness:.4f}{beside}, "
            f"completeness {self.completeness:.4f}, minimality {self.minimality:.4f}"
        )


@renamed(keep="faithfulness")
@with_bar
def discover(
    subject: Subject | HookedModel,
    *,
    metric: MetricLike = "accuracy",
    faithfulness: float = 0.99,
    of: Literal["nodes", "edges"] = "nodes",
    kinds: Kind | Sequence[Kind] = ("heads", "neurons"),
    value: ValueLike = DEFAULT,
    order: Order = "effects",
    n_random: int = 20,
    seed: int = 0,
    inputs: Tensor | None = None,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
    progress: Callable[[int, int], None] | bool | None = None,
) -> Circuit:
    """Circuit discovery: a small circuit that does the task, by a greedy search in which the true score decides.

    The elements that are needed least are ablated first, as many together as leave the circuit faithful. With
    ``order="attribution"`` they are ranked by attribution patching (Syed et al. 2023, https://arxiv.org/abs/2310.10348), as
    long as that finds any. Edges and the pruning of what is not needed go back to ACDC (Conmy et al. 2023,
    https://arxiv.org/abs/2304.14997), faithfulness, completeness and minimality to Wang et al. 2022 (IOI,
    https://arxiv.org/abs/2211.00593).

    Misleads where the replacement values are far from what the network ever sees, and where parts back each other up: the
    search keeps one of them.

    Args:
        subject: a Subject with a task; a hooked model too, with ``inputs`` and a function as ``metric``.
        metric: scores the circuit: a name, a `Metric`, or a function of the model's outputs. The circuit must do as the
            network does, be that better or worse than everything ablated.
        faithfulness: that the circuit must reach: the share of the way from the network with everything ablated to the whole
            network.
        of: ``"nodes"``: heads and neurons. ``"edges"`` of transformers (from the embedding, every head and MLP to every
            head's queries, keys and values, every MLP and the logits) and of MLPs (the single weights).
        kinds: of nodes: ``"neurons"``, ``"heads"``, or whole layers' ``"attention"`` and ``"mlp"``.
        value: what replaces everything outside the circuit: its mean over the inputs, at each position its own (the
            default), `Zero`, what it is for another input (`Counterfactual`, `Resample`), of nodes also `Fixed`; or a name:
            ``"mean"``, ``"zero"``, ``"resample"``.
        order: ``"effects"``: by the true effect of each element. ``"attribution"``: by gradients first, at one run a round
            instead of one (of the rest of the network) per element, and by effects at the end.
        n_random: random circuits of the same size, for comparison.
        seed: of the random circuits.
        inputs: run on these instead of the task's examples.
        dtype: the model is computed in this, the subject's precision by default.
        max_bytes: working memory in addition to the captured activations.
        progress: called with (elements ablated, elements in all). By default a notebook shows a bar; False
            leaves it out.

    Returns:
        `Circuit`. No single node can be removed from it any more; another circuit may do as well.

    Raises:
        MissingCapability: no task is known, and no inputs with a metric replace it.
        NothingToDo: a metric that ablating everything does not change.
        UnknownName: an unknown metric, value, kind, order or ``of``; the nearest are named.
        InterpError: a network without such elements, or a value that does not fit them.

    >>> import interp
    >>> model = interp.HookedMLP(interp.MLPConfig((8,), 5, d_vocab=5, d_embed=4)).init_weights(seed=0)
    >>> circuit = discover(interp.Subject("mlp", model, interp.ModularArithmetic(5).fit(model)), metric="loss", n_random=0)
    >>> circuit.faithfulness >= 0.99
    True
    """
    subject, value, kinds = as_subject(subject), as_value(value), known_kinds(kinds)
    require_range("faithfulness", faithfulness, 0, 1)
    _check_name("kind of element", of, OF)
    _check_name("order", order, get_args(Order))
    require_range("n_random", n_random, 0)
    evaluation = make_evaluation(subject, judges(make_metric(metric), subject.task), inputs, dtype=dtype)
    if of == "edges":
        graph: Graph = edge_graph(evaluation, value, max_bytes)
    else:
        graph = node_graph(evaluation, kinds, value, max_bytes)
    clean, empty = graph.ends()
    if not abs(clean - empty) > 1e-9 * max(abs(clean), abs(empty)):
        raise NothingToDo(
            f"{subject.name}: the {evaluation.metrics[0].name} is {clean:g} in the whole network and {empty:g} with all "
            f"{len(graph)} elements replaced by {value}: there is nothing that a circuit could do"
        )
    with few_threads(sum(p.numel() for p in evaluation.model.parameters())):
        seen = told("elements ablated", progress)
        kept = shrink(graph, floor_of(clean, empty, faithfulness), 1 if clean > empty else -1, order, seen)
        about = {"target": faithfulness, "value": repr(value), "kinds": kinds if of == "nodes" else ()}
        return judged(graph, kept, (clean, empty), graph.random(kept, n_random, seed), about)


def known_kinds(kinds: Kind | Sequence[Kind]) -> tuple[Kind, ...]:
    """The kinds of nodes, one or several; refuses what is none."""
    found: tuple[Any, ...] = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    for kind in found:
        _check_name("kind of component", kind, KINDS)
    return found


def _check_name(what: str, given: object, known: Sequence[str]) -> None:
    if given not in known:
        raise UnknownName(unknown(what, given, known))


def judged(graph: Graph, kept: Tensor, ends: tuple[float, float], random: Tensor, about: Mapping[str, Any]) -> Circuit:
    """The circuit with its scores, and those of random ones.

    Args:
        graph: the network's elements.
        kept: those of the circuit.
        ends: the metric of the whole network, and with everything ablated.
        random: circuits to compare it with ``[n, elements]``.
        about: ``target``, ``value`` and ``kinds`` of the circuit.

    Returns:
        the circuit.
    """
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
        shown, n = told("random circuits taken apart"), min(len(random), RANDOM_EFFECTS)
        for i in range(n):
            minimal[i] = _least(faithfulness(own[i]) - faithfulness(graph.effects(random[i])[:, 0]))
            shown(i + 1, n)
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
    """The smallest number over the elements of the circuit."""
    known = lost[~lost.isnan()]
    return float(known.min()) if len(known) else float("nan")
