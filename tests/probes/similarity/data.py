"""Representations for the tests: seeded, in float64."""

from __future__ import annotations

import torch
from torch import Tensor

from probes.basis import Basis


def gaussian(n: int, d: int, seed: int = 0) -> Tensor:
    """Independent entries."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(d: int, seed: int = 0) -> Tensor:
    """A random rotation (or reflection)."""
    return Basis.random(d, d, seed).directions


def related(n: int = 60, d1: int = 5, d2: int = 8) -> tuple[Tensor, Tensor]:
    """Two representations with means, scales and a part in common."""
    x, y = gaussian(n, d1, 1) + 3, gaussian(n, d2, 2)
    y = y * torch.linspace(0.5, 2, d2, dtype=torch.float64) - 1
    y[:, :2] += x[:, :2]
    return x, y


def planted(n: int, d: int, rank: int, seed: int = 0, noise: float = 0.0) -> tuple[Tensor, Tensor]:
    """Two representations of d dimensions each, of which ``rank`` are the same, mixed with others differently in each."""
    both = gaussian(n, rank, seed)
    x, y = (torch.cat([both, gaussian(n, d - rank, seed + i)], 1) @ gaussian(d, d, seed + 2 + i) for i in (100, 200))
    return x + noise * gaussian(n, d, seed + 301), y + noise * gaussian(n, d, seed + 302)
