"""When each component of a circuit became necessary: the circuit followed over the checkpoints of a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import Tensor

from circuits.discovery.checkpoints import checkpoints, positions_of
from circuits.discovery.discover import Circuit
from circuits.discovery.edges import edge_graph
from circuits.discovery.graph import Graph, better, judges
from circuits.discovery.nodes import node_graph
from circuits.engine.budget import DEFAULT_BYTES
from circuits.engine.evaluation import make_evaluation
from circuits.findings import EffectTable
from circuits.interventions.values import DEFAULT, ValueLike, as_value
from circuits.metrics import make_metric
from interp._util.estimate import told
from interp.errors import InterpError
from interp.subject import Subject, as_subject

if TYPE_CHECKING:
    import plotly.graph_objects as go

HALF = 0.5  # of a component's worth at the end: from here on it counts as necessary
CURVES = 8  # components that are drawn


class Worth(EffectTable):
    """What each component is worth to a circuit at each checkpoint, as a DataFrame that follows `Findings`."""

    @property
    def _constructor(self) -> type[Worth]:
        return Worth

    @property
    def table(self) -> pd.DataFrame:
        """A row per checkpoint and component: ``component, site, index, metric, clean, changed, change, step``.

        ``clean`` is the circuit's metric, ``changed`` that of the circuit without the component.
        """
        own = self.rows
        change = -self.attrs["better"] * own["worth"]
        return pd.DataFrame({
            "component": own["component"], "site": own["component"].map(self.attrs["sites"]), "index": range(len(own)),
            "metric": self.attrs["metric"], "clean": own["circuit"], "changed": own["circuit"] + change, "change": change,
            "step": own["step"],
        })  # fmt: skip

    def figure(self) -> go.Figure:
        """The metric of network and circuit, and the worth of the components that matter most at the end, over the run."""
        from interp.report import figures

        own, metric = self.rows, self.attrs["metric"]
        steps = own.drop_duplicates("step")
        curves = {name: (steps["step"], steps[name]) for name in ("network", "circuit")}
        last = pd.DataFrame(own[own["step"] == own["step"].max()]).sort_values("worth", ascending=False, kind="stable")
        for component in last["component"].to_list()[:CURVES]:
            rows = own[own["component"] == component]
            curves[f"worth of {component}"] = (rows["step"], rows["worth"])
        return figures.lines(
            curves, title=f"The circuit over the run: {metric}", x_title="training step", y_title=metric, markers=True
        )


class Necessary(EffectTable):
    """The step from which each component is necessary, as a DataFrame that follows `Findings`."""

    @property
    def _constructor(self) -> type[Necessary]:
        return Necessary

    @property
    def table(self) -> pd.DataFrame:
        """A row per component: ``component, site, index, metric, clean, changed, change``; the metric is the step."""
        own = self.rows
        step = own["step"].astype(float)
        return pd.DataFrame({
            "component": own["component"], "site": "", "index": range(len(own)), "metric": "step", "clean": 0.0,
            "changed": step, "change": step, "worth": own["worth"],
        })  # fmt: skip

    def figure(self) -> go.Figure:
        """The step by component, earliest first."""
        from interp.report import figures

        own = self.rows.dropna(subset="step").sort_values("step")
        return figures.bars(
            own["component"].to_list(), own["step"].astype(float), title="Necessary from", x_title="", y_title="step"
        )


def necessity(
    subject: Subject,
    circuit: Circuit,
    *,
    every: int = 1,
    value: ValueLike = DEFAULT,
    inputs: Tensor | None = None,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
    progress: Callable[[int, int], None] | None = None,
) -> Worth:
    """What each node or edge of a circuit is worth to it, at every checkpoint of the subject's series.

    At each checkpoint everything outside the circuit is replaced by that checkpoint's own constants, and each component of the
    circuit is ablated in addition, one at a time. One checkpoint is open at a time.

    Args:
        subject: with a series of checkpoints.
        circuit: of nodes or edges, for example of the last checkpoint: `circuits.discover` with a metric by name.
        every: evaluate only every n-th checkpoint, counting from the first, and the last.
        value: what replaces everything outside the circuit.
        inputs: run on these instead of the task's examples.
        dtype: the models run in this, the subject's precision by default.
        max_bytes: working memory in addition to the captured activations.
        progress: called with (checkpoints done, checkpoints in all).

    Returns:
        A DataFrame with a row per checkpoint and component: ``step, component, worth`` (how much worse the metric gets without
        it), ``circuit``, ``network`` and ``empty`` (the metric of the circuit, of the whole network, and with everything
        ablated). It follows `circuits.findings.Findings`.

    Raises:
        MissingCapability: the subject has no series.
        InterpError: a circuit of another network, or with a function as metric.
    """
    subject, value = as_subject(subject), as_value(value)
    if not isinstance(circuit, Circuit):
        raise InterpError(f"necessity needs a Circuit, as circuits.discover returns it; got a {type(circuit).__name__}")
    n_checkpoints = len(positions_of(subject, every))
    metric, frames, shown = make_metric(circuit.metric), [], told("checkpoints", progress)
    for done, one in enumerate(checkpoints(subject, every)):
        evaluation = make_evaluation(one, judges(metric, subject.task), inputs, dtype=dtype)
        graph: Graph = edge_graph(evaluation, value, max_bytes) if not circuit.kinds else (
            node_graph(evaluation, circuit.kinds, value, max_bytes)
        )  # fmt: skip
        if list(graph.labels) != circuit.elements["component"].to_list():
            raise InterpError(
                f"the circuit's {len(circuit.elements)} elements are not those of {subject.name} at step {one.step}"
            )
        kept = torch.tensor(circuit.elements["kept"].to_list(), device=evaluation.inputs.device)
        network, empty, own = graph.scores(torch.stack([graph.whole, ~graph.whole, kept]))[:, 0].tolist()
        without = graph.effects(kept)[kept, 0]
        worth = better(evaluation.metrics[0]) * (own - without)
        frames.append(
            pd.DataFrame({"step": one.step, "component": circuit.components, "worth": worth.tolist(), "circuit": own,
                          "network": network, "empty": empty})
        )  # fmt: skip
        shown(done + 1, n_checkpoints)
    made = Worth(pd.concat(frames, ignore_index=True))
    sites = dict(zip(circuit.elements["component"], circuit.elements["site"], strict=True))
    made.attrs = {"metric": circuit.metric, "better": better(judges(metric, subject.task)[0]), "sites": sites}
    return made


def necessary_from(table: pd.DataFrame) -> Necessary:
    """The first step from which each component is worth at least half of its worth at the end, and stays so.

    Args:
        table: of `necessity`.

    Returns:
        A DataFrame with a row per component: ``component, step, worth`` (at the end); the step is missing where the component
        is worth nothing at the end. It follows `circuits.findings.Findings`.

    Raises:
        InterpError: a table without the columns ``step, component, worth``.

    >>> necessary_from(pd.DataFrame({
    ...     "step": [0, 10, 20, 0, 10, 20], "component": ["a"] * 3 + ["b"] * 3, "worth": [0.0, 0.3, 0.4, 0.0, 0.1, 0.9]
    ... }))["step"].tolist()
    [10, 20]
    """
    if not isinstance(table, pd.DataFrame) or not {"step", "component", "worth"} <= {*table.columns}:
        raise InterpError("necessary_from needs the table that circuits.necessity returns (step, component, worth)")
    rows = []
    for component, own in pd.DataFrame(table).groupby("component", sort=False):
        own = own.sort_values("step")
        last = own["worth"].iloc[-1]
        short = (own["worth"] < HALF * last).to_numpy()
        first = int(short.nonzero()[0].max()) + 1 if short.any() else 0
        step = int(own["step"].iloc[first]) if last > 0 else None
        rows.append({"component": component, "step": step, "worth": float(last)})
    return Necessary(pd.DataFrame(rows, columns=["component", "step", "worth"]).astype({"step": "Int64"}))
