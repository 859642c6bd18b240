"""Pairs of runs, clean and corrupted, on one network: what patching and attribution compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from circuits.engine.evaluation import Evaluation, answers_of, outputs_of
from circuits.metrics import Answers, MetricLike, make_metric
from interp.activations.batches import fitting, placed
from interp.activations.capture import Activations, capture
from interp.errors import InterpError
from interp.hooked.base import HookedModel
from interp.sites import SitePattern, resolve_sites
from interp.subject import Subject


@dataclass(frozen=True)
class Pair:
    """Two batches of inputs, aligned one by one, and the metric that tells their runs apart.

    Attributes:
        evaluation: the corrupted inputs, judged by the metric as answers to the clean ones.
        clean: the clean inputs.
        source, base: the clean and the corrupted run at the sites that were asked for, with their ``outputs``.
        clean_value, corrupted_value: the metric's means in them.
    """

    evaluation: Evaluation
    clean: Tensor
    source: Activations
    base: Activations
    clean_value: float
    corrupted_value: float

    @property
    def corrupted(self) -> Tensor:
        return self.evaluation.inputs

    @property
    def attrs(self) -> dict[str, object]:
        """What a table of effects says of itself."""
        metric = self.evaluation.metrics[0]
        return {
            "metric": metric.name, "clean": self.clean_value, "corrupted": self.corrupted_value,
            "sign": f"{metric.name} with the clean run's activation patched into the corrupted run; recovered is 0 at the "
                    "corrupted run's value and 1 at the clean run's",
        }  # fmt: skip

    def recovered(self, value: Tensor) -> Tensor:
        """0 at the corrupted run's value, 1 at the clean run's; NaN where the two are the same."""
        gap = self.clean_value - self.corrupted_value
        return (value - self.corrupted_value) / (gap if gap else torch.nan)


def make_pair(
    subject: Subject,
    clean: Tensor,
    corrupted: Tensor,
    metric: MetricLike,
    *,
    sites: SitePattern,
    beside: Callable[[HookedModel], Sequence[str]] | None = None,
    dtype: torch.dtype | None = None,
) -> Pair:
    """Check that two batches align, run both, and find what answers a metric may know of them.

    Args:
        sites: whose whole hook points are captured in both runs.
        beside: what of the corrupted run is captured besides, given the model.

    The right answers are the clean inputs' labels, and the wrong ones that ``logit_diff`` sets against them the corrupted
    inputs', where both are examples of the subject's task.

    Raises:
        InterpError: inputs of different shapes or kinds, none, or the same twice; a metric whose value is not finite; hooks
            that somebody left on the model.
    """
    for name, given in (("clean", clean), ("corrupted", corrupted)):
        if not isinstance(given, Tensor):
            raise InterpError(f"{name} inputs must be a tensor [batch, ...], got {type(given).__name__}")
    if clean.shape != corrupted.shape or clean.is_floating_point() != corrupted.is_floating_point():
        raise InterpError(
            f"clean and corrupted inputs do not align: {list(clean.shape)} {clean.dtype} and {list(corrupted.shape)} "
            f"{corrupted.dtype}; each corrupted input belongs to the clean one in its place"
        )
    if len(clean) == 0:
        raise InterpError("no clean and corrupted inputs were given (the first axis has length 0)")
    if torch.equal(clean.cpu(), corrupted.cpu()):
        raise InterpError("clean and corrupted inputs are the same, so there is nothing to patch")
    subject.refuse_hooks()
    subject, task, one = subject.cast(dtype), subject.task, make_metric(metric)
    model = subject.model
    clean, corrupted = placed(clean, model), placed(corrupted, model)
    labels = None if task is None else answers_of(task, clean)
    others = None if task is None else answers_of(task, corrupted)
    plain = labels is not None and labels.ndim == 1 and not labels.is_floating_point()
    answers = Answers(
        labels if plain else None, others if plain else None, task, lambda: outputs_of(model, clean), labels
    )
    parts = torch.ones(len(clean), 1, dtype=torch.float64, device=model.device)
    evaluation = Evaluation(model, model, corrupted, (one,), answers, parts)
    points = {s.name for s in resolve_sites(model, sites)}
    wanted = [] if beside is None else list(beside(model))
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
                f"{subject.name}: the {one.name} of the {name} run is {values[-1]}: look for NaN in the weights"
            )
    return Pair(evaluation, clean, source, base, values[0], values[1])
