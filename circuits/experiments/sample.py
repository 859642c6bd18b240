"""Samples: the inputs that an experiment draws again, all at once or in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch

from circuits.engine.algebra import settle
from circuits.engine.budget import slices
from circuits.engine.components import Components
from circuits.engine.evaluation import Evaluation, make_evaluation
from circuits.experiments.streamed import Stream, first_pass, refuse_whole, settled_over
from circuits.interventions.values import Mean, Resample, Value
from circuits.metrics import MetricLike, make_metric
from interp.activations.loaders import Labels, Loader, is_loader
from interp.errors import InterpError
from interp.subject import Subject

On = Literal["test", "train", "all"]


@dataclass(frozen=True)
class Sample:
    """The inputs that are drawn again, in blocks.

    Attributes:
        first: the evaluation of the first block, or of all inputs.
        n: number of inputs.
        blocks: evaluations of all blocks, in the same order each time.
        settled: what replaces components, the same in every block.
        name: what the inputs are.
        value: what replaces components, as text.
    """

    first: Evaluation
    n: int
    blocks: Callable[[], Iterator[Evaluation]]
    settled: Callable[[Sequence[Components]], Sequence[Value]]
    name: str
    value: str


def sample_of(
    subject: Subject,
    metric: MetricLike | None,
    value: Value,
    which: tuple[On, Any, Labels],
    dtype: torch.dtype | None,
    rows: int,
) -> Sample:
    """The inputs that are drawn again.

    Args:
        subject: a network, with a task unless inputs and a metric replace it.
        metric: by default the task's loss.
        value: what replaces components.
        which: the set of a task's examples; inputs or a loader instead; which item of a loader's batch is its targets.
        dtype: the network runs in this.
        rows: most inputs in a block; a loader's batches are blocks as they are.

    Returns:
        the sample.

    Raises:
        InterpError: fewer than two inputs, or a value or metric of all inputs at once where they are in several blocks.
    """
    on, inputs, labels = which
    if is_loader(inputs):
        stream = Stream(subject, Loader(inputs, labels), metric, dtype)
        metrics, _, first = first_pass(stream)
        place = 0 if metric is None else [m.name for m in metrics].index(make_metric(metric).name)

        def alone(evaluation: Evaluation) -> Evaluation:
            return replace(evaluation, metrics=evaluation.metrics[place : place + 1])

        n = _enough(stream.loader.n_inputs)
        return Sample(
            alone(first), n, lambda: map(alone, stream.evaluations()),
            lambda every: settled_over(stream, first, every, value), "inputs of a loader", repr(value),
        )  # fmt: skip
    if labels is not None:
        raise InterpError("labels says where a loader's batches have their targets; a task knows those of a tensor")
    name = "inputs given"
    if inputs is None:
        inputs, value, name = *_held_out(subject, value, on), f"{on} examples"
    default = None if subject.task is None else "loss"
    whole = make_evaluation(subject, default if metric is None else metric, inputs, dtype=dtype)
    refuse_whole(whole)
    n = _enough(len(whole.inputs))
    parts = list(slices(n, max(1, rows)))
    if len(parts) == 1:
        return Sample(whole, n, lambda: iter([whole]), lambda every: [value] * len(every), name, repr(value))
    if isinstance(value, Resample):
        raise InterpError(
            "Resample permutes all inputs, whose draws do not fit into max_bytes at once; give more, or fewer n_boot"
        )
    constant = replace(value, reference=inputs) if isinstance(value, Mean) and value.reference is None else value
    return Sample(
        whole, n, lambda: (make_evaluation(subject, whole.metrics[0], inputs[part], dtype=dtype) for part in parts),
        lambda every: [settle(whole, constant, c.site, c.basis) for c in every], name, repr(value),
    )  # fmt: skip


def _held_out(subject: Subject, value: Value, on: On) -> tuple[Any, Value]:
    """A task's examples, and what replaces components: of held-out ones the mean of the training examples."""
    task = subject.require_task()
    chosen = {"test": task.test_indices, "train": task.train_indices, "all": torch.arange(len(task.inputs))}[on]
    if len(chosen) == 0:
        raise InterpError(f"{task.name} has no {on} examples: give on='all', or inputs")
    if on == "test" and len(task.train_indices) and isinstance(value, Mean) and value.reference is None:
        value = replace(value, reference="train")
    return task.inputs[chosen], value


def _enough(n: int) -> int:
    if n < 2:
        raise InterpError(f"an interval needs at least two inputs, got {n}")
    return n
