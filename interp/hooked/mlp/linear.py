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


class _Stacked(torch.autograd.Function):
    """The product of a stack, with the bias added by the same kernel; an output of width 1 is computed as a sum."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.biased = bias is not None
        if weight.shape[2] == 1:
            out = (x * weight.mT).sum(-1, keepdim=True)
            return out if bias is None else out.add_(bias.unsqueeze(1))
        if weight.shape[1] == 1:  # a product with a vector is rounded as its place in memory has it
            out = x * weight
            return out if bias is None else out.add_(bias.unsqueeze(1))
        if bias is None:
            return torch.bmm(x, weight)
        return torch.baddbmm(bias.unsqueeze(1), x, weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        (g,) = gradients
        x, weight = ctx.saved_tensors
        to_x = to_weight = to_bias = None
        if ctx.needs_input_grad[0]:
            to_x = g * weight.mT if weight.shape[2] == 1 else torch.bmm(g, weight.mT)
        if ctx.needs_input_grad[1]:
            to_weight = (x * g).sum(1).unsqueeze(-1) if weight.shape[2] == 1 else torch.bmm(x.mT, g)
        if ctx.biased and ctx.needs_input_grad[2]:
            to_bias = g.sum(1)
        return to_x, to_weight, to_bias
