"""Numbers that CPUs are slow at."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import hardshrink


def without_subnormals(gradient: Tensor) -> Tensor:
    """A gradient in which entries below the smallest normal number are 0, on a CPU; elsewhere the gradient itself.

    A network that has long been sure gives its logits gradients below 1e-38, and a CPU takes a hundred cycles for a product
    with one: the step of the p = 113 transformer of Nanda et al., at a loss of 1e-7, took 18 times as long. To a sum that
    holds any normal number they add nothing.

    Args:
        gradient: of the outputs, any shape.

    Returns:
        ``[...]`` of the same shape and dtype.
    """
    return hardshrink(gradient, torch.finfo(gradient.dtype).tiny) if gradient.device.type == "cpu" else gradient
