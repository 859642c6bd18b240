"""Circuits over training: the circuit of every checkpoint of a run, and how much of it they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from circuits.discovery.checkpoints import checkpoints, positions_of
from circuits.discovery.discover import Circuit, NothingToDo, discover
from circuits.discovery.graph import better
from circuits.discovery.search import Order
from circuits.engine.budget import DEFAULT_BYTES
from circuits.engine.components import Kind
from circuits.findings import Findings
from circuits.interventions.values import DEFAULT, ValueLike
from circuits.metrics import MetricLike, make_metric
from interp._util.bar import with_bar
from interp._util.estimate import told
from interp.errors import UnknownName, unknown
from interp.subject import Subject, as_subject

if TYPE_CHECKING:
    import plotly.graph_objects as go

Overlap = Literal["jaccard", "containment"]


@dataclass(frozen=True, eq=False, repr=False)
class CircuitsOverTraining(Findings):
    """The circuits of a run's checkpoints.

    Attributes:
        steps: of the checkpoints.
        circuits: one per step; None where there is nothing that a circuit could do.
        metric: the name of the metric that scores them.
    """

    steps: Sequence[int | None]
    circuits: Sequence[Circuit | None]
    metric: str

    @property
    def membership(self) -> pd.DataFrame:
        """Whether each element (rows) is in the circuit of each step (columns); none is where there is no circuit."""
        first = next(c for c in self.circuits if c is not None)
        names = first.elements["component"].to_list()
        columns = [
            np.zeros(len(names), bool) if c is None else c.elements["kept"].to_numpy(bool) for c in self.circuits
        ]
        return pd.DataFrame(
            np.stack(columns, 1), index=pd.Index(names, name="component"), columns=pd.Index(self.steps, name="step")
        )

    def overlap(self, measure: Overlap = "jaccard") -> pd.DataFrame:
        """How much of each other's elements the circuits hold, step by step.

        Args:
            measure: ``"jaccard"``: elements in both, as a share of those in either. ``"containment"``: the share of the row's
                circuit that is in the column's, which is 1 where one grew around the other.

        Returns:
            a matrix; NaN where there is no circuit.

        Raises:
            UnknownName: another measure.
        """
        if measure not in get_args(Overlap):
            raise UnknownName(unknown("measure of overlap", measure, get_args(Overlap)))
        kept = self.membership.to_numpy(float)
        return self._shares(kept.T @ kept, measure)

    def overlap_by_chance(self, measure: Overlap = "jaccard") -> pd.DataFrame:
        """The overlap that random circuits with as many elements at every site have on average (of Jaccard, to first order).

        Args:
            measure: as in `overlap`.

        Returns:
            a matrix like that of `overlap`, but for its diagonal: there, too, two random circuits are compared.
        """
        first = next(c for c in self.circuits if c is not None)
        sites = first.elements["site"].to_numpy()
        places = sites[:, None] == np.unique(sites)  # [element, site]
        counts = places.T.astype(float) @ self.membership.to_numpy(float)
        return self._shares(counts.T @ (counts / places.sum(0)[:, None]), measure)

    def _shares(self, both: np.ndarray, measure: Overlap) -> pd.DataFrame:
        size = self.membership.sum().to_numpy(float)
        whole = size[:, None] if measure == "containment" else size[:, None] + size - both
        known = (size[:, None] > 0) & (size > 0)
        share = np.divide(both, whole, out=np.full_like(both, np.nan), where=known)
        return pd.DataFrame(share, index=self.membership.columns, columns=self.membership.columns)

    @property
    def rows(self) -> pd.DataFrame:
        """A row per checkpoint.

        ``step, size, elements`` (of the network), ``faithfulness, completeness, minimality``, the metric of ``circuit,
        network`` and ``empty``, and the Jaccard ``overlap_with_last`` circuit beside that ``by_chance``.
        """
        n = len(self.membership)
        found = [_row(step, circuit, n) for step, circuit in zip(self.steps, self.circuits, strict=True)]
        own, chance = (m.to_numpy()[:, -1] for m in (self.overlap(), self.overlap_by_chance()))
        return pd.DataFrame(found).assign(overlap_with_last=own, by_chance=chance)

    @property
    def table(self) -> pd.DataFrame:
        """A row per checkpoint and element of its circuit: that of `Circuit.table`, and the step."""
        every = zip(self.steps, self.circuits, strict=True)
        return pd.concat(
            [c.table.query("kept").assign(step=step) for step, c in every if c is not None], ignore_index=True
        )

    @property
    def summary(self) -> dict[str, Any]:
        """The number of circuits, the sizes of the first and the last, and what is in all of them."""
        known = [c for c in self.circuits if c is not None]
        always = set.intersection(*(set(c.components) for c in known))
        return {
            "metric": self.metric, "checkpoints": len(self.steps), "circuits": len(known), "size at first": len(known[0]),
            "size at last": len(known[-1]), "in all circuits": len(always),
        }  # fmt: skip

    def figure(self) -> go.Figure:
        """The overlap of all pairs of circuits as a heat map."""
        from interp.report import figures

        steps = [str(step) for step in self.steps]
        drawn = figures.heatmap(
            self.overlap().to_numpy(), x=steps, y=steps, x_title="step", y_title="step", height=420,
            title="Overlap of the circuits of two checkpoints", unit="Jaccard index",
        )  # fmt: skip
        drawn.update_traces(zmin=0, zmax=1)
        for axes in (drawn.update_xaxes, drawn.update_yaxes):
            axes(type="category")
        return drawn


SCORES = {
    "faithfulness": "faithfulness", "completeness": "completeness", "minimality": "minimality", "circuit": "score",
    "network": "clean", "empty": "empty",
}  # fmt: skip


def _row(step: int | None, circuit: Circuit | None, n: int) -> dict[str, Any]:
    scores = {name: float("nan") if circuit is None else getattr(circuit, own) for name, own in SCORES.items()}
    return {"step": step, "size": 0 if circuit is None else len(circuit), "elements": n, **scores}


@with_bar
def circuits_over_training(
    subject: Subject,
    *,
    of: Literal["nodes", "edges"] = "nodes",
    every: int = 1,
    metric: MetricLike = "accuracy",
    faithfulness: float = 0.99,
    kinds: Kind | Sequence[Kind] = ("heads", "neurons"),
    value: ValueLike = DEFAULT,
    order: Order = "effects",
    n_random: int = 0,
    seed: int = 0,
    inputs: Tensor | None = None,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
    progress: Callable[[int, int], None] | bool | None = None,
) -> CircuitsOverTraining:
    """The circuit of every checkpoint of a run, by `discover`, and the overlap of all of them.

    Before a network generalises, its circuit is that of what it has memorised. Misleads as every search does: where several
    circuits of a size do as well, two checkpoints may differ in which was found; `overlap_by_chance` says how much random ones
    share. For one circuit followed through the run, see `necessity`; for single frequencies or representations,
    `factor_circuits`. Circuits over training: Tigges et al. 2024, https://arxiv.org/abs/2407.10827.

    Args:
        subject: with a task and a series of checkpoints.
        of: ``"nodes"`` or ``"edges"``.
        every: only every n-th checkpoint, counting from the first, and the last.
        metric: scores the circuits.
        faithfulness: that each circuit must reach, relative to its own checkpoint.
        kinds: of nodes.
        value: what replaces everything outside the circuit, made of the checkpoint's own activations.
        order: of the search, as in `discover`.
        n_random: random circuits beside each, as in `discover`.
        seed: of the random circuits.
        inputs: run on these instead of the task's examples.
        dtype: the models run in this, the subject's precision by default.
        max_bytes: working memory in addition to the captured activations.
        progress: called with (checkpoints done, checkpoints in all).

    Returns:
        The circuits, ``.rows`` with a row per checkpoint (size, faithfulness, overlap with the last), ``.overlap()`` as a
        matrix, ``.membership`` by element and step. One checkpoint is open at a time.

    Raises:
        MissingCapability: no series of checkpoints, or no task and nothing that replaces it.
        NothingToDo: a metric that ablating everything makes worse at no checkpoint.
        InterpError: as of `discover`.
    """
    subject = as_subject(subject)
    n_checkpoints, found, idle = len(positions_of(subject, every)), [], []
    seen = told("checkpoints", progress)
    for one in checkpoints(subject, every):
        try:
            circuit = discover(
                one, metric=metric, faithfulness=faithfulness, of=of, kinds=kinds, value=value, order=order, n_random=n_random,
                seed=seed, inputs=inputs, dtype=dtype, max_bytes=max_bytes, progress=False,
            )  # fmt: skip
            if better(make_metric(metric)) * (circuit.clean - circuit.empty) <= 0:
                raise NothingToDo(
                    f"{one.name} at step {one.step}: the {circuit.metric} is {circuit.clean:g}, no better than the "
                    f"{circuit.empty:g} with everything ablated"
                )
        except NothingToDo as error:
            circuit = None
            idle.append(error)
        found.append((one.step, circuit))
        seen(len(found), n_checkpoints)
    known = [c for _, c in found if c is not None]
    if not known:
        raise idle[-1]
    return CircuitsOverTraining([step for step, _ in found], [c for _, c in found], known[0].metric)
