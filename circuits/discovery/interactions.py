"""Ablation of pairs: which components back each other up, and which work in series."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from circuits.discovery.discover import known_kinds
from circuits.discovery.graph import better
from circuits.discovery.nodes import NodeGraph, Nodes, graph_of, node_graph
from circuits.engine.budget import DEFAULT_BYTES
from circuits.engine.components import LETTERS, Components, Kind, find_components
from circuits.engine.effects import measure
from circuits.engine.evaluation import Evaluation, make_evaluation
from circuits.findings import EffectTable
from circuits.interventions.kinds import Ablate
from circuits.interventions.values import DEFAULT, ValueLike, as_value
from circuits.metrics import MetricLike
from interp._util.bar import with_bar
from interp._util.estimate import told
from interp.errors import InterpError, UnknownName, require_range, unknown
from interp.hooked.base import HookedModel
from interp.hooked.foreign.several import InputsLike
from interp.subject import Subject, as_subject

if TYPE_CHECKING:
    import plotly.graph_objects as go

MOST = 256  # components that are paired without being asked for by name or number: 32,640 pairs
DRAWN = 40  # components in the figure, those with the largest interactions


class Interactions(EffectTable):
    """Effects of pairs of components and their interactions, as a DataFrame that follows `Findings`."""

    @property
    def _constructor(self) -> type[Interactions]:
        return Interactions

    @property
    def table(self) -> pd.DataFrame:
        """A row per pair: ``component, site, index, metric, clean, changed, change``, and the table's own columns."""
        own = self.rows
        first = {
            "component": own["component"],
            "site": own["site_a"],
            "index": range(len(own)),
            "metric": self.attrs["metric"],
        }
        rest = ["changed", "change", "a", "b", "site_b", "change_a", "change_b", "interaction"]
        return pd.DataFrame(
            {**first, "clean": self.attrs["clean"][self.attrs["metric"]], **{name: own[name] for name in rest}}
        )

    def matrix(self, column: str = "interaction") -> pd.DataFrame:
        """One column as a symmetric matrix, component by component.

        Args:
            column: of the table.

        Returns:
            NaN on the diagonal, and where a pair is not in the table.
        """
        names = list(dict.fromkeys([*self["a"], *self["b"]]))
        both = pd.concat(
            [self.rows[["a", "b", column]], self.rows.rename(columns={"a": "b", "b": "a"})[["a", "b", column]]]
        )
        return both.pivot(index="a", columns="b", values=column).reindex(index=names, columns=names)

    def figure(self) -> go.Figure:
        """The interactions as a heat map, component by component, of those that interact most."""
        from interp.report import figures

        matrix, metric = self.matrix(), self.attrs["metric"]
        largest = matrix.abs().max(axis=1).sort_values(ascending=False, kind="stable").index[:DRAWN]
        shown = [name for name in matrix.index if name in largest]
        drawn = matrix.loc[shown, shown]
        return figures.heatmap(
            drawn.to_numpy(dtype=float), x=shown, y=shown, x_title="", y_title="", diverging=True, height=460,
            title=f"Interaction of pairs ({self.attrs['backup']}: they back each other up)", unit=f"{metric}, both - a - b",
        )  # fmt: skip


@with_bar
def ablate_pairs(
    subject: Subject | HookedModel,
    kind: Kind | Sequence[Kind] | None = None,
    *,
    names: str | Sequence[str] | None = None,
    site: str | None = None,
    top: int | None = None,
    metric: MetricLike | None = None,
    value: ValueLike = DEFAULT,
    inputs: InputsLike | None = None,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
    progress: Callable[[int, int], None] | bool | None = None,
) -> Interactions:
    """Ablate every pair of components, and compare with what their single effects add up to.

    The interaction of a pair is ``change(both) - change(a) - change(b)``. Where a lower metric is worse (accuracy, logit
    difference), it is negative where the two are redundant or back each other up, since each alone looks idle, and positive
    where they work in series or share a path, since the second has nothing left to take away. Of a loss the signs are the
    other way round; ``attrs["sign"]`` says it in words.

    Misleads at the ends of a metric's range: an accuracy that is at chance without either component cannot fall further,
    which looks like a series; so does a logit difference that each of the two alone brings close to its value without both.
    Look at the single effects beside ``clean`` first. Backup by heads, and why single ablations miss it: Wang
    et al. 2022 (IOI), https://arxiv.org/abs/2211.00593; McGrath et al. 2023, The Hydra Effect, https://arxiv.org/abs/2307.15771.

    Args:
        subject: a Subject with a task; a hooked model too, with ``inputs`` and a function as ``metric``.
        kind: of components, one or several: ``"heads"``, ``"neurons"``, ``"attention"``, ``"mlp"``; heads and neurons by
            default.
        names: only these components, as ``ablate`` names them: ``["L0H1", "L0N13", "L1 mlp"]``.
        site: a hook point (or a glob) whose units are paired instead of a kind.
        top: only the components with the largest effects alone. It misses those that back each other up so well that each
            looks idle.
        metric: by default the task's loss; a name, a `Metric`, or a function of the model's outputs.
        value: what replaces a component: its mean over the inputs, at each position its own (the default), `Zero`, `Fixed`, or
            a name: ``"mean"``, ``"zero"``. The same constant for every input.
        inputs: run on these instead of the task's examples.
        dtype: the model is computed in this, the subject's precision (float64) by default.
        max_bytes: working memory in addition to the captured activations.
        progress: called with (batches of pairs done, in all). By default a notebook shows a bar; False leaves it out.

    Returns:
        A DataFrame with a row per pair: ``component, a, b, site_a, site_b, changed`` (the metric without both), ``change,
        change_a, change_b, interaction``. ``.matrix()`` is symmetric, ``.figure()`` a heat map; it follows `Findings`.

    Raises:
        MissingCapability: no task is known, and no inputs with a metric replace it.
        UnknownName: a kind, a component, a metric or a value that does not exist; the nearest are named.
        InterpError: fewer than two components, more than 256 without ``top`` or ``names``, or a value that does not
            fit the activation.

    >>> import interp
    >>> model = interp.HookedMLP(interp.MLPConfig((4,), 5, d_vocab=5, d_embed=4)).init_weights(seed=0)
    >>> pairs = ablate_pairs(interp.Subject("mlp", model, interp.ModularArithmetic(5).fit(model)))
    >>> len(pairs), pairs["component"].iloc[0]
    (6, 'L0N0 + L0N1')
    """
    subject, value = as_subject(subject), as_value(value)
    evaluation = make_evaluation(subject, metric or (None if subject.task is None else "loss"), inputs, dtype=dtype)
    evaluation = replace(evaluation, metrics=evaluation.metrics[:1])
    asked = [names] if isinstance(names, str) else None if names is None else list(names)
    if site is not None:
        graph = graph_of(evaluation, _units(evaluation, kind, site), value, max_bytes)
    else:
        graph = node_graph(evaluation, _kinds(kind, asked), value, max_bytes)
    clean = float(evaluation.run()[0])
    single = graph.effects(graph.whole)[:, 0] - clean
    chosen = _chosen(graph, single, asked, top)
    both = single.new_full((len(graph), len(graph)), torch.nan)
    parts = [] if graph.each_input else _batches(graph, chosen)
    shown, size = told("pairs", progress), sum(evaluation.sizes)
    for done, (nodes, groups, first, second, held) in enumerate(parts, 1):
        component = replace(nodes.component, groups=groups, labels=[""] * len(groups))
        found = measure(evaluation, component, nodes.constant, held=held, max_bytes=max_bytes)
        both[first, second] = found.sums[:, :, 0].sum(1) / size
        shown(done, len(parts))
    first, second = torch.combinations(chosen, 2).unbind(1)
    if graph.each_input:
        without = graph.whole.repeat(len(first), 1)
        without[torch.arange(len(first)), first] = without[torch.arange(len(first)), second] = False
        both[first, second] = graph.scores(without)[:, 0]
    return _table(graph, clean, single, both[first, second], first, second, repr(value))


# site, groups of its features, first and second elements, held ablations
Batch = tuple[Nodes, Tensor, Tensor, Tensor, list[Ablate]]


def _kinds(kind: Kind | Sequence[Kind] | None, names: Sequence[str] | None) -> tuple[Kind, ...]:
    """The kinds asked for, those of the names, or heads and neurons."""
    if kind is not None:
        return known_kinds(kind)
    found = [k for n in names or () for k, letter in LETTERS.items() if re.match(rf"L\d+{letter}\d", str(n))]
    found += [k for n in names or () for k in ("attention", "mlp") if str(n).endswith(f" {k}")]
    return known_kinds(tuple(dict.fromkeys(found)) or ("heads", "neurons"))  # type: ignore[arg-type]


def _units(evaluation: Evaluation, kind: object, site: str) -> list[Components]:
    """The units of hook points."""
    if kind is not None or not isinstance(site, str):
        raise InterpError(
            "site is the name of a hook point (or a glob) whose units are paired, and takes the place of a kind"
        )
    found = find_components(evaluation, site=site)
    heads = [c.site.name for c in found if "head" in evaluation.model.axes_of(c.site.name)]
    if heads:
        raise InterpError(f"{heads[0]} has heads: give kind='heads' instead of site")
    return found


def _chosen(graph: NodeGraph, single: Tensor, names: Sequence[str] | None, top: int | None) -> Int[Tensor, " chosen"]:
    """The elements that are paired, in the graph's order."""
    place = {name: i for i, name in enumerate(graph.labels)}
    for name in names or ():
        if name not in place:
            raise UnknownName(unknown("component", name, graph.labels))
    own = (
        torch.arange(len(graph)) if names is None else torch.tensor(sorted({place[n] for n in names}), dtype=torch.long)
    )
    if top is not None:
        require_range("top", top, 2)
        own = own[single.cpu()[own].abs().argsort(descending=True, stable=True)[:top]].sort().values
    elif names is None and len(own) > MOST:
        raise InterpError(
            f"{len(own)} components have {len(own) * (len(own) - 1) // 2:,} pairs: give top=64 for those with the largest "
            f"effects alone, names=[{graph.labels[0]!r}, {graph.labels[1]!r}, ...], a kind, or top={len(own)} for all"
        )
    if len(own) < 2:
        raise InterpError(f"pairs need at least two components, got {len(own)}")
    return own.to(single.device)


def _batches(graph: NodeGraph, chosen: Int[Tensor, " chosen"]) -> list[Batch]:
    """All pairs: those within a site together, and those of one component with all of a later site together."""
    found: list[Batch] = []
    inside = [(n, chosen[(chosen >= n.elements.start) & (chosen < n.elements.stop)]) for n in graph.nodes]
    inside = [(n, own) for n, own in inside if len(own)]
    for i, (nodes, own) in enumerate(inside):
        if len(own) > 1:
            first, second = torch.combinations(own, 2).unbind(1)
            groups = torch.cat([_groups(nodes, first), _groups(nodes, second)], 1)
            found.append((nodes, groups, first, second, []))
        for later, others in inside[i + 1 :]:
            for one in own:
                held = nodes.without(_all_but(nodes, int(one)))
                found.append((later, _groups(later, others), one.expand(len(others)), others, held))
    return found


def _groups(nodes: Nodes, elements: Int[Tensor, " k"]) -> Int[Tensor, "k size"]:
    return nodes.groups[(elements - nodes.elements.start).to(nodes.groups.device)]


def _all_but(nodes: Nodes, element: int) -> Bool[Tensor, " nodes"]:
    kept = torch.ones(len(nodes.groups), dtype=torch.bool)
    kept[element - nodes.elements.start] = False
    return kept


def _table(
    graph: NodeGraph, clean: float, single: Float[Tensor, " elements"], both: Float[Tensor, " pairs"], first: Tensor,
    second: Tensor, value: str,
) -> Interactions:  # fmt: skip
    """The table of pairs."""
    metric = graph.evaluation.metrics[0]
    a, b = ([graph.labels[i] for i in part.tolist()] for part in (first, second))
    change = both - clean
    made = Interactions({
        "component": [f"{x} + {y}" for x, y in zip(a, b, strict=True)], "a": a, "b": b,
        "site_a": [graph.places[i] for i in first.tolist()], "site_b": [graph.places[i] for i in second.tolist()],
        "changed": both.tolist(), "change": change.tolist(), "change_a": single[first].tolist(),
        "change_b": single[second].tolist(), "interaction": (change - single[first] - single[second]).tolist(),
    })  # fmt: skip
    backup, series = ("negative", "positive") if better(metric) > 0 else ("positive", "negative")
    sign = (
        f"interaction = change of both - change of a - change of b: {backup} where they are redundant or back each other up, "
        f"{series} where they work in series, or where the effects of each alone nearly exhaust the metric"
    )
    made.attrs = {"clean": {metric.name: clean}, "metric": metric.name, "sign": sign, "backup": backup, "value": value,
                  "label": "component"}  # fmt: skip
    return made
