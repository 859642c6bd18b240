"""The analysis `phases`: the phase diagram of learning over a run of many networks."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from interp.errors import MissingCapability
from interp.phase_diagrams import PHASES, UNDECIDED, Lattice, PhaseDiagram, choose_axes, diagram_of, values_of
from interp.phase_diagrams.figure import lay_out
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.scores import LEARNT
from interp.subject import Subject
from interp.training.members import varying
from interp.training.phases import SHORT, SPLIT, TIE

VERDICTS = (*PHASES, UNDECIDED)
PUBLISHED = 100_000  # steps that Liu et al. allow


@analysis(
    "phases",
    needs=("members",),
    order=8,
    question="history",
    summary="Comprehension, grokking, memorization, confusion over a grid of runs",
)
def phases(
    subject: Subject,
    *,
    x: str | None = None,
    y: str | None = None,
    threshold: float = LEARNT,
    side: str | None = None,
    reached: str = "first",
    limit: int | None = None,
    gap: int = 1_000,
) -> Result:
    """The learning phase of every network of a run, over two of the settings in which the networks differ.

    Comprehension, grokking, memorization and confusion as in Liu et al. 2022, Towards Understanding Grokking: An Effective
    Theory of Representation Learning, https://arxiv.org/abs/2205.10343, section 4.

    Args:
        subject: a network of a run with several members.
        x: setting along the horizontal axis; by default the first that differs, seeds last.
        y: setting along the vertical axis; by default the next that differs, never a seed.
        threshold: accuracy to be reached; the paper takes 0.9, and 0.6 for the validation accuracy on MNIST.
        side: ``>`` or ``>=``; the paper has both. By default both are taken, and where they differ a network is undecided.
        reached: ``first`` measured step, or ``for_good``, until the end of the training.
        limit: steps within which it must be reached, 100,000 in the paper; by default as many as the run has. A network that
            was trained too short to tell is undecided.
        gap: comprehension if test accuracy follows train accuracy within fewer steps, otherwise grokking.

    Returns:
        The phase diagram, the median steps to memorise and to generalise, and a row per network.

    Raises:
        MissingCapability: not a run of several networks, or one that recorded no accuracies.
    """
    run = subject.run
    if run is None:
        raise MissingCapability("phases need a run of several networks; train one with interp train --seeds or --grid")
    if "train_accuracy" not in run.metrics:
        raise MissingCapability(
            "phases need a run that recorded accuracies; train on a task whose answers can be right or wrong"
        )
    definition = {"side": side, "reached": reached, "gap": gap}
    table = run.phases(threshold, limit=limit, **definition)  # pyright: ignore[reportArgumentType]  each as it is called
    across, down = choose_axes(varying(run.plan.members), x, y)
    counts = Counter(table["phase"].tolist())
    result = Result(
        {
            "networks": len(table),
            **{p: counts[p] for p in VERDICTS},
            "x": across,
            "y": down,
            "steps": table.attrs["steps"],
        },
        {"phases": table.reset_index()},
    )
    networks = table.reset_index(names="network")
    drawn = diagram_of(networks, [a for a in (across, down) if a is not None] or ["network"])
    result.figures["phase diagram"] = drawn.figure()
    for column, title in (("train_at", "memorise"), ("test_at", "generalise")):
        if across is not None and table[column].notna().to_numpy().any():
            result.figures[f"steps to {title}"] = _median_steps(drawn, column, title)
    result.lead = "phase diagram"
    result.notes += _doubts(table)
    if limit is None and table.attrs["steps"] < PUBLISHED:
        longer = run.phases(threshold, limit=PUBLISHED, **definition)  # pyright: ignore[reportArgumentType]  as above
        open_ = sum(a == UNDECIDED != b for a, b in zip(longer["phase"], table["phase"], strict=True))
        said = (
            f"Phases within the run's own {table.attrs['steps']:,} steps; Liu et al. allow {PUBLISHED:,}, by which "
            f"{open_:,} of these networks {'is' if open_ == 1 else 'are'} undecided: they may still learn (limit={PUBLISHED})."
        )
        result.notes += [said] if open_ else []
    others = [s for s in varying(run.plan.members) if s not in (across, down)]
    if others:
        result.notes.append(
            f"A cell shows the most common phase of its networks, which differ in {', '.join(others)}. Where two are equally "
            "common, it is undecided."
        )
    shown = [p for p in VERDICTS if p in PHASES or counts[p]]
    result.headline = f"{len(table)} networks: " + ", ".join(f"{counts[p]} {p}" for p in shown)
    return result


def _doubts(table: pd.DataFrame) -> list[str]:
    """What keeps networks from a phase, a sentence each."""
    why, threshold = Counter(table["why"].tolist()), f"{table.attrs['threshold']:g}"
    said = {
        TIE: f"have one phase where accuracy must be above {threshold} and another where {threshold} is enough, so they are "
        "undecided; side says which is meant.",
        SHORT: "were trained too short to tell, so they are undecided.",
        SPLIT: f"cannot get to a test accuracy of {threshold}: no train example has the answers of some test examples "
        "(test_reachable). They can be no more than memorization.",
    }
    return [f"{why[reason]:,} of {len(table):,} networks {text}" for reason, text in said.items() if why[reason]]


def _median_steps(drawn: PhaseDiagram, column: str, title: str) -> go.Figure:
    """Median steps per cell on a logarithmic scale; blank if no network reached the threshold."""
    lattice = Lattice.of(drawn.table, drawn.axes)
    steps: dict[tuple[Any, ...], list[float]] = {}
    places = zip(*(values_of(drawn.networks, axis) for axis in drawn.axes), strict=True)
    for place, at in zip(places, drawn.networks[column].tolist(), strict=True):
        steps.setdefault(place, []).extend([] if pd.isna(at) else [at])
    medians = [np.median(own) if own else np.nan for own in steps.values()]  # in the order of the table's cells
    grid = np.array([*medians, np.nan])[lattice.rows]
    figure = figures.heatmap(
        grid, log=True, unit="steps", x=lattice.x.edges, y=lattice.y.edges, title="", x_title="", y_title=""
    )
    return lay_out(figure, f"Steps to {title}", drawn.axes, lattice)
