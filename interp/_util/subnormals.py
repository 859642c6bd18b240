"""Numbers that CPUs are slow at."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import hardshrink


def without_subnormals(values: Tensor) -> Tensor:
    """Values in which those below the smallest normal number (1e-38 in float32) are 0, on a CPU; elsewhere the values as given.

    A CPU takes a hundred cycles and more for an operation with a subnormal number, and a network that has long been sure is
    full of them: the gradients of its logits, and Adam's means of the units that are dead. At a loss of 1e-7 they made a step
    of the p = 113 transformer of Nanda et al. take 16 times as long. To a sum that holds a normal number they add nothing.

    Args:
        values: any shape.

    Returns:
        ``[...]`` of the same shape and dtype.
    """
    return hardshrink(values, torch.finfo(values.dtype).tiny) if values.device.type == "cpu" else values
