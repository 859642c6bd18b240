"""When each component of a circuit became necessary: the circuit followed over the checkpoints of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import torch

from circuits.discovery.discover import Circuit
from circuits.discovery.graph import better, judges
from circuits.discovery.nodes import node_graph
from circuits.engine.budget import DEFAULT_BYTES
from circuits.engine.evaluation import make_evaluation
from circuits.interventions.values import Mean, Value
from circuits.metrics import make_metric
from interp.errors import InterpError, MissingCapability, require_range
from interp.subject import Subject

HALF = 0.5  # of what a component is worth at the end: from here on it counts as necessary


def necessity(
    subject: Subject,
    circuit: Circuit,
    *,
    every: int = 1,
    value: Value = Mean(),
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """What each component of a circuit of nodes is worth to it, at every checkpoint of the subject's series.

    At each checkpoint everything outside the circuit is held at that checkpoint's own constants, and each component of the
    circuit is taken out besides. One checkpoint is open at a time.

    Args:
        circuit: of the last checkpoint, say: `discover` with a metric by name.
        every: take every so-many-th checkpoint, and the last.
        value: what is outside is held at.
        dtype: the models run in this, the subject's precision by default.
        progress: called with (checkpoints done, checkpoints in all).

    Returns:
        ``step, component, worth`` (how much worse the metric gets without it), ``circuit``, ``network`` and ``empty`` (the
        metric of the circuit, of the whole network and of nothing).

    Raises:
        MissingCapability: the subject is no series.
        InterpError: a circuit of edges, or of another network.
    """
    require_range("every", every, 1)
    if subject.series is None or len(subject.series) < 2:
        raise MissingCapability(f"{subject.name}: {subject.lacks(['series'])[0]}")
    positions = sorted({*range(0, len(subject.series), every), len(subject.series) - 1})
    metric, frames = make_metric(circuit.metric), []
    for done, position in enumerate(positions):
        step, model = subject.series.steps[position], subject.series[position]
        one = replace(subject, model=model, step=step, series=None)
        evaluation = make_evaluation(one, judges(metric, subject.task), dtype=dtype)
        graph = node_graph(evaluation, circuit.kinds, value, max_bytes)
        if list(graph.labels) != circuit.elements["component"].to_list():
            raise InterpError(
                f"the circuit's {len(circuit.elements)} elements are not those of {subject.name} at step {step}"
            )
        kept = torch.tensor(circuit.elements["kept"].to_list(), device=evaluation.inputs.device)
        network, empty, own = graph.scores(torch.stack([graph.whole, ~graph.whole, kept]))[:, 0].tolist()
        without = graph.effects(kept)[kept, 0]
        worth = better(evaluation.metrics[0]) * (own - without)
        frames.append(
            pd.DataFrame({"step": step, "component": circuit.components, "worth": worth.tolist(), "circuit": own,
                          "network": network, "empty": empty})
        )  # fmt: skip
        if progress is not None:
            progress(done + 1, len(positions))
    return pd.concat(frames, ignore_index=True)


def necessary_from(table: pd.DataFrame) -> pd.DataFrame:
    """The first step from which each component is worth at least half of what it is worth at the end, and stays so.

    Args:
        table: of `necessity`.

    Returns:
        ``component, step, worth`` (at the end); the step is missing where the component is worth nothing at the end.

    >>> necessary_from(pd.DataFrame({
    ...     "step": [0, 10, 20, 0, 10, 20], "component": ["a"] * 3 + ["b"] * 3, "worth": [0.0, 0.3, 0.4, 0.0, 0.1, 0.9]
    ... }))["step"].tolist()
    [10, 20]
    """
    rows = []
    for component, own in table.groupby("component", sort=False):
        own = own.sort_values("step")
        last = own["worth"].iloc[-1]
        short = (own["worth"] < HALF * last).to_numpy()
        first = int(short.nonzero()[0].max()) + 1 if short.any() else 0
        step = int(own["step"].iloc[first]) if last > 0 else None
        rows.append({"component": component, "step": step, "worth": float(last)})
    return pd.DataFrame(rows).astype({"step": "Int64"})
