"""Answers: what a metric may know about the inputs of an experiment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from interp.errors import InterpError, MissingCapability
from interp.tasks import Task


@dataclass(frozen=True)
class Answers:
    """What a metric may know about the inputs that the network runs on.

    Attributes:
        right: the correct answer's index per input ``[n]``; None where it is not known.
        wrong: the wrong answer that it is compared with ``[n]``; None: the best of all others.
        task: reads the answer's logits from the model's output; without one the last position is read.
        outputs: computes the unchanged network's outputs ``[n, ...]``.
        labels: of the task's loss, if they differ from ``right``.
    """

    right: Tensor | None = None
    wrong: Tensor | None = None
    task: Task | None = None
    outputs: Callable[[], Tensor] | None = None
    labels: Tensor | None = None

    def read(self, outputs: Tensor) -> Tensor:
        """The answer's logits.

        Args:
            outputs: of k changed networks ``[k, n, (pos,) out]``.

        Returns:
            ``[k, n, width]``.

        Raises:
            InterpError: outputs that are not one vector of logits per input.
        """
        flat = outputs.flatten(0, 1)
        if self.task is not None:
            read = self.task.read(flat)
        else:
            read = flat[:, -1] if flat.ndim == 3 else flat
        if read.ndim == 3 and self.task is not None and self.task.readout is None:
            raise InterpError(
                f"the network answers at each of {read.shape[1]} positions: say where the task is read, as in "
                "interp.Examples(inputs, labels, readout=-1), or give the metric as a function of the output"
            )
        if read.ndim != 2:
            raise InterpError(
                f"an output of shape {list(outputs.shape[1:])} is not one vector of logits per input; give the metric as a "
                "function of the output"
            )
        return read.unflatten(0, outputs.shape[:2])

    def required(self, metric: str) -> Tensor:
        """The correct answers ``[n]``.

        Args:
            metric: the name of the metric that needs them, for the message.

        Returns:
            their indices.

        Raises:
            MissingCapability: they are not known; the message says how to give them.
        """
        if self.right is None:
            raise MissingCapability(
                f"the metric {metric!r} needs the correct answers, and no task knows these inputs: give "
                "metric=circuits.LogitDiff(right, wrong), or a function of the model's outputs"
            )
        return self.right

    @cached_property
    def clean(self) -> Tensor:
        """The unchanged network's log-probabilities ``[n, width]``, in float64."""
        assert self.outputs is not None
        return self.read(self.outputs().unsqueeze(0))[0].double().log_softmax(-1)
