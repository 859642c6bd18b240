"""Penalties and changes of the gradient, member by member and in place."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def _per_member(values: Tensor, like: Tensor) -> Tensor:
    """``[member]`` in a shape that broadcasts over ``like [member, ...]``."""
    return values.to(like.dtype).view(-1, *[1] * (like.ndim - 1))


def add_l1(gradients: Mapping[str, Tensor], parameters: Mapping[str, Tensor], strength: Tensor) -> None:
    """Add the gradient of ``strength * sum |theta|``; it is 0 where a parameter is 0."""
    for name, gradient in gradients.items():
        parameter = parameters[name].detach()
        gradient.addcmul_(parameter.sign(), _per_member(strength, parameter))


def add_norm_growth(gradients: Mapping[str, Tensor], parameters: Mapping[str, Tensor], delta: Tensor) -> None:
    """Add the gradient of ``- delta * sum theta^2``, which makes the norm grow.

    Golechha 2024, Progress Measures for Grokking on Real-world Tasks, section 3, https://arxiv.org/abs/2405.12755

    Args:
        gradients: by parameter name ``[member, ...]``; changed in place.
        parameters: of the same names.
        delta: strength per member ``[member]``.
    """
    for name, gradient in gradients.items():
        parameter = parameters[name].detach()
        gradient.addcmul_(parameter, _per_member(delta, parameter), value=-2)


def norms(tensors: Mapping[str, Tensor]) -> Tensor:
    """Euclidean norm over all parameters of each member ``[member]``."""
    squares = [t.detach().flatten(1).square().sum(1) for t in tensors.values()]
    return torch.stack(squares).sum(0).sqrt()


def clip(gradients: Mapping[str, Tensor], limit: float) -> None:
    """Scale each member's gradient down to the norm ``limit``, as `torch.nn.utils.clip_grad_norm_` does."""
    factor = (limit / (norms(gradients) + 1e-6)).clamp(max=1)
    for gradient in gradients.values():
        gradient.mul_(_per_member(factor, gradient))


def normalise(gradients: Mapping[str, Tensor]) -> None:
    """Divide each member's gradient by its norm (a gradient of 0 stays 0)."""
    total = norms(gradients)
    factor = torch.where(total > 0, 1 / total, total)
    for gradient in gradients.values():
        gradient.mul_(_per_member(factor, gradient))
