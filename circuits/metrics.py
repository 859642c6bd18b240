"""Metrics: what the outputs of a changed network are judged by, each with the direction in which it is better.

By name (``loss``, ``accuracy``, ``logit_diff``, ``kl``, and entry points of other packages in the group ``interp.metrics``),
as a `Metric`, or as a function of the model's outputs ``[batch, ...]`` that returns ``[batch]`` or one number.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from circuits.answers import Answers
from circuits.logit_diff import LogitDiff as LogitDiff
from circuits.metric import RESERVED as RESERVED
from circuits.metric import Metric as Metric
from interp._util.registry import Registered
from interp.errors import InterpError


@dataclass(frozen=True)
class LossMetric(Metric):
    """The task's loss in its own unit; without a task the cross-entropy in nats."""

    name = "loss"
    higher_is_better = False

    @override
    def values(self, outputs: Tensor, rows: slice, answers: Answers) -> Tensor:
        logits = answers.read(outputs)
        if answers.task is not None:
            labels = answers.required(self.name) if answers.labels is None else answers.labels
            return answers.task.losses(logits, labels[rows])
        right = answers.required(self.name)[rows].to(logits.device).expand(logits.shape[:-1])
        return F.cross_entropy(logits.double().flatten(0, 1), right.flatten(), reduction="none").reshape(right.shape)


@dataclass(frozen=True)
class AccuracyMetric(Metric):
    """Whether the answer is correct: 1 or 0."""

    name = "accuracy"

    @override
    def values(self, outputs: Tensor, rows: slice, answers: Answers) -> Tensor:
        logits = answers.read(outputs)
        if answers.task is not None:
            labels = answers.required(self.name) if answers.labels is None else answers.labels
            return answers.task.correct(logits, labels[rows]).double()
        return (logits.argmax(-1) == answers.required(self.name)[rows].to(logits.device)).double()


@dataclass(frozen=True)
class KLMetric(Metric):
    """Kullback-Leibler divergence KL(clean || changed) of the answers' probabilities, in nats, whether correct or not."""

    name = "kl"
    higher_is_better = False

    @override
    def values(self, outputs: Tensor, rows: slice, answers: Answers) -> Tensor:
        changed = answers.read(outputs).double().log_softmax(-1)
        clean = answers.clean[rows]
        terms = clean.exp() * (clean - changed)
        return torch.where(clean == -torch.inf, 0.0, terms).sum(-1)  # 0 ln 0 = 0


@dataclass(frozen=True)
class FunctionMetric(Metric):
    """Any function of the model's outputs ``[n, ...]`` that returns ``[n]``, or one number for all of them.

    Its name is the function's; a lambda is called ``metric``, and a name of another column (`RESERVED`) gets ``_metric``.

    Args:
        function: of the outputs.
        whole: whether it must see all inputs together, as one that returns a single number must.
        label: what it is called instead.
    """

    function: Callable[[Tensor], Tensor]
    whole: bool = True
    label: str | None = None
    higher_is_better = None

    @property
    def name(self) -> str:  # type: ignore[override]
        """The label, or the function's name."""
        return self.label or _name_of(self.function)

    @override
    def values(self, outputs: Tensor, rows: slice, answers: Answers) -> Tensor:
        n = outputs.shape[1]
        found = [self._number(self.function(one)) for one in outputs]
        if found[0].shape not in ((), (n,)):
            raise InterpError(
                f"the metric {self.name!r} returned shape {list(found[0].shape)} for {n} inputs; it must return a value "
                f"per input, [{n}], or one number"
            )
        return torch.stack([f.double().expand(n) for f in found])

    def _number(self, found: Any) -> Tensor:
        if not isinstance(found, (Tensor, Real, np.ndarray, np.generic)):
            raise InterpError(f"the metric {self.name!r} returned {found!r}; it must return numbers, [batch] or one")
        return torch.as_tensor(found)


def _name_of(function: Callable[..., Any]) -> str:
    while isinstance(function, partial):
        function = function.func
    name = getattr(function, "__name__", type(function).__name__)
    if name == "<lambda>":
        return "metric"
    return f"{name}_metric" if name in RESERVED else name


def _fault(name: str, value: Any) -> str | None:
    """Why the value of an entry point cannot be used as a metric."""
    if isinstance(value, type) and issubclass(value, Metric):
        if inspect.isabstract(value):
            return f"{value.__name__} does not implement {', '.join(sorted(value.__abstractmethods__))}"
        try:
            value = value()
        except TypeError as error:
            return f"{value.__name__} cannot be made without arguments ({error}); register an instance"
    if not isinstance(value, Metric):
        return f"a metric is a circuits.Metric or a subclass of it, this is {value!r}"
    own = getattr(value, "name", None)
    if own in RESERVED:
        return f"{own!r} is a column of the tables; choose another name"
    return None if own == name else f"{type(value).__name__}.name is {own!r}"


METRICS: Registered[Metric | type[Metric]] = Registered("interp.metrics", "metric", _fault)
MetricLike = str | Metric | Callable[[Tensor], Tensor]


def make_metric(given: MetricLike) -> Metric:
    """A metric by name, as it is, or around a function.

    Args:
        given: the name of a metric, of the suite or of an installed package; a `Metric`; or a function of the model's outputs
            ``[batch, ...]`` that returns ``[batch]`` or one number.

    Returns:
        the metric.

    Raises:
        UnknownName: no metric of that name; the nearest are named.
        InterpError: a registered metric that cannot be loaded, a `Metric` class that needs arguments, a function that
            needs more than the outputs, or anything else.

    >>> make_metric("accuracy").sign
    'accuracy_change = changed minus clean: negative means that the changed part was needed'
    >>> make_metric(lambda outputs: outputs.std(-1)).name
    'metric'
    """
    if isinstance(given, Metric):
        return given
    if isinstance(given, str):
        found = METRICS.find(given)
        return found() if isinstance(found, type) else found
    if isinstance(given, type) and issubclass(given, Metric):
        if (fault := _fault(getattr(given, "name", ""), given)) is not None:
            raise InterpError(f"give an instance of the metric {given.__name__}: {fault}")
        return given()
    if not callable(given) or isinstance(given, (type, nn.Module)):
        raise InterpError(
            f"a metric is a name ({', '.join(METRICS)}), a Metric or a function of the model's outputs, got {given!r}"
        )
    _check_arguments(given)
    return FunctionMetric(given)


def _check_arguments(function: Callable[..., Any]) -> None:
    """Refuse a function that needs more than the outputs, such as the labels."""
    try:
        needed = inspect.signature(function)
    except (TypeError, ValueError):  # of a builtin it is not known
        return
    try:
        needed.bind(None)
    except TypeError:
        name = _name_of(function)
        raise InterpError(
            f"the metric {name!r} is called with the model's outputs alone, [batch, ...], and takes {needed}; labels and the "
            "like it gets from around it, as in lambda outputs: function(outputs, labels)"
        ) from None


def make_metrics(given: Sequence[MetricLike]) -> tuple[Metric, ...]:
    """Several metrics, each with a name of its own: a function whose name is taken gets a number.

    Args:
        given: what `make_metric` takes, at least one.

    Returns:
        the metrics.

    Raises:
        UnknownName: no metric of that name; the nearest are named.
        InterpError: no metric at all, two of one name, or something that is not a metric.

    >>> [m.name for m in make_metrics(["loss", lambda out: out.mean(-1), lambda out: out.std(-1)])]
    ['loss', 'metric', 'metric_2']
    """
    metrics: list[Metric] = []
    for one in map(make_metric, given):
        taken = {m.name for m in metrics}
        if one.name in taken:
            if not isinstance(one, FunctionMetric):
                raise InterpError(f"two metrics are called {one.name!r}; measure them one after the other")
            number = next(i for i in range(2, len(taken) + 3) if f"{one.name}_{i}" not in taken)
            one = replace(one, label=f"{one.name}_{number}")
        metrics.append(one)
    if not metrics:
        raise InterpError(f"no metric was given; give one or several, such as {', '.join(METRICS)}")
    return tuple(metrics)
