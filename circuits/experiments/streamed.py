"""Ablation over a loader: batch after batch, none kept, with the numbers of one batch of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from circuits.engine.algebra import coordinates_of, settle
from circuits.engine.components import Components
from circuits.engine.effects import Effects, Progress, measure
from circuits.engine.evaluation import Evaluation, make_evaluation, outputs_of
from circuits.interventions.layout import Features
from circuits.interventions.values import Mean, Resample, Settled, Value
from circuits.metrics import FunctionMetric, Metric, MetricLike
from interp.activations.capture import capture
from interp.activations.loaders import Batch, Loader
from interp.errors import InterpError, MissingCapability
from interp.sites import find_axis
from interp.subject import Subject
from interp.tasks import Examples


@dataclass
class Stream:
    """A network and a loader whose batches it is judged on.

    Args:
        subject: the network; the loss of its examples is used, if it has any.
        loader: gives the batches.
        metric: in addition to loss and accuracy where batches have targets.
        dtype: the network runs in this.
    """

    subject: Subject
    loader: Loader
    metric: MetricLike | None
    dtype: torch.dtype | None

    def __post_init__(self) -> None:
        self.subject = self.subject.cast(self.dtype)

    def evaluations(self) -> Iterator[Evaluation]:
        """The evaluation of each batch, in the loader's order.

        Yields:
            a batch's inputs with its targets as the examples of a task.
        """
        for batch in self.loader:
            yield self.evaluation(batch)

    def evaluation(self, batch: Batch) -> Evaluation:
        """A batch's inputs and targets, ready for changed runs.

        Args:
            batch: of the loader.

        Returns:
            its evaluation.

        Raises:
            MissingCapability: neither targets nor a metric.
            InterpError: targets that do not fit the loss or the metric.
        """
        if batch.targets is None:
            if self.metric is None:
                raise MissingCapability(
                    "the loader's batches have no targets: give batches (inputs, targets), or metric=, a function of the "
                    "model's outputs"
                )
            return make_evaluation(replace(self.subject, task=None), self.metric, batch.inputs, dtype=self.dtype)
        task = self._examples(batch)
        usual: list[MetricLike] = ["loss", "accuracy"] if task.answerable else ["loss"]
        known = self.metric is None or self.metric in usual
        metrics = usual if known or self.metric is None else [*usual, self.metric]
        return make_evaluation(replace(self.subject, task=task), metrics, dtype=self.dtype)

    def _examples(self, batch: Batch) -> Examples:
        targets, inputs, task = batch.targets, batch.inputs, self.subject.task
        assert targets is not None
        given = task.loss if isinstance(task, Examples) else None
        loss = given or ("regression" if targets.is_floating_point() else "cross_entropy")
        if loss == "regression" and targets.ndim == 1:
            targets = targets.unsqueeze(1)
        readout = task.readout if task is not None else None
        if loss not in ("cross_entropy", "mse"):
            return Examples(inputs, targets, loss=loss, readout=readout)
        width = outputs_of(self.subject.model, inputs[:1]).shape[
            -1
        ]  # the same for every batch, whichever classes it holds
        return Examples(inputs, targets, loss=loss, readout=readout, n_answers=width)


def first_pass(stream: Stream) -> tuple[tuple[Metric, ...], Tensor, Evaluation]:
    """Read the loader once: its metrics in the network as it is.

    Args:
        stream: network and loader.

    Returns:
        the metrics, their means over all inputs, and the first batch's evaluation.

    Raises:
        InterpError: a metric that judges all inputs together.
    """
    total, n, first = torch.zeros(0, dtype=torch.float64), 0, None
    for evaluation in stream.evaluations():
        if first is None:
            first = evaluation
            refuse_whole(evaluation)
        size = len(evaluation.inputs)
        sums = evaluation.run() * size
        total, n = (sums if n == 0 else total + sums), n + size
    assert first is not None  # an empty loader was refused
    return first.metrics, total / n, first


def refuse_whole(evaluation: Evaluation) -> None:
    """Refuse a metric without a value per input: the mean over batches would be another number."""
    outputs = evaluation.answers.outputs
    for metric in evaluation.metrics:
        if not metric.whole:
            continue
        if isinstance(metric, FunctionMetric) and outputs is not None:
            with torch.no_grad():
                if torch.as_tensor(metric.function(outputs())).ndim == 1:
                    continue
        raise InterpError(
            f"the metric {metric.name!r} judges all inputs together, which a loader does not hold at once; give a function "
            "that returns one value per input"
        )


def streamed_effects(
    stream: Stream, every: Sequence[tuple[Components, Value]], *, max_bytes: int, progress: Progress | None
) -> list[Effects]:
    """The metrics after every ablation, summed over the batches.

    Args:
        stream: network and loader.
        every: components of one site each, and the constant that replaces them.
        max_bytes: working memory.
        progress: called with (groups done in all batches, groups in all).

    Returns:
        the effects of each.
    """
    found: list[Effects | None] = [None] * len(every)
    total, done = len(stream.loader) * sum(len(c.groups) for c, _ in every), 0
    for evaluation in stream.evaluations():
        for place, (components, value) in enumerate(every):
            own = measure(evaluation, components, value, max_bytes=max_bytes)
            before = found[place]
            found[place] = own if before is None else _joined(before, own)
            done += len(components.groups)
            if progress is not None:
                progress(done, total)
    return [one for one in found if one is not None]


def _joined(a: Effects, b: Effects) -> Effects:
    return Effects(a.sums + b.sums, [m + n for m, n in zip(a.sizes, b.sizes, strict=True)])


def settled_over(stream: Stream, first: Evaluation, every: Sequence[Components], value: Value) -> list[Value]:
    """What replaces the components of each site, made of all batches.

    Args:
        stream: network and loader.
        first: the first batch's evaluation.
        every: components of one site each.
        value: a mean over the batch is taken over all batches; a reference set's and constants are as they are.

    Returns:
        a value for each, which is the same in every batch.

    Raises:
        InterpError: a value that is made of all inputs at once, or a site that fires several times.
    """
    if isinstance(value, Resample):
        raise InterpError(
            "Resample permutes all inputs, which a loader does not hold at once; ablate with mean or zero"
        )
    value = value.bound(stream.subject.task)
    if value.inputs is not None:
        return [settle(first, value, c.site, c.basis) for c in every]
    if not isinstance(value, Mean) or "batch" not in value.over:
        return [value] * len(every)
    if "pos" in value.over and any(c.site.pos is not None for c in every):
        raise InterpError(
            "over a loader a mean over 'pos' is one of all positions, not of those that the site selects; average over "
            "'batch' alone, or give reference inputs"
        )
    means = _means(stream, [c.site.name for c in every], value)
    model, settled = first.whole, []
    for components in every:
        mean = means[components.site.name]
        if components.basis is not None:
            mean = coordinates_of(Features(model.axes_of(components.site.name)).last(mean), components.basis)
        settled.append(Settled(mean, repr(value)))
    return settled


def _means(stream: Stream, names: Sequence[str], value: Mean) -> dict[str, Tensor]:
    """The mean of each site over the axes of a value, batches weighted by their sizes, in float64."""
    model, sums, counts = stream.subject.model, {}, {}
    for batch in stream.loader:
        acts = capture(model, batch.inputs, set(names))
        for name, act in acts.items():
            axes = model.axes_of(name)
            if act.ndim > len(axes):
                raise InterpError(
                    f"{name} fires several times in a forward pass: its mean cannot be taken over a loader"
                )
            dims = [find_axis(axis, axes, name) for axis in value.over]
            own = act.double().sum(dims, keepdim=True)
            if name in sums and sums[name].shape != own.shape:
                raise InterpError(f"{name} has different shapes in different batches; average over 'pos' too")
            sums[name] = sums.get(name, 0) + own
            counts[name] = counts.get(name, 0) + act.numel() // own.numel()
    return {name: (sums[name] / counts[name]).to(model.dtype) for name in sums}
