"""Permutations of the inputs of one representation, and the products that they leave."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from probes.similarity.products import Products, products, two


def permuted_products(x: Float[Tensor, "n d1"], y: Float[Tensor, "n d2"], draws: int, seed: int) -> Iterator[Products]:
    """Products with the rows of Y permuted: X^T X and Y^T Y stay, so that a draw costs one product.

    Args:
        x: one input per row, ``[n, d1]``.
        y: the same inputs, ``[n, d2]``.
        draws: how many permutations.
        seed: of the permutations.

    Yields:
        The products of X and permuted Y.

    >>> x = torch.arange(6.0)[:, None]
    >>> [abs(made.xy.item()) < 17.5 for made in permuted_products(x, x, 3, seed=0)]  # unpermuted: 17.5
    [True, True, True]
    """
    x, y = two(x, y)
    made = products(x, y)
    u, v = x - made.mean_x, y - made.mean_y
    r, s = u.pow(2).sum(1), v.pow(2).sum(1)
    for order in permutations(len(x), draws, seed):
        yield replace(made, xy=u.T @ v[order], norms_xy=float(r @ s[order]))


def permutations(n: int, draws: int, seed: int) -> Iterator[Tensor]:
    """Random permutations of n inputs.

    Args:
        n: number of inputs.
        draws: how many permutations.
        seed: of all of them.

    Yields:
        Indices, ``[n]``.
    """
    generator = torch.Generator().manual_seed(seed)
    for _ in range(draws):
        yield torch.randperm(n, generator=generator)
