"""Evaluations: which network runs on which inputs, and what its outputs are judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.answers import Answers
from circuits.engine.arguments import require_batch
from circuits.metrics import AccuracyMetric, LossMetric, Metric, MetricLike, make_metrics
from interp.activations.batches import batches, fitting, placed, require_several
from interp.errors import InterpError, MissingCapability, UnknownSite
from interp.hooked.base import HookedModel
from interp.hooked.foreign.guest import Guest
from interp.hooked.foreign.several import Inputs, as_inputs, rows_of, shapes_of_example
from interp.hooked.foreign.suffix import treats_examples_alone
from interp.subject import Subject, at_readout
from interp.tasks import Task

Arrival = tuple[str, Tensor | None]  # a site that the model resumes at, and rows along which a change arrives there


def arrival(model: HookedModel, site: str) -> Arrival | None:
    """Where a change at a site arrives, linearly, and along which rows (`HookedModel.writes`); None where that is not known."""
    try:
        return model.writes(site)
    except UnknownSite:
        return None


@dataclass(frozen=True)
class Evaluation:
    """A network, inputs and metrics, ready for changed runs.

    Attributes:
        model: as it runs; where a task reads one position, its last block is computed only there.
        whole: the model with every position.
        inputs: ``[n, ...]``, a tensor; for a wrapped module that takes several, `Inputs`.
        metrics: what outputs are judged by, each with a name of its own.
        answers: what the metrics may know.
        parts: which inputs count in which part ``[n, part]``: one part; with a task's whole table, train and test.
    """

    model: HookedModel
    whole: HookedModel
    inputs: Any
    metrics: tuple[Metric, ...]
    answers: Answers
    parts: Float[Tensor, "inputs parts"]
    _arrivals: dict[str, Arrival | None] = field(default_factory=dict, repr=False, compare=False)

    @property
    def task(self) -> Task | None:
        """The task that reads and judges the outputs, if there is one."""
        return self.answers.task

    @property
    def sizes(self) -> list[int]:
        """The number of inputs in each part."""
        return self.parts.sum(0).long().tolist()

    @cached_property
    def alone(self) -> bool:
        """Whether copies of the inputs may run in one batch: a wrapped module is tried (batch statistics, noise)."""
        return not isinstance(self.whole, Guest) or treats_examples_alone(self.whole, self.inputs)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the numbers must know of the network, such as in which mode a wrapped module was measured."""
        return tuple(getattr(self.whole, "notes", ()))

    def judge(self, outputs: Tensor, rows: slice = slice(None)) -> Float[Tensor, "k n metrics"]:
        """Values of every metric.

        Args:
            outputs: of k changed networks for the inputs in ``rows``, ``[k, n, ...]``.
            rows: which inputs; all by default.

        Returns:
            a float64 value per network, input and metric.
        """
        return torch.stack([m.values(outputs, rows, self.answers) for m in self.metrics], -1)

    def arrival(self, site: str) -> Arrival | None:
        """`arrival` in the model that runs, asked once per site."""
        if site not in self._arrivals:
            self._arrivals[site] = arrival(self.model, site)
        return self._arrivals[site]

    @torch.no_grad()
    def run(self) -> Float[Tensor, " metrics"]:
        """The metrics' means over all inputs in the network as it is, with any hooks that are installed."""
        return self.judge(outputs_of(self.model, self.inputs).unsqueeze(0)).mean((0, 1))


@torch.no_grad()
def outputs_of(model: HookedModel, inputs: Tensor | Inputs, batch_size: int = 4096) -> Tensor:
    """Outputs for all inputs, in batches."""
    with fitting(model, inputs):
        run = model.for_all(inputs)
        return torch.cat([run(placed(part, model)) for part in batches(inputs, batch_size)])


def make_evaluation(
    subject: Subject,
    metric: MetricLike | Sequence[MetricLike] | None = None,
    inputs: Any = None,
    *,
    wrong: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Evaluation:
    """The evaluation of a subject.

    Args:
        subject: the network, and its task if it has one.
        metric: one or several; by default the task's loss, and accuracy where its answers are right or wrong.
        inputs: run on these; by default all examples of the task. Correct answers are known for the task's examples.
        wrong: the wrong answers ``[n]`` that ``logit_diff`` compares with the correct ones.
        dtype: the subject's precision (float64) by default.

    Returns:
        network, inputs and metrics, ready for changed runs.

    Raises:
        MissingCapability: neither inputs nor a task, or neither a metric nor a task.
        InterpError: hooks are left on the model, or arguments of the wrong kind or shape.
    """
    inputs = as_inputs(inputs)
    if inputs is None:
        subject.require_task()
    else:
        require_batch(inputs, "inputs")
        if len(inputs) == 0:
            raise InterpError("no inputs were given (the first axis has length 0)")
    subject.refuse_hooks()
    subject, task = subject.cast(dtype), subject.task
    metrics = _metrics(metric, task)
    whole = subject.model
    if isinstance(inputs, Inputs):
        require_several(whole, inputs)
    elif inputs is not None:
        whole.check_values(inputs)
    labels = None if task is None else task.labels if inputs is None else answers_of(task, inputs)
    everywhere = any(m.everywhere for m in metrics)
    model = whole if task is None or everywhere else at_readout(whole, task)
    given = task.inputs if inputs is None and task is not None else inputs
    assert given is not None
    given = placed(given, model)
    parts = torch.ones(len(given), 1, dtype=torch.float64, device=model.device)
    if inputs is None and task is not None:
        parts = torch.zeros(len(given), 2, dtype=torch.float64, device=model.device)
        parts[task.train_indices.to(model.device), 0] = 1
        parts[task.test_indices.to(model.device), 1] = 1
    plain = labels is not None and labels.ndim == 1 and not labels.is_floating_point()
    answers = Answers(labels if plain else None, wrong, task, partial(outputs_of, model, given), labels)
    return Evaluation(model, whole, given, metrics, answers, parts)


def _metrics(given: MetricLike | Sequence[MetricLike] | None, task: Task | None) -> tuple[Metric, ...]:
    if given is None:
        if task is None:
            raise MissingCapability("no task is known: give metric=, a function of the model's outputs")
        return (LossMetric(), AccuracyMetric()) if task.answerable else (LossMetric(),)
    return make_metrics(given if isinstance(given, Sequence) and not isinstance(given, str) else [given])


def answers_of(task: Task, inputs: Tensor | Inputs) -> Tensor | None:
    """The labels that a task's examples have for these inputs; None if any of them is not an example."""
    examples: Tensor | Inputs = task.inputs
    if shapes_of_example(inputs) != shapes_of_example(examples):
        return None
    both = torch.cat([rows_of(examples, inputs), rows_of(inputs)])
    _, place = both.unique(dim=0, return_inverse=True)
    first = torch.full((int(place.max()) + 1,), -1)
    first[place[: len(task.inputs)]] = torch.arange(len(task.inputs))
    rows = first[place[len(task.inputs) :]]
    return None if bool((rows < 0).any()) else task.labels[rows]
