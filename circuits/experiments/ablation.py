"""Ablation: the effect of every component of a kind, in one call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import pandas as pd
import torch
from torch import Tensor

from circuits.engine.budget import DEFAULT_BYTES
from circuits.engine.components import Kind, find_components, random_components
from circuits.engine.effects import Effects, Progress, measure
from circuits.engine.evaluation import Evaluation, make_evaluation
from circuits.interventions.values import Mean, Value
from circuits.metrics import MetricLike, make_metric
from interp.errors import InterpError
from interp.sites import Site
from interp.subject import Subject
from probes.basis import Basis


def ablate(
    subject: Subject,
    kind: Kind | None = None,
    *,
    value: Value = Mean(),
    basis: Basis | None = None,
    site: str | Site | None = None,
    groups: Sequence[Sequence[int]] | None = None,
    metric: MetricLike | None = None,
    inputs: Tensor | None = None,
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
        value: what takes the component's place: `Mean` (also of a reference set), `Zero`, `Resample` or `Fixed`.
        basis: ablate the directions of a Basis at ``site`` instead of a kind.
        site: the hook point of ``basis``, or whose single features are ablated; with a kind, restricts it to hook points of
            that name or glob. A `Site` with ``pos`` ablates at those positions alone.
        groups: indices of directions or features that are ablated together (all groups of one size); one by one by default.
        metric: judged besides the loss and accuracy of the task: ``"logit_diff"``, ``"kl"``, a `Metric`, or a function of
            the model's outputs ``[batch, ...]`` that returns ``[batch]`` or one number.
        inputs: run on these ``[batch, ...]`` instead of the task's examples; with a function as metric no task is needed.
        baseline: ``"random"`` adds ``n_baseline`` random directions (for heads: random subspaces of a head's size) of
            the same space, ablated in the same way.
        dtype: the model is computed in this, the subject's precision (float64) by default; losses are float64 always.
        max_bytes: working memory besides the captured activations.
        progress: called with (groups done, groups in all) of the current site.

    Returns:
        A row per component: ``component, site, index, baseline``, then for every metric its value and its change; of a task's
        whole table ``loss, train_loss, test_loss, loss_change, correct, accuracy, accuracy_change``. ``attrs`` holds the
        clean values, the value used and what the sign of each change means.

    Raises:
        MissingCapability: the subject has no task, and no inputs or metric take its place.
        InterpError: the network has no component of that kind; a baseline that cannot be formed; hooks that somebody left on
            the model.

    The same numbers as one forward pass per component. Misleads where components back each other up: each is ablated
    alone, so two that do the same work both look idle.
    """
    evaluation = make_evaluation(subject, _metrics(subject, metric, inputs), inputs, dtype=dtype)
    clean = evaluation.run()
    for one, number in zip(evaluation.metrics, clean.tolist(), strict=True):
        if not math.isfinite(number):
            raise InterpError(
                f"{subject.name}: the {one.name} is {number} before anything is ablated: look for NaN in the weights"
            )
    frames = []
    for components in find_components(evaluation, kind, basis=basis, site=site, groups=groups):
        effects = measure(evaluation, components, value, max_bytes=max_bytes, progress=progress)
        frames.append(_frame(evaluation, effects, clean, components.site.name, components.labels, baseline=False))
        if baseline is not None:
            random = random_components(evaluation, components, n_baseline, seed)
            effects = measure(evaluation, random, value, max_bytes=max_bytes)
            frames.append(_frame(evaluation, effects, clean, random.site.name, random.labels, baseline=True))
    frame = pd.concat(frames, ignore_index=True)
    names = {m.name: float(v) for m, v in zip(evaluation.metrics, clean, strict=True)}
    signs = "; ".join(m.sign for m in evaluation.metrics)
    frame.attrs = {"clean": names, "value": repr(value), "sign": signs}
    return frame


def _metrics(subject: Subject, metric: MetricLike | None, inputs: Tensor | None) -> list[MetricLike] | None:
    """The task's own metrics and the one asked for; None where the evaluation's default serves."""
    if metric is None:
        return None
    extra = make_metric(metric)
    usual: list[MetricLike] = []
    if inputs is None and subject.task is not None:
        usual = ["loss"] if subject.lacks(["answers"]) else ["loss", "accuracy"]
    return usual if extra.name in usual else [*usual, extra]


def _frame(
    evaluation: Evaluation, effects: Effects, clean: Tensor, site: str, labels: Sequence[str], *, baseline: bool
) -> pd.DataFrame:
    frame = pd.DataFrame({"component": labels, "site": site, "index": range(len(labels)), "baseline": baseline})
    split = len(effects.sizes) == 2
    for i, metric in enumerate(evaluation.metrics):
        if metric.name == "accuracy":
            frame["correct"] = effects.count(i)
            # two roundings of whole numbers, so that an answer more or less is exactly that
            frame["accuracy"] = frame["correct"] / sum(effects.sizes)
            frame["accuracy_change"] = frame["accuracy"] - round(float(clean[i]) * sum(effects.sizes)) / sum(
                effects.sizes
            )
            continue
        frame[metric.name] = effects.mean(i)
        if split and metric.name == "loss":
            frame["train_loss"], frame["test_loss"] = effects.mean(i, 0), effects.mean(i, 1)
        frame[f"{metric.name}_change"] = frame[metric.name] - float(clean[i])
    return frame
