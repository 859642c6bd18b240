"""Metrics: what the outputs of a changed network are judged by, each with the direction in which it is better.

By name: ``loss``, ``accuracy``, ``logit_diff``, ``kl``; or a `Metric`; or any function of the model's outputs
``[batch, ...]`` that returns a value per input ``[batch]`` or one number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from interp.errors import InterpError, MissingCapability, UnknownName, unknown
from interp.tasks import Task


@dataclass(frozen=True)
class Answers:
    """What a metric may know of the inputs that the network is run on.

    Attributes:
        right: the right answer's index per input ``[n]``; None where nothing says it.
        wrong: the wrong answer that it is set against ``[n]``; None: the best of all others.
        task: reads the answer's logits from the model's output; without one the last position is read.
        outputs: gives the untouched network's outputs ``[n, ...]``.
        labels: of the task's loss, where they are other than ``right``.
    """

    right: Tensor | None = None
    wrong: Tensor | None = None
    task: Task | None = None
    outputs: Callable[[], Tensor] | None = None
    labels: Tensor | None = None

    def read(self, outputs: Tensor) -> Tensor:
        """The answer's logits ``[k, n, width]`` of outputs ``[k, n, (pos,) out]``."""
        flat = outputs.flatten(0, 1)
        if self.task is not None:
            read = self.task.read(flat)
        else:
            read = flat[:, -1] if flat.ndim == 3 else flat
        if read.ndim != 2:
            raise InterpError(
                f"an output of shape {list(outputs.shape[1:])} holds no logits per input; give the metric as a function of it"
            )
        return read.unflatten(0, outputs.shape[:2])

    def required(self, metric: str) -> Tensor:
        """The right answers, or an error that says how to give them."""
        if self.right is None:
            raise MissingCapability(
                f"the metric {metric!r} needs the right answers, and no task knows these inputs: give "
                "metric=circuits.LogitDiff(right, wrong), or a function of the model's outputs"
            )
        return self.right

    @cached_property
    def clean(self) -> Tensor:
        """The untouched network's log-probabilities ``[n, width]``, in float64."""
        assert self.outputs is not None
        return self.read(self.outputs().unsqueeze(0))[0].double().log_softmax(-1)


class Metric(ABC):
    """A number per input, of outputs ``[k, n, ...]``; the leading axis is k changed networks.

    Attributes:
        higher_is_better: whether the network does better where it is higher; None where that has no meaning.
        whole: whether all inputs must be judged together.
    """

    name: str
    higher_is_better: bool | None = True
    whole = False

    @abstractmethod
    def values(self, outputs: Tensor, rows: slice, answers: Answers) -> Tensor:
        """Float64 ``[k, n]``, of the inputs in ``rows``."""

    @property
    def sign(self) -> str:
        """What a change of it means, in words."""
        if self.higher_is_better is None:
            return f"{self.name}_change = changed minus clean"
        meaning = "negative" if self.higher_is_better else "positive"
        return f"{self.name}_change = changed minus clean: {meaning} means that what was changed was needed"


@dataclass(frozen=True)
class LossMetric(Metric):
    """The task's loss."""

    name = "loss"
    higher_is_better = False

    def values(self, outputs: Tensor, rows: slice, answers: Answers) -> Tensor:
        logits = answers.read(outputs)
        if answers.task is not None:
            labels = answers.required(self.name) if answers.labels is None else answers.labels
            return answers.task.losses(logits, labels[rows])
        right = answers.required(self.name)[rows].to(logits.device).expand(logits.shape[:-1])
        return F.cross_entropy(logits.double().flatten(0, 1), right.flatten(), reduction="none").reshape(right.shape)


@dataclass(frozen=True)
class AccuracyMetric(Metric):
    """Whether the answer is right: 1 or 0."""

    name = "accuracy"

    def values(self, outputs: Tensor, rows: slice, answers: Answers) -> Tensor:
        logits = answers.read(outputs)
        if answers.task is not None:
            labels = answers.required(self.name) if answers.labels is None else answers.labels
            return answers.task.correct(logits, labels[rows]).double()
        return (logits.argmax(-1) == answers.required(self.name)[rows].to(logits.device)).double()


@dataclass(frozen=True, eq=False)
class LogitDiff(Metric):
    """The right answer's logit minus a wrong one's, by default minus the largest of all others.

    Attributes:
        right: indices of answers ``[n]``; by default the labels of the task.
        wrong: indices of answers ``[n]``. In patching the corrupted inputs' labels by default.
    """

    right: Tensor | None = None
    wrong: Tensor | None = None
    name = "logit_diff"

    def values(self, outputs: Tensor, rows: slice, answers: Answers) -> Tensor:
        logits = answers.read(outputs)
        right = self._indices(self.right, answers.required(self.name) if self.right is None else None, logits, rows)
        own = logits.gather(-1, right).squeeze(-1).double()
        wrong = self.wrong if self.wrong is not None else answers.wrong
        if wrong is None:
            return own - logits.scatter(-1, right, -torch.inf).amax(-1).double()
        return own - logits.gather(-1, self._indices(wrong, None, logits, rows)).squeeze(-1).double()

    def _indices(self, given: Tensor | None, otherwise: Tensor | None, logits: Tensor, rows: slice) -> Tensor:
        indices = given if given is not None else otherwise
        assert indices is not None
        if indices.ndim != 1 or len(indices[rows]) != logits.shape[1] or indices.is_floating_point():
            raise InterpError(
                f"logit_diff takes an answer's index per input; got {indices.dtype} {list(indices.shape)}"
            )
        if int(indices.max()) >= logits.shape[-1] or int(indices.min()) < 0:
            raise InterpError(f"logit_diff: an answer of {int(indices.max())} among {logits.shape[-1]} outputs")
        return indices[rows].to(logits.device).expand(logits.shape[:2]).unsqueeze(-1)

    def __repr__(self) -> str:
        given = [n for n in ("right", "wrong") if getattr(self, n) is not None]
        return f"LogitDiff({', '.join(f'{n}=answers of {len(getattr(self, n))} inputs' for n in given)})"


@dataclass(frozen=True)
class KLMetric(Metric):
    """KL(clean || changed) of the answers' probabilities: how far the network's behaviour has moved, right or wrong."""

    name = "kl"
    higher_is_better = False

    def values(self, outputs: Tensor, rows: slice, answers: Answers) -> Tensor:
        changed = answers.read(outputs).double().log_softmax(-1)
        clean = answers.clean[rows]
        terms = clean.exp() * (clean - changed)
        return torch.where(clean == -torch.inf, 0.0, terms).sum(-1)  # 0 ln 0 = 0


@dataclass(frozen=True)
class FunctionMetric(Metric):
    """Any function of the model's outputs ``[n, ...]``; it returns ``[n]``, or one number for all of them."""

    function: Callable[[Tensor], Tensor]
    whole: bool = True  # a function that returns one number cannot be given the inputs in parts
    higher_is_better = None

    @property
    def name(self) -> str:  # type: ignore[override]
        return getattr(self.function, "__name__", type(self.function).__name__).strip("<>")

    def values(self, outputs: Tensor, rows: slice, answers: Answers) -> Tensor:
        n = outputs.shape[1]
        found = [torch.as_tensor(self.function(one)) for one in outputs]
        if found[0].shape not in ((), (n,)):
            raise InterpError(
                f"the metric {self.name!r} returned shape {list(found[0].shape)} for {n} inputs; it returns a value "
                f"per input, [{n}], or one number"
            )
        return torch.stack([f.double().expand(n) for f in found])


METRICS: dict[str, Metric] = {m.name: m for m in (LossMetric(), AccuracyMetric(), LogitDiff(), KLMetric())}
MetricLike = str | Metric | Callable[[Tensor], Tensor]


def make_metric(given: MetricLike) -> Metric:
    """A metric by name, as it is, or around a function.

    >>> make_metric("accuracy").sign
    'accuracy_change = changed minus clean: negative means that what was changed was needed'
    """
    if isinstance(given, Metric):
        return given
    if isinstance(given, str):
        if given not in METRICS:
            raise UnknownName(unknown("metric", given, METRICS))
        return METRICS[given]
    if not callable(given):
        raise InterpError(f"a metric is a name, a Metric or a function of the model's outputs, got {given!r}")
    return FunctionMetric(given)
