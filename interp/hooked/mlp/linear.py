"""A linear map for one network, or for a stack of networks in one batched product."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """``x @ weight + bias``.

    Args:
        x: ``[..., in]``; for a stack ``[member, batch, in]``, or ``[batch, in]`` shared by all members.
        weight: ``[in, out]``; for a stack ``[member, in, out]``.
        bias: ``[out]``; for a stack ``[member, out]``; None for none.

    Returns:
        ``[..., out]``; for a stack ``[member, batch, out]``.
    """
    if weight.ndim == 2:
        return x @ weight if bias is None else x @ weight + bias
    return _Stacked.apply(x.expand(len(weight), *x.shape[-2:]), weight, bias)  # pyright: ignore[reportReturnType]


# a product with a vector is rounded as its place in memory has it; sums are the same for a network alone and among others
def outputs(x: Tensor, weight: Tensor, bias: Tensor | None, out: Tensor | None = None) -> Tensor:
    """``x @ weight + bias`` of a stack: inputs ``[member, n, in]``, weights ``[member, in, out]``, biases ``[member, out]``."""
    if 1 not in weight.shape[1:]:
        if bias is None:
            return torch.bmm(x, weight, out=out)
        return torch.baddbmm(bias.unsqueeze(1), x, weight, out=out)
    if weight.shape[2] == 1:
        found = torch.sum(x * weight.mT, -1, keepdim=True, out=out)
    else:
        found = torch.mul(x, weight, out=out)
    return found if bias is None else found.add_(bias.unsqueeze(1))


def to_weight(x: Tensor, g: Tensor, out: Tensor | None = None) -> Tensor:
    """The gradient ``x.mT @ g`` of a stack's weights, from a layer's inputs and the gradient of its outputs."""
    if x.shape[2] > 1 and g.shape[2] > 1:
        return torch.bmm(x.mT, g, out=out)
    axis = 1 if x.shape[2] == 1 else 2
    return torch.sum(x * g, 1, out=None if out is None else out.squeeze(axis)).unsqueeze(axis)


def to_inputs(g: Tensor, weight: Tensor, out: Tensor | None = None) -> Tensor:
    """The gradient ``g @ weight.mT`` of a layer's inputs in a stack."""
    if weight.shape[2] == 1:
        return torch.mul(g, weight.mT, out=out)
    if weight.shape[1] == 1:
        return torch.sum(g * weight, -1, keepdim=True, out=out)
    return torch.bmm(g, weight.mT, out=out)


class _Stacked(torch.autograd.Function):
    """`outputs` with its gradients, so that the bias is added by the product's own kernel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.biased = bias is not None
        return outputs(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (g,) = gradients
        x, weight = ctx.saved_tensors
        return (
            to_inputs(g, weight) if ctx.needs_input_grad[0] else None,
            to_weight(x, g) if ctx.needs_input_grad[1] else None,
            g.sum(1) if ctx.biased and ctx.needs_input_grad[2] else None,
        )
