"""The contract of a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor

from interp.errors import InterpError


class Loss(ABC):
    """A loss per example, of outputs ``[..., n, width]`` and labels ``[..., n]``; leading axes are other networks.

    The loss of a batch is the mean over its examples. A subclass gives ``name``, ``__call__`` and `correct`, and is
    registered as an entry point in the group ``interp.losses``, or with `register_loss` for one process.

    Attributes:
        name: as in a spec and on the command line.
        logits: whether the outputs are one score per answer.
        answers: whether an answer is correct or wrong, so that accuracy is defined.
        shift_invariant: whether a number added to all outputs of an example leaves its loss as it is.
        independent: whether nothing about one answer follows from the others, so that an answer that no train example has cannot
            be learnt.
        separable: whether an example's loss depends only on that example.
        variant_of: name of another loss; tasks that list it may be trained on this one too.
        tasks: names of tasks that may be trained on it although they do not list it themselves.
    """

    name: ClassVar[str]
    logits: ClassVar[bool] = False
    answers: ClassVar[bool] = True
    independent: ClassVar[bool] = False
    separable: ClassVar[bool] = True
    shift_invariant: ClassVar[bool] = False
    variant_of: ClassVar[str] = ""
    tasks: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def for_answers(cls, n_answers: int) -> Self:
        """The loss for a task with ``n_answers`` answers, as in `Task.n_outputs`."""
        return cls()

    @classmethod
    def serves(cls, name: str, listed: Sequence[str]) -> bool:
        """Whether a task of a name that lists these losses may be trained on this one, although it is not among them."""
        return cls.variant_of in listed or name in cls.tasks

    @classmethod
    def for_targets(cls, n_answers: int, targets: Tensor) -> Self:
        """The loss with target vectors ``[answer, dim]`` that a user gives.

        Raises:
            InterpError: it has none, or they do not fit.
        """
        raise InterpError(
            f"targets are the vectors of the loss 'vectors'; the loss {cls.name!r} has none: give loss=vectors"
        )

    def width(self, n_answers: int) -> int:
        """Number of outputs that a network needs."""
        return n_answers

    @abstractmethod
    def __call__(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The loss of every example ``[..., n]``."""

    def gradient(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The gradient of the sum of all losses with respect to the outputs.

        Autograd computes it, unless a subclass knows it in closed form.

        Args:
            outputs: ``[..., n, width]``.
            labels: ``[..., n]``.

        Returns:
            A new tensor of the shape and dtype of ``outputs``.
        """
        with torch.enable_grad():
            leaf = outputs.detach().requires_grad_()
            return torch.autograd.grad(self(leaf, labels).sum(), leaf)[0]

    @abstractmethod
    def correct(self, outputs: Tensor, labels: Tensor) -> Tensor | None:
        """Whether every example is answered correctly (boolean ``[..., n]``); None where `answers` is False."""
