"""Mutual k-nearest neighbours: do two representations agree on which inputs are nearest to each?"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.errors import InterpError, require_range
from probes.similarity.products import constant, two

TILE = 2**21  # distances at a time: 16 MiB


def mutual_knn(x: Float[Tensor, "n d1"], y: Float[Tensor, "n d2"], *, k: int = 10) -> float:
    """Mutual k-nearest neighbours: the mean share of an input's k nearest in X that are among its k nearest in Y.

    Huh et al. 2024, The platonic representation hypothesis, https://arxiv.org/abs/2405.07987, section 3; Euclidean distance
    here (divide rows by their norms first for theirs). By chance it is k / (n - 1). It misleads where many inputs lie
    equally near, as in small symmetric tasks: ties are broken by the order of the inputs, in both alike. Computed in tiles.

    Args:
        x: one input per row, ``[n, d1]``.
        y: the same inputs, ``[n, d2]``.
        k: how many neighbours, at most n - 2.

    Returns:
        Between 0 and 1; NaN where a representation is constant.

    Raises:
        InterpError: a k out of range, or input that is not two matrices of the same inputs.

    >>> x = torch.tensor([[0.0], [1.0], [3.0], [7.0]])
    >>> mutual_knn(x, -x, k=1), mutual_knn(x, torch.tensor([[0.0], [1.0], [9.0], [3.0]]), k=1)
    (1.0, 0.5)
    """
    return knn_under_permutation(x, y, k=k)(None)


def knn_under_permutation(
    x: Float[Tensor, "n d1"], y: Float[Tensor, "n d2"], *, k: int = 10
) -> Callable[[Tensor | None], float]:
    """`mutual_knn` as a function of a permutation of Y's inputs; neighbours are looked for once.

    Args:
        x: one input per row, ``[n, d1]``.
        y: the same inputs, ``[n, d2]``.
        k: how many neighbours.

    Returns:
        From indices ``[n]`` to ``mutual_knn(x, y[indices])``; None leaves the order.

    Raises:
        InterpError: as `mutual_knn`.
    """
    x, y = two(x, y)
    n = len(x)
    if n < 3:
        raise InterpError(f"nearest neighbours need at least 3 inputs, got {n}")
    require_range("k", k, 1, n - 2)
    if constant(x) or constant(y):
        return lambda order: math.nan
    of_x, of_y = neighbours(x, k), neighbours(y, k)

    def value(order: Tensor | None) -> float:
        moved = of_y
        if order is not None:
            place = torch.empty_like(order).scatter_(0, order, torch.arange(n)).to(of_y.device)
            moved = place[of_y[order.to(of_y.device)]]
        return float((of_x[:, :, None] == moved[:, None, :]).sum()) / (n * k)

    return value


def neighbours(rows: Float[Tensor, "n d"], k: int) -> Int[Tensor, "n k"]:
    """The k nearest other rows of each row, by Euclidean distance.

    Args:
        rows: one input per row, ``[n, d]``.
        k: how many, below n.

    Returns:
        Their indices, ``[n, k]``.
    """
    n, norms = len(rows), (rows := rows - rows.mean(0)).pow(2).sum(1)
    step = max(1, TILE // n)
    found = []
    for start in range(0, n, step):
        squares = norms - 2 * rows[start : start + step] @ rows.T  # less the row's own norm, which ranks nothing
        squares[torch.arange(len(squares)), torch.arange(start, start + len(squares))] = math.inf
        found.append(squares.topk(k, dim=1, largest=False).indices)
    return torch.cat(found)
