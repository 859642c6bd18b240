"""Pairs of runs, clean and corrupted, of one network: what patching and attribution compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from circuits.answers import Answers
from circuits.engine.arguments import require_batch
from circuits.engine.evaluation import Evaluation, answers_of, outputs_of
from circuits.metrics import MetricLike, make_metric
from interp.activations.batches import fitting, placed, require_several
from interp.activations.capture import Activations, capture
from interp.activations.loaders import is_loader
from interp.errors import InterpError, kind_of
from interp.hooked.base import HookedModel
from interp.hooked.foreign.several import Inputs, as_inputs, form_of, same_inputs, shown_inputs
from interp.sites import SitePattern, resolve_sites
from interp.subject import Subject


@dataclass(frozen=True)
class Pair:
    """Two batches of inputs, aligned one by one, and the metric that compares their runs.

    Attributes:
        evaluation: the corrupted inputs, judged as answers to the clean ones.
        clean: the clean inputs.
        source: the clean run at the sites asked for, with its ``outputs``.
        base: the same of the corrupted run.
        clean_value: the metric's mean in the clean run.
        corrupted_value: its mean in the corrupted run.
    """

    evaluation: Evaluation
    clean: Any
    source: Activations
    base: Activations
    clean_value: float
    corrupted_value: float

    @property
    def corrupted(self) -> Any:
        """The corrupted inputs."""
        return self.evaluation.inputs

    @property
    def attrs(self) -> dict[str, object]:
        """What a table of effects keeps in its ``attrs``: the metric, both runs' values and what the sign means."""
        metric, notes = self.evaluation.metrics[0], list(self.evaluation.notes)
        return {
            "metric": metric.name, "clean": self.clean_value, "corrupted": self.corrupted_value,
            "sign": f"{metric.name} with the clean run's activation patched into the corrupted run; recovered is 0 at the "
                    "corrupted run's value and 1 at the clean run's",
            **({"notes": notes} if notes else {}),
        }  # fmt: skip

    def recovered(self, value: Tensor) -> Tensor:
        """The share of the difference that a value recovers: 0 for the corrupted run's value, 1 for the clean run's.

        Args:
            value: of the metric.

        Returns:
            the share, of the same shape; NaN where both runs have the same value.
        """
        gap = self.clean_value - self.corrupted_value
        return (value - self.corrupted_value) / (gap if gap else torch.nan)


def aligned(clean: Any, corrupted: Any) -> tuple[Any, Any]:
    """Refuse two batches of inputs that are not pairs.

    Args:
        clean: inputs ``[batch, ...]``.
        corrupted: another input for each of them, in the same row.

    Returns:
        both, as tensors or `Inputs`.

    Raises:
        InterpError: inputs of different shapes or kinds, none, or the same twice.
    """
    for name, given in (("clean", clean), ("corrupted", corrupted)):
        if is_loader(given):
            raise InterpError(
                f"the {name} inputs are {kind_of(given)}: patching and attribution compare two aligned batches; give tensors, "
                "or call them on each batch and average the effects"
            )
    clean, corrupted = as_inputs(clean), as_inputs(corrupted)
    require_batch(clean, "clean inputs")
    require_batch(corrupted, "corrupted inputs")
    if len(clean) != len(corrupted) or form_of(clean) != form_of(corrupted):
        raise InterpError(
            f"clean and corrupted inputs do not align: {shown_inputs(clean)} and {shown_inputs(corrupted)}; each "
            "clean input needs a corrupted one in the same row"
        )
    if len(clean) == 0:
        raise InterpError("no clean and corrupted inputs were given (the first axis has length 0)")
    if same_inputs(clean, corrupted):
        raise InterpError("clean and corrupted inputs are the same, so there is nothing to patch")
    return clean, corrupted


def make_pair(
    subject: Subject,
    clean: Any,
    corrupted: Any,
    metric: MetricLike,
    *,
    sites: SitePattern,
    corrupted_only: Callable[[HookedModel], Sequence[str]] | None = None,
    dtype: torch.dtype | None = None,
) -> Pair:
    """Check that two batches align, run both, and look up the answers that a metric may know.

    Where the inputs are examples of the subject's task, the correct answers are the clean inputs' labels, and ``logit_diff``
    compares them with the corrupted inputs' labels.

    Args:
        subject: the network, and its task if it has one.
        clean: inputs ``[batch, ...]``.
        corrupted: inputs aligned with the clean ones.
        metric: what the runs are compared by.
        sites: hook points that are captured whole in both runs.
        corrupted_only: given the model, hook points that are captured in the corrupted run in addition.
        dtype: the model runs in this, the subject's precision by default.

    Returns:
        both runs.

    Raises:
        InterpError: inputs of different shapes or kinds, none, or the same twice; a metric whose value is not finite; hooks
            left on the model.
    """
    clean, corrupted = aligned(clean, corrupted)
    subject.refuse_hooks()
    subject, task, one = subject.cast(dtype), subject.task, make_metric(metric)
    model = subject.model
    for given in (clean, corrupted):
        if isinstance(given, Inputs):
            require_several(model, given)
        else:
            model.check_values(given)
    clean, corrupted = placed(clean, model), placed(corrupted, model)
    labels = None if task is None else answers_of(task, clean)
    others = None if task is None else answers_of(task, corrupted)
    plain = labels is not None and labels.ndim == 1 and not labels.is_floating_point()
    answers = Answers(
        labels if plain else None, others if plain else None, task, partial(outputs_of, model, clean), labels
    )
    parts = torch.ones(len(clean), 1, dtype=torch.float64, device=model.device)
    evaluation = Evaluation(model, model, corrupted, (one,), answers, parts)
    points = {s.name for s in resolve_sites(model, sites)}
    wanted = [] if corrupted_only is None else list(corrupted_only(model))
    more = {s.name for s in resolve_sites(model, wanted)} if wanted else set()
    with fitting(model, clean):
        source = capture(model, clean, points, outputs=lambda outputs: outputs)
        base = capture(model, corrupted, points | more, outputs=lambda outputs: outputs)
    values = []
    for name, run in (("clean", source), ("corrupted", base)):
        assert run.outputs is not None
        values.append(float(evaluation.judge(run.outputs.unsqueeze(0)).mean()))
        if not abs(values[-1]) < torch.inf:
            raise InterpError(
                f"{subject.name}: the {one.name} of the {name} run is {values[-1]}; look for NaN in the weights"
            )
    return Pair(evaluation, clean, source, base, values[0], values[1])
