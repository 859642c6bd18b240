"""Dropout as a pure function of a key, without a generator's hidden state."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from interp.errors import InterpError

# splitmix64's constants (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"), as signed numbers
GAMMA = 0x9E3779B97F4A7C15 - 2**64
FIRST = 0xBF58476D1CE4E5B9 - 2**64
SECOND = 0x94D049BB133111EB - 2**64
BITS = 24  # per number between 0 and 1; float32 holds them exactly, and every device has float32


def uniform(key: Tensor, shape: Sequence[int], salt: int) -> Tensor:
    """Uniform numbers in [0, 1): a hash (splitmix64) of the key, the salt and the element's index.

    They are the same on every device, and for a member alone or within an ensemble.

    Args:
        key: an int64 scalar; under ``vmap`` one for each member. Consecutive keys give unrelated numbers.
        shape: of the result (of one member's, under ``vmap``).
        salt: distinguishes places that share a key.

    Returns:
        float32 ``[*shape]``, with indices counted row-major.

    >>> uniform(torch.tensor(1), (2, 3), salt=0).shape
    torch.Size([2, 3])
    """
    stream = _mix(_mix(key + GAMMA) + _wrap((salt + 1) * GAMMA))
    index = torch.arange(1, math.prod(shape) + 1, device=key.device)
    bits = _shift(_mix(stream + index * GAMMA), 64 - BITS)
    return (bits.to(torch.float32) * 2.0**-BITS).reshape(tuple(shape))


def dropout(x: Tensor, p: float, key: Tensor | None, salt: int) -> Tensor:
    """Inverted dropout: each entry is 0 with probability ``p``, else divided by ``1 - p``.

    Args:
        x: of any shape.
        p: rate, from 0 to below 1.
        key: as in `uniform`; None in evaluation.
        salt: as in `uniform`.

    Returns:
        of the shape of ``x``; ``x`` itself without a key or with ``p`` 0.
    """
    if key is None or p == 0:
        return x
    kept = uniform(key.to(x.device, torch.int64), x.shape, salt) >= p
    return torch.where(kept, x / (1 - p), 0.0)


def check_rate(p: float) -> None:
    """Refuse a dropout rate outside [0, 1).

    Args:
        p: the rate.

    Raises:
        InterpError: a rate outside [0, 1).

    >>> check_rate(1.0)
    Traceback (most recent call last):
    interp.errors.InterpError: dropout must be at least 0 and less than 1, got 1.0
    """
    if not 0 <= p < 1:
        raise InterpError(f"dropout must be at least 0 and less than 1, got {p}")


def _mix(z: Tensor) -> Tensor:
    """splitmix64's finaliser; int64 products wrap around, as they must."""
    z = (z ^ _shift(z, 30)) * FIRST
    z = (z ^ _shift(z, 27)) * SECOND
    return z ^ _shift(z, 31)


def _wrap(n: int) -> int:
    """The int64 that ``n`` wraps around to."""
    return (n + 2**63) % 2**64 - 2**63


def _shift(z: Tensor, n: int) -> Tensor:
    """Logical shift to the right; torch's own fills up with the sign."""
    return (z >> n) & ((1 << (64 - n)) - 1)
