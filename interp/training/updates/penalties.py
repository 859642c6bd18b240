"""Penalties and changes of the gradient, member by member and in place."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from interp.snapshot import is_matrix


def per_member(values: Tensor, like: Tensor) -> Tensor:
    """``[member]`` in a shape that broadcasts over ``like [member, ...]``."""
    return values.to(like.dtype).view(-1, *[1] * (like.ndim - 1))


def add_l1(gradients: Mapping[str, Tensor], parameters: Mapping[str, Tensor], strength: Tensor) -> None:
    """Add the gradient of ``strength * sum |theta|``; it is 0 where a parameter is 0."""
    for name, gradient in gradients.items():
        parameter = parameters[name].detach()
        gradient.addcmul_(parameter.sign(), per_member(strength, parameter))


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
        gradient.addcmul_(parameter, per_member(delta, parameter), value=-2)


def add_entropy(gradients: Mapping[str, Tensor], parameters: Mapping[str, Tensor], strength: Tensor) -> None:
    """Add the gradient of ``strength * H(W)``, ``H(W) = -sum |w| ln |w|`` over the weight matrices: ``-sign(w) (ln |w| + 1)``.

    Where a weight is 0 the gradient of H is infinite, and 0 is added. H falls without bound as weights above 1/e grow, so that
    it needs weight decay or a fixed norm beside it. As a penalty proposed by Golechha 2024, Progress Measures for Grokking on
    Real-world Tasks, https://arxiv.org/abs/2405.12755

    Args:
        gradients: by parameter name ``[member, ...]``; changed in place.
        parameters: of the same names; biases are left out.
        strength: per member ``[member]``.
    """
    for name, gradient in gradients.items():
        parameter = parameters[name].detach()
        if is_matrix(name, parameter[0]):
            slope = parameter.sign() * torch.where(parameter == 0, 0, parameter.abs().log() + 1)
            gradient.addcmul_(slope, per_member(strength, parameter), value=-1)


def freeze(gradients: Mapping[str, Tensor], frozen: Iterable[str]) -> None:
    """Set the gradients of frozen parameters to 0, so that they count in no norm either."""
    for name in frozen:
        gradients[name].zero_()


def norms(tensors: Mapping[str, Tensor]) -> Tensor:
    """Euclidean norm over all parameters of each member ``[member]``; the same bits alone and among others."""
    # summed member by member: a sum along rows is rounded by their number
    own = torch._foreach_norm([one for t in tensors.values() for one in t.detach().unbind(0)])
    by_parameter = torch.stack(own).unflatten(0, (len(tensors), -1)).square()
    return functools.reduce(torch.add, by_parameter.unbind(0)).sqrt()


def clip(gradients: Mapping[str, Tensor], limit: float) -> None:
    """Scale each member's gradient down to the norm ``limit``, as `torch.nn.utils.clip_grad_norm_` does."""
    factor = (limit / (norms(gradients) + 1e-6)).clamp(max=1)
    for gradient in gradients.values():
        gradient.mul_(per_member(factor, gradient))


def normalise(gradients: Mapping[str, Tensor]) -> None:
    """Divide each member's gradient by its norm (a gradient of 0 stays 0)."""
    total = norms(gradients)
    factor = torch.where(total > 0, 1 / total, total)
    for gradient in gradients.values():
        gradient.mul_(per_member(factor, gradient))
