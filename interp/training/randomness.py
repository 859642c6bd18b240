"""Stateless randomness: every draw is a function of a seed, a purpose and a step.

A member draws the same numbers by itself and in an ensemble, before and after resuming, on every device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from interp.hooked.dropout import uniform


def keys(seeds: Sequence[int], purpose: str, device: torch.device) -> Tensor:
    """One key per seed ``[member]`` (int64); adding a step or an epoch gives the key of that moment."""
    digests = (hashlib.blake2b(f"{purpose}/{seed}".encode(), digest_size=8).digest() for seed in seeds)
    return torch.tensor([int.from_bytes(d, "little", signed=True) for d in digests], device=device)


def shuffles(keys: Tensor, n: int) -> Tensor:
    """A permutation of ``n`` examples per key ``[member, n]``."""
    return uniform(keys, (n,), 0).argsort(dim=-1, stable=True)
