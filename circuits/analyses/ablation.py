"""The analysis ``ablation``: the effect of every neuron, head and layer output, beside random directions."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from circuits.engine.components import KINDS
from circuits.experiments.ablation import ablate
from circuits.interventions.values import Mean, Resample, Value, Zero
from circuits.metrics import make_metric
from interp.errors import require_range
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.subject import Subject
from probes.analyses import performance

SIGN = make_metric("loss").sign
VALUES: dict[str, Value] = {"mean": Mean(), "zero": Zero(), "resample": Resample()}


@analysis(
    "ablation",
    needs=("answers", "activations"),
    summary="The effect of every neuron, head and layer",
    order=55,
)
def ablation(
    subject: Subject,
    *,
    value: Literal["mean", "zero", "resample"] = "mean",
    baseline: int = 16,
    top: int = 15,
) -> Result:
    """Ablate every neuron, head and layer output on its own, beside random directions of the same size.

    Args:
        value: what takes a component's place.
        baseline: random directions (and subspaces of a head's size) per site; 0 leaves them out.
        top: components listed in the table of the strongest.
    """
    require_range("baseline", baseline, 0)
    require_range("top", top, 1)
    result, clean = Result(), performance.measure(subject)
    total = int(clean["total"] or 1)
    frames = {}
    for kind in KINDS:
        if not subject.model.component_sites(kind):
            continue
        compared = kind in ("neurons", "heads")
        frames[kind] = ablate(
            subject,
            kind,
            value=value,
            n_random=baseline if compared else 0,
        )
    if not frames:
        result.headline = (
            "no heads or neurons have names here; circuits.ablate(subject, site=...) ablates units of any site"
        )
        return result
    for kind, frame in frames.items():
        own, random = frame.query("not baseline"), frame.query("baseline")
        worst = own.loc[own["loss_change"].idxmax()]
        result.metrics[f"{kind}"] = len(own)
        result.metrics[f"{kind}_largest_loss_change"] = float(worst["loss_change"])
        result.metrics[f"{kind}_largest_component"] = str(worst["component"])
        result.metrics[f"{kind}_lowest_correct"] = int(own["correct"].min())
        if len(random):
            result.metrics[f"{kind}_random_median_loss_change"] = float(random["loss_change"].median())
            result.metrics[f"{kind}_random_lowest_correct"] = int(random["correct"].min())
        result.tables[kind] = frame
        if len(own) > 1:
            result.figures[kind] = _figure(frame, kind, float(clean["loss"] or 0))
    every = pd.concat([f.query("not baseline") for f in frames.values()], ignore_index=True)
    result.tables = {"strongest": every.nlargest(top, "loss_change"), **result.tables}
    result.notes = [f"{SIGN}. Every component is ablated alone ({value} ablation), over all {total:,} inputs."]
    strongest = every.loc[every["loss_change"].idxmax()]
    result.headline = (
        f"{strongest['component']} matters most: without it {strongest['correct']:,} of {total:,} are right, and the loss is "
        f"{strongest['loss']:.3g} (clean {clean['loss']:.3g})"
    )
    return result


def _figure(frame: pd.DataFrame, kind: str, clean: float) -> go.Figure:
    own = frame.query("not baseline").sort_values("loss", ascending=False)
    few = len(own) <= 16  # then every component is named
    place = own["component"].to_list() if few else list(range(len(own)))
    curves = {"clean": ([place[0], place[-1]], [clean, clean]), f"{kind}, sorted": (place, own["loss"].to_list())}
    figure = figures.lines(
        curves, title=f"Loss without each of the {len(own)} {kind}", x_title="" if few else "rank", y_title="loss",
        log_y=True, markers=few,
    )  # fmt: skip
    random = sorted(frame.query("baseline")["loss"], reverse=True)
    if random:
        at = np.linspace(0, len(own) - 1, len(random)).round().astype(int)
        figure.add_scatter(
            x=[place[i] for i in at],
            y=random,
            mode="markers",
            name="random, same size",
            marker={"color": figures.GREY, "size": 6},
        )
    return figure
