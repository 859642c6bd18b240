"""The analysis ``ablation``: the effect of every neuron, head, layer output and channel, beside random directions."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from torch import Tensor

from circuits.claims.parts import ablation_claims
from circuits.engine.components import KINDS
from circuits.experiments.ablation import ablate
from circuits.metrics import make_metric
from interp.errors import require_range
from interp.hooked import HookedModel
from interp.hooked.foreign.guest import Guest
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.scores import of_constant, score
from interp.subject import Subject
from probes.claims.performance import better

SIGN = make_metric("loss").sign


@analysis(
    "ablation",
    needs=("answers", "activations"),
    summary="The effect of every neuron, head and layer",
    order=55,
    question="where",
    renamed={"baseline": "n_random"},
)
def ablation(
    subject: Subject,
    *,
    value: Literal["mean", "zero", "resample"] = "mean",
    n_random: int = 16,
    top: int = 15,
) -> Result:
    """Ablate every neuron, head and layer output, one at a time, beside random directions of the same size.

    In a wrapped module, which has no named ones, the units (of convolutions the channels) of every layer with a weight
    matrix but the last.

    Args:
        subject: with a task whose answers are right or wrong.
        value: what replaces the component.
        n_random: random directions (and subspaces of a head's size) per site, for comparison; 0 leaves them out.
        top: number of components in the table of the strongest.

    Returns:
        loss and accuracy without each component, by kind.
    """
    require_range("n_random", n_random, 0)
    require_range("top", top, 1)
    result, clean = Result(), score(subject.require_task(), subject.logits())
    frames: dict[str, pd.DataFrame] = {}
    for kind in KINDS:
        if subject.model.component_sites(kind):
            compared = kind in ("neurons", "heads")
            frames[kind] = ablate(subject, kind, value=value, n_random=n_random if compared else 0).rows
    if not frames and (sites := _layers(subject.model)):
        frames["units"] = pd.concat(
            [ablate(subject, site=site, value=value, n_random=n_random).rows for site in sites], ignore_index=True
        )
    if not frames:
        result.headline = (
            "The network has no named heads or neurons: circuits.ablate(subject, site=...) ablates units of any site"
        )
        return result
    for kind, frame in frames.items():
        own, random = frame.query("not baseline"), frame.query("baseline")
        worst = own.loc[own["loss_change"].idxmax()]
        result.metrics[f"{kind}"] = len(own)
        result.metrics[f"{kind}_largest_loss_change"] = float(worst["loss_change"])
        result.metrics[f"{kind}_largest_component"] = str(worst["component"])
        result.metrics[f"{kind}_lowest_correct"] = min(own["correct"].to_list())
        if len(random):
            result.metrics[f"{kind}_random_median_loss_change"] = float(np.median(random["loss_change"].to_numpy()))
            result.metrics[f"{kind}_random_lowest_correct"] = min(random["correct"].to_list())
        result.tables[kind] = frame
        if len(own) > 1:
            result.figures[kind] = _figure(frame, kind, clean.loss)
    every = pd.concat([f.query("not baseline") for f in frames.values()], ignore_index=True)
    result.tables = {"strongest": every.nlargest(top, "loss_change"), **result.tables}
    total = clean.all.total
    result.notes = [f"{SIGN}. Components are ablated one at a time ({value} ablation), over all {total:,} inputs."]
    constant = of_constant(subject.require_task())
    right, solved = (clean.correct or 0, constant.correct or 0, total), better(clean.all, constant.all)
    result.claims = ablation_claims(frames, *right, solved, set(result.figures))
    strongest = every.loc[every["loss_change"].idxmax()]
    result.headline = (
        f"{strongest['component']} matters most: ablating it raises the loss from {clean.loss:.3g} to {strongest['loss']:.3g} "
        f"and leaves {strongest['correct']:,} of {total:,} answers correct (clean {clean.correct:,}"
        f"{_random_in_words(frames, strongest['component'])})"
    )
    return result


def _layers(model: HookedModel) -> list[str]:
    """The outputs of a wrapped module's layers with a weight matrix, without the last: its units are the answers."""
    if not isinstance(model, Guest):
        return []
    modules = dict(model.module.named_modules())
    names = [n for n in model.hook_dict if n.endswith(".hook_out")]
    weights = {n: getattr(modules.get(n.removesuffix(".hook_out")), "weight", None) for n in names}
    layers = [n for n, w in weights.items() if isinstance(w, Tensor) and w.ndim > 1]
    return [n for n in layers[:-1] if {"batch", "unit"} <= set(model.axes_of(n))]


def _random_in_words(frames: dict[str, pd.DataFrame], component: str) -> str:
    """The worst random direction of the component's kind, where there are any."""
    for frame in frames.values():
        random = frame.query("baseline")
        if component in frame["component"].to_list() and len(random):
            return f"; loss {random['loss'].max():.3g} at most without one of {len(random)} random directions"
    return ""


def _figure(frame: pd.DataFrame, kind: str, clean: float) -> go.Figure:
    own = frame.query("not baseline").sort_values("loss", ascending=False)
    few = len(own) <= 16  # then every component is named
    place = own["component"].to_list() if few else list(range(len(own)))
    curves = {"clean": ([place[0], place[-1]], [clean, clean]), f"{kind}, sorted": (place, own["loss"].to_list())}
    figure = figures.lines(
        curves, title=f"Loss without each of the {len(own)} {kind}", x_title="" if few else "rank", y_title="loss",
        log_y=True, markers=few,
    )  # fmt: skip
    random = sorted(frame.query("baseline")["loss"].to_list(), reverse=True)
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
