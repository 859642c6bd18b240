"""Ablation: how much each component of a network is needed, measured in one call."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import pandas as pd
import torch
from torch import Tensor

from circuits.engine.arguments import require_progress, require_whole
from circuits.engine.budget import DEFAULT_BYTES
from circuits.engine.components import Components, Kind, find_components, random_components
from circuits.engine.components import by_position as at_each_position
from circuits.engine.effects import Effects, Progress, measure
from circuits.engine.evaluation import Evaluation, make_evaluation
from circuits.experiments.streamed import Stream, first_pass, settled_over, streamed_effects
from circuits.findings import EffectTable
from circuits.interventions.values import DEFAULT, ValueLike, as_value
from circuits.metrics import AccuracyMetric, LossMetric, Metric, MetricLike, make_metric
from interp._util.bar import with_bar
from interp._util.estimate import told
from interp.activations.loaders import Labels, Loader, is_loader
from interp.errors import InterpError, UnknownName, unknown
from interp.hooked.base import HookedModel
from interp.hooked.foreign.several import Inputs
from interp.sites import Site
from interp.subject import Subject, as_subject
from probes.basis import Basis, as_basis
from probes.spectra import Reduction

P = ParamSpec("P")
R = TypeVar("R")


def _former_baseline(function: Callable[P, R]) -> Callable[P, R]:
    """``baseline="random", n_baseline=16`` is now ``n_random=16``; the former works for one version, with a warning."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if "baseline" in kwargs or "n_baseline" in kwargs:
            warnings.warn("ablate(baseline=, n_baseline=) is now ablate(n_random=)", DeprecationWarning, stacklevel=2)
            baseline, n = kwargs.pop("baseline", None), kwargs.pop("n_baseline", 16)
            if baseline not in (None, "random"):
                raise UnknownName(unknown("baseline", baseline, ("random",)))
            kwargs.setdefault("n_random", n if baseline else 0)
        return function(*args, **kwargs)

    return call


@_former_baseline
@with_bar
def ablate(
    subject: Subject | HookedModel,
    kind: Kind | None = None,
    *,
    value: ValueLike = DEFAULT,
    basis: Basis | Reduction | Tensor | None = None,
    site: str | Site | None = None,
    groups: Sequence[Sequence[int]] | None = None,
    by_position: bool = False,
    metric: MetricLike | None = None,
    inputs: Tensor | Inputs | Iterable[Any] | None = None,
    labels: Labels = None,
    n_random: int = 0,
    seed: int = 0,
    dtype: torch.dtype | None = None,
    max_bytes: int = DEFAULT_BYTES,
    progress: Progress | bool | None = None,
) -> EffectTable:
    """Ablate every component of a kind, one at a time, over the whole input table.

    Args:
        subject: a Subject, or a hooked model together with ``inputs`` and a function as ``metric``.
        kind: ``"neurons"`` (the default), ``"heads"``, ``"attention"`` or ``"mlp"`` (whole layers' outputs).
        value: what replaces the component: `Mean` (the default; also of a reference set), `Zero`, `Resample`, `Fixed`, or a
            name: ``"mean"``, ``"zero"``, ``"resample"``.
        basis: ablate the directions of a Basis (or of a PCA or SVD) at ``site`` instead of a kind.
        site: the hook point where ``basis`` lies, or whose features are ablated one by one; with a kind, only its hook
            points of that name or glob. A `Site` with ``pos`` ablates only at those positions.
        groups: indices of directions or features that are ablated together (all groups of one size); one by one by default.
        by_position: ablate each component at one position at a time, at all positions of its site or those of ``site``.
        metric: measured in addition to the task's loss and accuracy: ``"logit_diff"``, ``"kl"``, a registered name, a
            `Metric`, or a function of the model's outputs ``[batch, ...]`` that returns ``[batch]`` or one number. Its
            columns have its name; a lambda's are ``metric`` and ``metric_change``.
        inputs: run on these ``[batch, ...]`` instead of the task's examples; with a function as metric no task is needed. For
            a wrapped module that takes several tensors, a tuple or dict of them. Or a DataLoader, or another iterable of
            batches ``(inputs, targets)`` that can be read repeatedly: each batch is judged by its targets and none is kept.
        labels: of a loader: which item of a batch is its targets, an index or a key; by default the last of several, or what
            is called ``labels``, ``targets`` or ``y``; False: batches are inputs only.
        n_random: also ablate this many random directions (for heads: random subspaces of a head's size) of the same space,
            for comparison. If a component is the whole space there are none, and ``attrs["notes"]`` says so.
        seed: of the random directions.
        dtype: the model is computed in this, the subject's precision (float64) by default; losses are always float64.
        max_bytes: working memory in addition to the captured activations.
        progress: called with (groups done, groups in all) of the current site. By default a notebook shows a bar; False
            leaves it out.

    Returns:
        A DataFrame with a row per component: ``component, site, index, baseline`` (whether it is random), with ``by_position``
        also ``pos``; then for every metric its value and its change; of a task's whole table ``loss, train_loss, test_loss,
        loss_change`` (the task's unit, nats for cross-entropy) and ``correct, accuracy, accuracy_change``. ``attrs`` holds the
        clean values, the value used and what the sign of each change means. It follows `Findings`: ``.table``, ``.summary``,
        ``.figure()`` (by position a heat map), ``.save(path)``.

    Raises:
        MissingCapability: the subject has no task, and no inputs or metric replace it.
        UnknownName: a kind, metric or value that does not exist; the nearest are named.
        InterpError: the network has no component of that kind, hooks are left on the model, or an argument is of the wrong
            kind.

    The numbers are those of one forward pass per component. Misleads where components back each other up: each is ablated
    by itself, so two that do the same work both look idle. How to choose the value: Zhang and Nanda 2023, Towards Best
    Practices of Activation Patching, https://arxiv.org/abs/2309.16042.
    """
    subject, value = as_subject(subject), as_value(value)
    directions = None if basis is None else as_basis(basis)
    require_whole("n_random", n_random, 0)
    require_whole("seed", seed, 0)
    require_whole("max_bytes", max_bytes, 1)
    require_progress(progress)
    stream = Stream(subject, Loader(inputs, labels), metric, dtype) if is_loader(inputs) else None
    if stream is not None:
        metrics, clean, evaluation = first_pass(stream)
    else:
        if labels is not None:
            raise InterpError("labels says where a loader's batches have their targets; a task knows those of a tensor")
        given: Any = inputs
        evaluation = make_evaluation(subject, _metrics(subject, metric, given), given, dtype=dtype)
        metrics, clean = evaluation.metrics, evaluation.run()
    for one, number in zip(metrics, clean.tolist(), strict=True):
        if not math.isfinite(number):
            raise InterpError(
                f"{subject.name}: the {one.name} is {number} before anything is ablated; look for NaN in the weights"
            )
    notes = [*evaluation.notes]
    own = find_components(evaluation, kind, basis=directions, site=site, groups=groups)
    where = at_each_position(evaluation, own, site) if by_position else [(c, None) for c in own]
    every = _with_random(evaluation, where, n_random, seed, notes)
    if stream is not None:
        values = settled_over(stream, evaluation, [c for c, _, _ in every], value)
        pairs = [(c, v) for (c, _, _), v in zip(every, values, strict=True)]
        shown = told("ablations, in all batches", progress)
        found = streamed_effects(stream, pairs, max_bytes=max_bytes, progress=shown)
    else:
        found = [
            measure(
                evaluation,
                c,
                value,
                max_bytes=max_bytes,
                progress=told(f"ablations at {c.site.name}", None if random else progress),
            )
            for c, _, random in every
        ]
    frames = [
        _frame(metrics, e, clean, c, baseline=random, pos=pos) for e, (c, pos, random) in zip(found, every, strict=True)
    ]
    frame = pd.concat(frames, ignore_index=True)
    names = {m.name: float(v) for m, v in zip(metrics, clean, strict=True)}
    signs = "; ".join(m.sign for m in metrics)
    about: dict[str, Any] = {"value": repr(value), "sign": signs, **({"notes": notes} if notes else {})}
    return EffectTable.of(frame, clean=names, **about)


def _metrics(subject: Subject, metric: MetricLike | None, inputs: Tensor | None) -> list[MetricLike] | None:
    """The task's own metrics and the one asked for; None for the evaluation's default."""
    if metric is None:
        return None
    extra = make_metric(metric)
    usual: list[MetricLike] = []
    if inputs is None and subject.task is not None:
        usual = ["loss"] if subject.lacks(["answers"]) else ["loss", "accuracy"]
    return usual if extra in [make_metric(name) for name in usual] else [*usual, extra]


def _with_random(
    evaluation: Evaluation, own: Sequence[tuple[Components, int | None]], n: int, seed: int, notes: list[str]
) -> list[tuple[Components, int | None, bool]]:
    """Components, each site's followed by n random ones of their size where there are any; notes say where not."""
    every: list[tuple[Components, int | None, bool]] = []
    for components, pos in own:
        every.append((components, pos, False))
        if not n:
            continue
        random = random_components(evaluation, components, n, seed)
        if random is not None:
            every.append((random, pos, True))
            continue
        size = torch.as_tensor(components.groups).shape[1]
        note = (
            f"{components.site.name}: no random baseline, since {size} random "
            f"direction{'s' if size > 1 else ''} would be the whole space"
        )
        notes += [note] if note not in notes else []
    return every


def _frame(
    metrics: Sequence[Metric],
    effects: Effects,
    clean: Tensor,
    components: Components,
    *,
    baseline: bool,
    pos: int | None,
) -> pd.DataFrame:
    labels, site = components.labels, components.site.name
    frame = pd.DataFrame({"component": labels, "site": site, "index": range(len(labels)), "baseline": baseline})
    if pos is not None:
        frame["pos"] = pos
    split = len(effects.sizes) == 2
    for i, metric in enumerate(metrics):
        if isinstance(metric, AccuracyMetric):
            frame["correct"] = effects.count(i)
            # differences of whole numbers, so that one answer more or less is exactly that
            frame["accuracy"] = frame["correct"] / sum(effects.sizes)
            frame["accuracy_change"] = frame["accuracy"] - round(float(clean[i]) * sum(effects.sizes)) / sum(
                effects.sizes
            )
            continue
        frame[metric.name] = effects.mean(i)
        if split and isinstance(metric, LossMetric):
            frame["train_loss"], frame["test_loss"] = effects.mean(i, 0), effects.mean(i, 1)
        frame[f"{metric.name}_change"] = frame[metric.name] - float(clean[i])
    return frame
