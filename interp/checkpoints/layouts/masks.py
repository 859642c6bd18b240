"""What the buffers of a transformer say: whether a mask is causal; and the positions that are computed, not kept."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def is_causal(mask: Tensor) -> bool | None:
    """Whether a mask ``[..., n, n]`` parts what lies after a position from the rest.

    Args:
        mask: a buffer.

    Returns:
        True if it does; None for other tensors, which say nothing.

    >>> is_causal(torch.ones(3, 3).tril()), is_causal(torch.ones(3, 3))
    (True, None)
    """
    if mask.ndim < 2 or mask.shape[-1] != mask.shape[-2] or mask.numel() != mask.shape[-1] ** 2 or len(mask) < 1:
        return None
    square = mask.reshape(mask.shape[-2:])
    n = len(square)
    lower = torch.ones(n, n, dtype=torch.bool).tril()
    if n < 2:
        return None
    before, after = square[lower], square[~lower]
    uniform = bool((before == before[0]).all()) and bool((after == after[0]).all())
    return True if uniform and bool(before[0] != after[0]) else None


def sinusoids(n_ctx: int, d_model: int) -> Tensor:
    """The fixed positions of https://arxiv.org/abs/1706.03762: sine and cosine in turn, ``[n_ctx, d_model]`` in float64."""
    angles = torch.arange(n_ctx, dtype=torch.float64)[:, None] * torch.exp(
        torch.arange(0, d_model, 2, dtype=torch.float64) * (-math.log(10000.0) / d_model)
    )
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :d_model]
