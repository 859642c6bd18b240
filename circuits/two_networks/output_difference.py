"""A metric of how far changed outputs lie from the unchanged network's own."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor
from typing_extensions import override

from circuits.answers import Answers
from circuits.metric import Metric


@dataclass(frozen=True, eq=False)
class OutputDifference(Metric):
    """Mean squared difference between what is read of the changed outputs and the unchanged ones, per input.

    Args:
        clean: what is read of the unchanged outputs ``[n, width]``, centred if ``centre``.
        centre: whether the mean over the outputs is taken off first, since the loss does not see it.
    """

    clean: Tensor = field(repr=False)
    centre: bool = False
    name = "difference"
    higher_is_better = False

    @override
    def values(self, outputs: Tensor, rows: slice, answers: Answers) -> Tensor:
        read = answers.read(outputs).double()
        return (centred(read, self.centre) - self.clean[rows]).square().mean(-1)


def centred(outputs: Tensor, centre: bool) -> Tensor:
    """Outputs ``[..., width]`` without their mean over the outputs, if that is asked for."""
    return outputs - outputs.mean(-1, keepdim=True) if centre else outputs
