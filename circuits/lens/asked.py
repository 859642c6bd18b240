"""What a lens is asked: on which inputs, about which answers, at which positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from circuits.answers import Answers
from circuits.engine.arguments import require_batch
from circuits.engine.evaluation import answers_of
from interp.activations.batches import placed
from interp.errors import InterpError, MissingCapability, kind_of
from interp.hooked.base import HookedModel
from interp.subject import Subject, as_subject
from interp.tasks import Task

AnswersLike = Tensor | Literal["next"] | None


@dataclass(frozen=True)
class Asked:
    """A network, inputs and their answers.

    Attributes:
        name: of the network.
        model: in the dtype in which it runs.
        inputs: ``[n, pos]``.
        right: the answers, ``[n]`` or one for each position ``[n, pos]``; None where they are not known.
        wrong: answers that they are compared with, of the same shape.
        task: reads the outputs; None where there is none.
        untasked: the position where answers are read without a task: the only one that the network computes, or the last.
    """

    name: str
    model: HookedModel
    inputs: Tensor
    right: Tensor | None
    wrong: Tensor | None
    task: Task | None
    untasked: int = -1

    @property
    def readout(self) -> int:
        """The position where the answer is read."""
        return self.untasked if self.task is None or self.task.readout is None else self.task.readout

    @property
    def width(self) -> int | None:
        """How many of the outputs are answers; None for all."""
        return None if self.task is None else self.task.width

    def required(self) -> Tensor:
        """The answers, or an error that says how to give them.

        Returns:
            them, as given.

        Raises:
            MissingCapability: they are not known.
        """
        if self.right is None:
            raise MissingCapability(
                f"{self.name}: no task knows the answers to these inputs; give answers=, a tensor of an answer per input [n] or "
                'per position [n, pos], or "next" for the next token'
            )
        return self.right

    def at(self, answers: Tensor, position: int) -> Tensor:
        """The answers at one position ``[n]``."""
        return answers if answers.ndim == 1 else answers[:, position]

    def answers(self, position: int, rows: Tensor | slice, clean: Tensor) -> Answers:
        """What a metric may know of some inputs at one position.

        Args:
            position: of the outputs.
            rows: which inputs.
            clean: the network's own outputs there ``[n, out]``.

        Returns:
            the right and wrong answers, and the unchanged outputs.
        """
        right, wrong = (None if a is None else self.at(a, position)[rows] for a in (self.right, self.wrong))
        task = self.task if right is not None else None
        return Answers(right, wrong, task, lambda: clean, right)

    def positions(self, given: int | Sequence[int] | Literal["all"] | None) -> list[int]:
        """Positions from 0, of an argument.

        Args:
            given: one, several or ``"all"``; by default the readout, or every position where answers are known at each.

        Returns:
            them.

        Raises:
            InterpError: not positions of the inputs.
        """
        n = self.inputs.shape[1]
        last = n - 1 if self.right is None or self.right.ndim == 1 else self.right.shape[1]
        if given is None:
            given = [self.readout] if self.right is None or self.right.ndim == 1 else range(last)
        elif isinstance(given, str):
            if given != "all":
                raise InterpError(f"positions are whole numbers or 'all', got {given!r}")
            given = range(n if self.right is None or self.right.ndim == 1 else last)
        given = [given] if isinstance(given, int) else list(given)
        for one in given:
            if isinstance(one, bool) or not isinstance(one, int) or not -n <= one < n:
                raise InterpError(f"positions of these inputs are from {-n} to {n - 1}, got {one!r}")
        return [one % n for one in given]


def asked(
    subject: Subject | HookedModel,
    inputs: Tensor | None = None,
    answers: AnswersLike = None,
    wrong: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> Asked:
    """A network, inputs and their answers, once they are known to fit.

    Args:
        subject: a Subject or a hooked model.
        inputs: by default the task's examples.
        answers: by default the task's; a tensor, or ``"next"`` for the next token at every position.
        wrong: answers that they are compared with.
        dtype: the subject's precision by default.

    Returns:
        them.

    Raises:
        MissingCapability: neither inputs nor a task.
        InterpError: hooks are left on the model, or arguments of the wrong kind or shape.
    """
    subject = as_subject(subject)
    subject.refuse_hooks()
    subject, task = subject.cast(dtype), subject.task
    if inputs is None:
        inputs = subject.require_task().inputs
    else:
        require_batch(inputs, "inputs")
    subject.model.check_values(inputs)
    if len(inputs) == 0:
        raise InterpError("no inputs were given (the first axis has length 0)")
    right: Tensor | None
    if isinstance(answers, str):
        if answers != "next" or inputs.ndim != 2:
            raise InterpError(f"answers are a tensor, or 'next' for the next token of inputs [n, pos], got {answers!r}")
        right, task = inputs[:, 1:], None
    elif answers is not None:
        right = _indices(answers, "answers", inputs)
    else:
        right = None if task is None else answers_of(task, inputs)
        if right is not None and (right.ndim != 1 or right.is_floating_point()):
            raise MissingCapability(f"{subject.name}: the answers of {task} are not one of several logits")
    wrong = None if wrong is None else _indices(wrong, "wrong", inputs)
    if wrong is not None and right is not None and wrong.shape != right.shape:
        raise InterpError(f"wrong must have the shape of the answers {list(right.shape)}, got {list(wrong.shape)}")
    weight = getattr(subject.model, "W_U", None)
    n_out = task.width if task is not None else weight.shape[-1] if isinstance(weight, Tensor) else None
    for name, one in (("answers", right), ("wrong", wrong)):
        if one is not None and n_out is not None and len(outside := one[(one < 0) | (one >= n_out)]):
            raise InterpError(f"{name} hold {int(outside[0])}, and the network has {n_out} answers (0 to {n_out - 1})")
    model, own = subject.model.everywhere(), getattr(subject.model.config, "readout", None)
    return Asked(subject.name, model, placed(inputs, model), right, wrong, task, -1 if own is None else own)


def _indices(given: Tensor, name: str, inputs: Tensor) -> Tensor:
    if not isinstance(given, Tensor) or given.is_floating_point():
        raise InterpError(f"{name} must be a tensor of whole numbers, got {kind_of(given)}")
    if given.ndim not in (1, 2) or len(given) != len(inputs):
        raise InterpError(
            f"{name} must be one per input [{len(inputs)}], or per input and position, got {list(given.shape)}"
        )
    return given
