"""A layer of a stack of networks, forward and backward, into memory that is there.

A product with a vector is rounded as its place in memory has it, so those are sums: a network has the same bits alone and
among others.
"""

from __future__ import annotations

import torch
from torch import Tensor


def outputs(x: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor) -> None:
    """``x @ weight + bias`` for inputs ``[member, n, in]``, weights ``[member, in, out]`` and biases ``[member, out]``."""
    if 1 not in weight.shape[1:]:
        if bias is None:
            torch.bmm(x, weight, out=out)
        else:
            torch.baddbmm(bias.unsqueeze(1), x, weight, out=out)
        return
    if weight.shape[2] == 1:
        torch.sum(x * weight.mT, -1, keepdim=True, out=out)
    else:
        torch.mul(x, weight, out=out)
    if bias is not None:
        out.add_(bias.unsqueeze(1))


def to_weight(x: Tensor, g: Tensor, out: Tensor) -> None:
    """The gradient ``x.mT @ g`` of weights, from a layer's inputs and the gradient of its outputs ``[member, n, width]``."""
    if 1 in out.shape[1:]:
        torch.sum(x * g, 1, out=out.squeeze(1 if out.shape[1] == 1 else 2))
    else:
        torch.bmm(x.mT, g, out=out)


def to_inputs(g: Tensor, weight: Tensor, out: Tensor) -> None:
    """The gradient ``g @ weight.mT`` of a layer's inputs."""
    if weight.shape[2] == 1:
        torch.mul(g, weight.mT, out=out)
    elif weight.shape[1] == 1:
        torch.sum(g * weight, -1, keepdim=True, out=out)
    else:
        torch.bmm(g, weight.mT, out=out)
