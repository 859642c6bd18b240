"""Ablation: the effect of every component of a kind, in one call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch

from circuits.effects import DEFAULT_BYTES, Effects, Progress, make_bank, measure
from circuits.interventions import Mean, Resample, Value, Zero
from interp import figures
from interp.activations import capture
from interp.analysis import Result, analysis
from interp.errors import InterpError, UnknownName, require_range, unknown
from interp.sites import resolve_sites
from interp.subject import Subject
from probes import performance
from probes.basis import Basis

Kind = Literal["neurons", "heads", "attention", "mlp"]
SITES: dict[Kind, str] = {
    "neurons": "*hook_post",
    "heads": "*attn.hook_z",
    "attention": "*hook_attn_out",
    "mlp": "*hook_mlp_out",
}
SIGN = "loss_change = ablated minus clean: positive means that the component was needed"


def ablate(
    subject: Subject,
    kind: Kind | None = None,
    *,
    value: Value = Mean(),
    basis: Basis | None = None,
    site: str | None = None,
    groups: Sequence[Sequence[int]] | None = None,
    baseline: Literal["random"] | None = None,
    n_baseline: int = 16,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Ablate every component of a kind, each on its own, over the whole input table.

    Args:
        kind: ``"neurons"`` (the default), ``"heads"``, ``"attention"`` or ``"mlp"`` (whole layers' outputs).
        value: what takes the component's place: `Mean`, `Zero`, `Resample` or `Fixed`.
        basis: ablate the directions of a Basis at ``site`` instead of a kind.
        site: the hook point of ``basis``; with a kind, restricts it to hook points of that name or glob.
        groups: with a basis, indices of directions that are ablated together (all of one size); one by one by default.
        baseline: ``"random"`` adds ``n_baseline`` random directions (for heads: random subspaces of a head's size) of
            the same space, ablated in the same way.
        dtype: the model is computed in this, the subject's precision (float64) by default; losses are float64 always.
        max_bytes: working memory besides the captured activations.
        progress: called with (groups done, groups in all) of the current site.

    Returns:
        A row per component: ``component, site, index, baseline, loss, train_loss, test_loss, loss_change, correct,
        accuracy, accuracy_change``; ``attrs`` holds the clean values, the value used and the sign convention.

    Raises:
        MissingCapability: the subject has no task.
        InterpError: the network has no component of that kind; a baseline that cannot be formed.

    The same numbers as one forward pass per component. Misleads where components back each other up: each is ablated
    alone, so two that do the same work both look idle.
    """
    subject.require_task()
    subject = subject.cast(dtype)
    clean = performance.measure(subject)
    if not math.isfinite(clean["loss"] or 0):
        raise InterpError(
            f"{subject.name}: the loss is {clean['loss']} before anything is ablated: look for NaN in the weights"
        )
    frames = []
    for name, one_basis, one_groups, labels in _components(subject, kind, basis, site, groups):
        effects = measure(
            subject,
            make_bank(subject, name, one_basis, one_groups, value),
            max_bytes=max_bytes,
            progress=progress,
        )
        frames.append(_frame(effects, clean, name, labels, baseline=False))
        if baseline is not None:
            directions, together, names = _random(subject, name, len(one_groups[0]), n_baseline, seed)
            bank = make_bank(subject, name, directions, together, value)
            frames.append(_frame(measure(subject, bank, max_bytes=max_bytes), clean, name, names, baseline=True))
    frame = pd.concat(frames, ignore_index=True)
    frame.attrs = {"clean": clean, "value": repr(value), "sign": SIGN}
    return frame


Components = tuple[str, Basis | None, list[list[int]], list[str]]


def _components(
    subject: Subject,
    kind: Kind | None,
    basis: Basis | None,
    site: str | None,
    groups: Sequence[Sequence[int]] | None,
) -> list[Components]:
    """Site, basis, groups and labels of everything that is to be ablated."""
    model = subject.model
    if basis is not None:
        if kind is not None or site is None:
            raise InterpError("ablate takes a kind, or a basis with the site where its directions lie")
        together = [list(g) for g in groups] if groups is not None else [[i] for i in range(len(basis))]
        labels = [" + ".join(basis.names[i] for i in g) for g in together]
        return [(s.name, basis, together, labels) for s in resolve_sites(model, site)]
    kind = kind or "neurons"
    if kind not in SITES:
        raise UnknownName(unknown("kind of component", kind, SITES))
    try:
        names = [s.name for s in resolve_sites(model, SITES[kind])]
    except UnknownName:
        raise InterpError(f"{subject.name}: a {type(model).__name__} of this config has no {kind} to ablate") from None
    wanted = names if site is None else [s.name for s in resolve_sites(model, site) if s.name in names]
    if not wanted:
        raise InterpError(f"{site!r} holds no {kind}; they are at {', '.join(names)}")
    found: list[Components] = []
    for layer, name in enumerate(names):
        if name not in wanted:
            continue
        width, size = _widths(subject, name, kind)
        together = [list(range(i, i + size)) for i in range(0, width, size)]
        letter = {"neurons": "N", "heads": "H"}.get(kind)
        labels = [f"L{layer}{letter}{i}" for i in range(len(together))] if letter else [f"L{layer} {kind}"]
        found.append((name, None, together, labels))
    return found


def _widths(subject: Subject, site: str, kind: str) -> tuple[int, int]:
    """The site's features, flattened, and how many of them one component has."""
    one = capture(subject.model, subject.require_task().inputs[:1], site)[site]
    axes = subject.model.axes_of(site)
    width = one.shape[-1] * (one.shape[-2] if "head" in axes else 1)
    return width, {"neurons": 1, "heads": one.shape[-1]}.get(kind, width)


def _random(subject: Subject, site: str, size: int, n: int, seed: int) -> tuple[Basis, list[list[int]], list[str]]:
    """Random subspaces of the same size in the same space, orthogonal to each other: as many as fit, at most n."""
    dim, _ = _widths(subject, site, "neurons")
    if size >= dim:
        raise InterpError(f"a random baseline of {size} directions at {site} would be all of its {dim} dimensions")
    count = max(1, min(n, dim // size))
    together = [list(range(i * size, (i + 1) * size)) for i in range(count)]
    return Basis.random(count * size, dim, seed), together, [f"random {i}" for i in range(count)]


def _frame(
    effects: Effects,
    clean: dict[str, float | int | None],
    site: str,
    labels: Sequence[str],
    *,
    baseline: bool,
) -> pd.DataFrame:
    total = sum(effects.sizes)
    correct = effects.correct.sum(1)
    frame = pd.DataFrame(
        {"component": labels, "site": site, "index": range(len(labels)), "baseline": baseline, "loss": effects.loss(),
         "train_loss": effects.loss(0), "test_loss": effects.loss(1), "correct": correct.tolist()}
    )  # fmt: skip
    frame.insert(7, "loss_change", frame["loss"] - float(clean["loss"] or 0))
    frame["accuracy"] = frame["correct"] / total
    frame["accuracy_change"] = frame["accuracy"] - int(clean["correct"] or 0) / total
    return frame


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
    for kind in SITES:
        if not any(s.endswith(SITES[kind].lstrip("*")) for s in subject.model.hook_dict):
            continue
        comparable: Literal["random"] | None = "random" if baseline and kind in ("neurons", "heads") else None
        frames[kind] = ablate(
            subject,
            kind,
            value=VALUES[value],
            baseline=comparable,
            n_baseline=baseline,
        )
    if not frames:
        result.headline = "the network has no components that can be ablated one by one"
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
