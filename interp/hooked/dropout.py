"""Dropout as a pure function of a key, without a generator's hidden state."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
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
        key: int64, a scalar or one for each member ``[member]``. Consecutive keys give unrelated numbers.
        shape: of the result, of one member's.
        salt: distinguishes places that share a key.

    Returns:
        float32 ``[(member,) *shape]``, with indices counted row-major in each member.

    >>> uniform(torch.tensor(1), (2, 3), salt=0).shape
    torch.Size([2, 3])
    """
    return _bits(key, shape, salt).to(torch.float32) * 2.0**-BITS


def dropout(x: Tensor, p: float, key: Tensor | None, salt: int) -> Tensor:
    """Inverted dropout: each entry is 0 with probability ``p``, else divided by ``1 - p``.

    Args:
        x: of any shape; with a key for each member, members first.
        p: rate, from 0 to below 1.
        key: as in `uniform`; None in evaluation.
        salt: as in `uniform`.

    Returns:
        of the shape of ``x``; ``x`` itself without a key or with ``p`` 0.
    """
    if key is None or p == 0:
        return x
    # a product: torch.where is ten times slower on CPUs
    return x / (1 - p) * kept(key.to(x.device, torch.int64), x.shape[key.ndim :], p, salt).to(x.dtype)


def kept(key: Tensor, shape: Sequence[int], p: float, salt: int) -> Tensor:
    """Which entries do not drop out.

    Args:
        key: as in `uniform`.
        shape: as in `uniform`.
        p: rate, from 0 to below 1.
        salt: as in `uniform`.

    Returns:
        bool ``[(member,) *shape]``.
    """
    # uniform(...) >= p in whole numbers: one pass less, and the same entries, as float32 holds the numbers of both sides
    return _bits(key, shape, salt) >= math.ceil(float(np.float32(p)) * 2**BITS)


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


def _bits(key: Tensor, shape: Sequence[int], salt: int) -> Tensor:
    """`uniform` before it becomes a fraction: whole numbers (int64) from 0 to ``2**BITS - 1``."""
    stream = _mix(_mix(key + GAMMA) + _wrap((salt + 1) * GAMMA))
    index = torch.arange(1, math.prod(shape) + 1, device=key.device).mul_(GAMMA)
    return _shift(_mix(stream.unsqueeze(-1) + index), 64 - BITS).reshape((*key.shape, *shape))


def _mix(z: Tensor) -> Tensor:
    """splitmix64's finaliser, in place; int64 products wrap around, as they must."""
    z.bitwise_xor_(_shift(z, 30)).mul_(FIRST)
    z.bitwise_xor_(_shift(z, 27)).mul_(SECOND)
    return z.bitwise_xor_(_shift(z, 31))


def _wrap(n: int) -> int:
    """The int64 that ``n`` wraps around to."""
    return (n + 2**63) % 2**64 - 2**63


def _shift(z: Tensor, n: int) -> Tensor:
    """Logical shift to the right; torch's own fills up with the sign."""
    return (z >> n).bitwise_and_((1 << (64 - n)) - 1)
