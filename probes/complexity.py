"""Local circuit complexity: the KL divergence and the random weight masks that it is made of."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp.errors import require_range
from probes._tensors import as_tensor


def kl_divergence(clean: Float[Tensor, "... n width"], changed: Float[Tensor, "... n width"]) -> Float[Tensor, "... n"]:
    """``KL(p || p') = sum_y p(y) (ln p(y) - ln p'(y))`` between the softmax of two sets of logits, in float64.

    Args:
        clean: logits of p, ``[..., n, width]``. A width of 1 (a single score z) stands for the logits (0, z).
        changed: logits of p', of the same shape.

    Returns:
        The divergence of every example in nats, ``[..., n]``, at least 0.

    >>> kl_divergence(torch.tensor([[0.0, 0.0]]), torch.tensor([[0.0, 0.0]])).tolist()
    [0.0]
    """
    log_p, log_q = (
        _pair(as_tensor(z, name).double()).log_softmax(-1) for z, name in ((clean, "clean"), (changed, "changed"))
    )
    terms = log_p.exp() * (log_p - log_q)
    return terms.where(log_p != -torch.inf, 0.0).sum(-1).clamp_min(0)  # 0 ln 0 = 0; rounding goes below


def _pair(logits: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(logits), logits], -1) if logits.shape[-1] == 1 else logits


def random_masks(numel: int, share: float, n: int, seed: int) -> Bool[Tensor, "n numel"]:
    """Random subsets of ``numel`` entries, each of exactly ``round(share * numel)``.

    Args:
        numel: number of entries to choose from.
        share: of the entries in each subset, from 0 to 1.
        n: number of subsets.
        seed: of the draw; the same seed gives the same subsets on every device.

    Returns:
        Boolean masks ``[n, numel]`` on the CPU, True for the chosen entries.

    >>> random_masks(10, 0.1, 3, seed=0).sum(1).tolist()
    [1, 1, 1]
    """
    require_range("share", share, 0, 1)
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(n, numel, generator=generator, dtype=torch.float64).argsort(1)
    return order < round(share * numel)
