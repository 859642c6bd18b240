"""Numerical stability of training: softmax collapse in float32, and slingshots of the train loss."""

from __future__ import annotations

import math
from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor

from probes._tensors import as_tensor


def softmax_collapse(logits: Float[Tensor, "n width"], labels: Int[Tensor, "n"]) -> Float[Tensor, ""]:
    """Softmax collapse: the share of examples whose float32 cross-entropy is exactly 0, so that their gradient vanishes.

    ``sum_j exp(z_j - max z)`` rounds to 1 and the label's logit is the largest: Prieto et al. 2025, Grokking at the Edge
    of Numerical Stability, https://arxiv.org/abs/2501.04697. In float64 the same network still learns.

    Args:
        logits: ``[n, width]``, in any dtype.
        labels: index of the correct answer, ``[n]``.

    Returns:
        A share from 0 to 1, a scalar tensor.

    >>> import torch
    >>> softmax_collapse(torch.tensor([[0.0, 30.0], [0.0, 1.0]]), torch.tensor([1, 1])).item()
    0.5
    """
    logits, labels = as_tensor(logits, "logits"), as_tensor(labels, "labels")
    log_p = logits.detach().float().log_softmax(-1)
    return (log_p.gather(-1, labels[:, None].to(log_p.device))[:, 0] == 0).double().mean()


def slingshots(
    steps: Sequence[int], losses: Sequence[float], *, factor: float = 10.0, floor: float = 1e-3
) -> list[int]:
    """Slingshots: steps at which the train loss spikes to ``factor`` times its lowest value so far, once per spike.

    The instability of Thilak et al. 2022, The Slingshot Mechanism, https://arxiv.org/abs/2206.04817: spikes of the train
    loss late in training with an adaptive optimizer, each with a jump of the last layer's norm. Only the loss is used
    here. A coarse series of losses misses spikes.

    Args:
        steps: training steps, ascending.
        losses: the train loss at each step; NaN is skipped, and infinity before the first finite loss.
        factor: a spike begins at this multiple of the lowest loss so far and ends when the loss is below it again.
        floor: losses below this share of the first loss are raised to it, so that noise near 0 does not count.

    Returns:
        The first step of every spike.

    >>> slingshots([0, 1, 2, 3, 4, 5], [1.0, 0.01, 0.001, 0.5, 0.4, 0.001])
    [3]
    """
    lowest, least, high, found = float("inf"), None, False, []
    for step, loss in zip(steps, losses, strict=True):
        if math.isnan(loss) or (least is None and math.isinf(loss)):
            continue
        least = floor * loss if least is None else least
        value = max(loss, least)
        above = value > lowest and value >= factor * lowest  # a loss that stays 0 does not spike
        if above and not high:
            found.append(step)
        high = above
        lowest = min(lowest, value)
    return found
