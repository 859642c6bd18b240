"""The losses of the suite: each per example, and when an answer counts as correct."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import override

from interp._util.registry import Registered
from interp.errors import InterpError
from interp.tasks.loss import Loss
from interp.tasks.probabilities import CrossEntropy, Scores, StableMax

LossClass = TypeVar("LossClass", bound=type[Loss])
__all__ = [
    "BCE", "LOSSES", "CrossEntropy", "EffectiveLoss", "Hinge", "OneHotMSE", "Regression", "StableMax", "VectorMSE", "make_loss",
    "register_loss",
]  # fmt: skip


class OneHotMSE(Scores):
    """Mean over the answers of the squared distance to one-hot.

    >>> OneHotMSE()(torch.tensor([[0.5, 0.0]]), torch.tensor([0]))  # (0.25 + 0) / 2
    tensor([0.1250])
    """

    name = "mse"

    @override
    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return (outputs - F.one_hot(labels, outputs.shape[-1]).to(outputs.dtype)).square().mean(-1)

    @override
    def gradient(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return (outputs - F.one_hot(labels, outputs.shape[-1]).to(outputs.dtype)).mul_(2 / outputs.shape[-1])


@dataclass(frozen=True)
class VectorMSE(Loss):
    """Mean squared distance to a fixed vector per answer, random or given; the nearest is the network's answer.

    The vectors are normal, ``dim``-dimensional, drawn in float32 from ``seed``: the toy model of Liu et al. 2022, Towards
    Understanding Grokking: An Effective Theory of Representation Learning, https://arxiv.org/abs/2205.10343

    Attributes:
        n_answers: number of vectors.
        dim: of each.
        seed: of their random numbers.
        targets: the vectors themselves, ``[answer][dim]``; None: they are drawn.
    """

    name: ClassVar[str] = "vectors"
    independent: ClassVar[bool] = True

    n_answers: int
    dim: int = 30
    seed: int = 0
    targets: tuple[tuple[float, ...], ...] | None = field(default=None, repr=False)

    @classmethod
    @override
    def for_answers(cls, n_answers: int) -> Self:
        return cls(n_answers)

    @classmethod
    @override
    def for_targets(cls, n_answers: int, targets: Tensor) -> Self:
        if len(targets) != n_answers or not targets.shape[1]:
            raise InterpError(
                f"targets must have a row for each of the {n_answers} answers, [{n_answers}, dim], got {list(targets.shape)}"
            )
        return cls(n_answers, targets.shape[1], targets=tuple(map(tuple, targets.double().tolist())))

    @override
    def width(self, n_answers: int) -> int:
        return self.dim

    def vectors(self, like: Tensor) -> Tensor:
        """``[n_answers, dim]`` on the device and in the dtype of ``like``."""
        key = (like.device, like.dtype)
        cache: dict[tuple[torch.device, torch.dtype], Tensor] = vars(self).setdefault("_vectors", {})
        if key not in cache:
            cache[key] = self._drawn().to(like)
        return cache[key]

    def _drawn(self) -> Tensor:
        if self.targets is not None:
            return torch.tensor(self.targets, dtype=torch.float64)
        return torch.randn(self.n_answers, self.dim, generator=torch.Generator().manual_seed(self.seed))

    @override
    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return (outputs - self.vectors(outputs)[labels]).square().mean(-1)

    @override
    def gradient(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return (outputs - self.vectors(outputs)[labels]).mul_(2 / self.dim)

    @override
    def correct(self, outputs: Tensor, labels: Tensor) -> Tensor:
        vectors = self.vectors(outputs)
        # |o - y|^2 without |o|^2, which is the same for every y
        distances = vectors.square().sum(-1) - 2 * outputs @ vectors.T
        return (distances.argmin(-1) == labels) & outputs.isfinite().all(-1)


class Hinge(Loss):
    """``max(0, 1 - label * output)`` of one output and labels -1 or 1; the sign is the network's answer.

    >>> Hinge()(torch.tensor([[0.25], [2.0]]), torch.tensor([1, -1]))
    tensor([0.7500, 3.0000])
    """

    name = "hinge"
    independent = True

    @override
    def width(self, n_answers: int) -> int:
        return 1

    @override
    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return F.relu(1 - labels * outputs[..., 0])

    @override
    def gradient(self, outputs: Tensor, labels: Tensor) -> Tensor:
        own = outputs[..., 0]
        return torch.where(1 - labels * own > 0, -labels.to(own.dtype), 0.0).unsqueeze(-1)

    @override
    def correct(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return labels * outputs[..., 0] > 0


class BCE(Loss):
    """Binary cross-entropy of one logit and labels 0 or 1 (-1 counts as 0).

    >>> BCE()(torch.tensor([[0.0]]), torch.tensor([1]))  # log 2
    tensor([0.6931])
    """

    name = "bce"
    independent = True

    @override
    def width(self, n_answers: int) -> int:
        return 1

    @override
    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return F.softplus(torch.where(labels > 0, -outputs[..., 0], outputs[..., 0]))

    @override
    def correct(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return torch.where(labels > 0, outputs[..., 0], -outputs[..., 0]) > 0


@dataclass(frozen=True)
class EffectiveLoss(Loss):
    """``l / Z``: l sums ``|f(x) - f(y)|^2`` over all pairs with one label, Z sums ``|f(x)|^2``.

    Minimising it collapses each class to its mean; its gradient is orthogonal to f, so a gradient flow conserves Z.
    It is spread over the examples (each has half of its pairs) and multiplied by n, so that the mean over examples is l / Z.
    The nearest class mean is the network's answer. It depends on the whole batch that it is given.

    Liu et al. 2022, Towards Understanding Grokking: An Effective Theory of Representation Learning (appendix),
    https://arxiv.org/abs/2205.10343

    Attributes:
        n_answers: number of classes.
        dim: outputs of the network.

    >>> f = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]])  # one pair of label 0: |f0 - f1|^2 = 2; Z = 6
    >>> EffectiveLoss(2)(f, torch.tensor([0, 0, 1])).mean()
    tensor(0.3333)
    """

    name: ClassVar[str] = "effective"
    separable: ClassVar[bool] = False

    n_answers: int
    dim: int = 2

    @classmethod
    @override
    def for_answers(cls, n_answers: int) -> Self:
        return cls(n_answers)

    @override
    def width(self, n_answers: int) -> int:
        return self.dim

    @override
    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        members = F.one_hot(labels, self.n_answers).to(outputs.dtype)  # [..., n, class]
        square = outputs.square().sum(-1, keepdim=True)
        count, squares = members.sum(-2, keepdim=True), (members * square).sum(-2, keepdim=True)
        sums = members.mT @ outputs  # [..., class, width]
        # sum over y of |x - y|^2 = count |x|^2 - 2 x . sum y + sum |y|^2
        pairs = (members * (count * square - 2 * outputs @ sums.mT + squares)).sum(-1)
        return pairs / 2 * outputs.shape[-2] / square.sum(-2)

    @override
    def correct(self, outputs: Tensor, labels: Tensor) -> Tensor:
        finite = outputs.isfinite().all(
            -1, keepdim=True
        )  # outputs that are not finite are wrong, and left out of the class means
        outputs = torch.where(finite, outputs, 0)
        members = F.one_hot(labels, self.n_answers).to(outputs.dtype) * finite
        count = members.sum(-2)
        means = (members.mT @ outputs) / count.clamp(min=1).unsqueeze(-1)
        distances = means.square().sum(-1).unsqueeze(-2) - 2 * outputs @ means.mT
        distances = distances.masked_fill((count == 0).unsqueeze(-2), torch.inf)
        return (distances.argmin(-1) == labels) & finite.squeeze(-1)


class Regression(Loss):
    """Mean squared error to targets ``[..., n, width]``, such as the colours of an image; no answer is correct or wrong."""

    name = "regression"
    answers = False

    @override
    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        return (outputs - labels).square().mean(-1)

    @override
    def correct(self, outputs: Tensor, labels: Tensor) -> None:
        return None


def _fault(name: str, value: Any) -> str | None:
    """Why a class cannot be used as a loss under a name."""
    if not (isinstance(value, type) and issubclass(value, Loss)):
        return f"a loss is a subclass of interp.tasks.Loss, this is {value!r}"
    if getattr(value, "name", None) != name:
        return f"{value.__name__}.name is {getattr(value, 'name', None)!r}"
    if inspect.isabstract(value):
        return f"{value.__name__} does not implement {', '.join(sorted(value.__abstractmethods__))}"
    return None


LOSSES: Registered[type[Loss]] = Registered("interp.losses", "loss", _fault)


def register_loss(cls: LossClass) -> LossClass:
    """Register a loss for this process, as in a notebook; usable as a decorator.

    An installed package registers its losses as entry points in the group ``interp.losses``.

    Args:
        cls: the loss.

    Returns:
        The class.

    Raises:
        InterpError: the class lacks something that a loss needs, or an installed package has taken its name.
    """
    LOSSES.add(getattr(cls, "name", getattr(cls, "__name__", "?")), cls)
    return cls


def make_loss(name: str, n_answers: int, targets: Tensor | None = None) -> Loss:
    """A loss by its name.

    Args:
        name: as registered.
        n_answers: how many answers the task has.
        targets: a vector per answer ``[answer, dim]``, for a loss that takes them.

    Returns:
        The loss for that many answers.

    Raises:
        UnknownName: no such loss; the nearest are named.
        InterpError: it is registered, but cannot be loaded; targets that it does not take, or that do not fit.
    """
    found = LOSSES.find(name)
    return found.for_answers(n_answers) if targets is None else found.for_targets(n_answers, targets)
