"""Which examples are trained on and which are tested on."""

from __future__ import annotations

import torch
from torch import Tensor


def ranges(n_train: int, n_test: int) -> tuple[Tensor, Tensor]:
    """Train and test indices of examples that are stored in this order."""
    return torch.arange(n_train), torch.arange(n_train, n_train + n_test)


def shuffled(n: int, train_fraction: float, seed: int) -> tuple[Tensor, Tensor]:
    """Train and test indices of ``n`` examples, shuffled by ``torch.randperm``: the first ``int(train_fraction * n)`` train."""
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    cut = int(train_fraction * n)
    return order[:cut], order[cut:]
