"""Filters of gradients that optimizers may be given: Grokfast, and the projection onto directions that keep the norm."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def grokfast(
    gradients: Mapping[str, Tensor], averages: Mapping[str, Tensor], first: bool, alpha: float, lamb: float
) -> None:
    """Amplify the slow part of the gradients: ``h <- alpha h + (1 - alpha) g``, then ``g <- g + lamb h``.

    Lee et al. 2024, Grokfast: Accelerated Grokking by Amplifying Slow Gradients (the EMA filter),
    https://arxiv.org/abs/2405.20233. As in the authors' code, h starts as the first gradient.

    Args:
        gradients: by parameter name ``[member, ...]``; changed in place.
        averages: h of the same names; changed in place.
        first: this is the first update.
        alpha: how slowly h changes, from 0 to below 1.
        lamb: how strongly h is amplified.
    """
    for name, gradient in gradients.items():
        average = averages[name]
        if first:
            average.copy_(gradient)
        average.mul_(alpha).add_(gradient, alpha=1 - alpha)
        gradient.add_(average, alpha=lamb)


def orthogonal(gradients: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> None:
    """Take the part along the weights out of each parameter's gradient, and give the rest the gradient's norm.

    Prieto et al. 2025, Grokking at the Edge of Numerical Stability, https://arxiv.org/abs/2501.04697: a gradient along
    the weights only scales the logits (naive loss minimisation). ``g - (w . g / w . w) w`` is the paper's formula; giving
    back the norm is what its code does.

    Args:
        gradients: by parameter name ``[member, ...]``; changed in place.
        parameters: of the same names.
    """
    for name, gradient in gradients.items():
        weights, own = parameters[name].detach().flatten(1), gradient.flatten(1)
        along = (weights * own).sum(1, keepdim=True) / weights.square().sum(1, keepdim=True).clamp(min=_TINY)
        across = own - along * weights
        before, after = (t.square().sum(1, keepdim=True).sqrt() for t in (own, across))
        factor = torch.where(after > 0, before / after, 0)
        gradient.copy_((across * factor).view_as(gradient))


_TINY = 1e-30  # keeps the projection onto weights of 0 finite
