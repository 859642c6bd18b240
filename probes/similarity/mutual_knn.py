"""Mutual k-nearest neighbours: do two representations agree on which inputs are nearest to each?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from interp.errors import InterpError, require_range
from probes.similarity.products import constant, two

TILE = 2**21  # distances at a time: 16 MiB
# squared distances that differ by less, as a share of the squared lengths they come from, are equal
ROUNDING = 2.0**-44


def mutual_knn(x: Float[Tensor, "n d1"], y: Float[Tensor, "n d2"], *, k: int = 10) -> float:
    """Mutual k-nearest neighbours: the mean share of an input's k nearest in X that are among its k nearest in Y.

    Huh et al. 2024, The platonic representation hypothesis, https://arxiv.org/abs/2405.07987, section 3; Euclidean distance
    here (divide rows by their norms first for theirs). By chance it is k / (n - 1). It misleads where many inputs lie
    equally near, as in small symmetric tasks: ties (up to rounding, so that a rotated copy has the same ones) are broken by
    the order of the inputs, in both alike. Computed in tiles.

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
    x, y = _checked(x, y, k)
    if constant(x) or constant(y):
        return math.nan
    return _overlap(neighbours(x, k), neighbours(y, k))


def knn_under_permutation(
    x: Float[Tensor, "n d1"], y: Float[Tensor, "n d2"], *, k: int = 10
) -> Callable[[Tensor | None], float]:
    """`mutual_knn` as a function of a permutation of Y's inputs; distances are computed once.

    Args:
        x: one input per row, ``[n, d1]``.
        y: the same inputs, ``[n, d2]``.
        k: how many neighbours.

    Returns:
        From indices ``[n]`` to ``mutual_knn(x, y[indices])``; None leaves the order.

    Raises:
        InterpError: as `mutual_knn`.
    """
    x, y = _checked(x, y, k)
    if constant(x) or constant(y):
        return lambda order: math.nan
    n, of_x, (nearer, candidates) = len(x), neighbours(x, k), _candidates(y, k)

    def value(order: Tensor | None) -> float:
        order = torch.arange(n) if order is None else order
        place = torch.empty_like(order).scatter_(0, order, torch.arange(n, device=order.device))
        order, place = order.to(candidates.device), F.pad(place, (0, 1), value=n).to(candidates.device)
        moved = place[candidates[order]]
        if moved.shape[1] > k:  # ties are broken by the new order
            moved = (moved - n * nearer[order].long()).topk(k, dim=1, largest=False).values % n
        return _overlap(of_x, moved)

    return value


def neighbours(rows: Float[Tensor, "n d"], k: int) -> Int[Tensor, "n k"]:
    """The k nearest other rows of each row, by Euclidean distance; of equally near ones the first.

    Args:
        rows: one input per row, ``[n, d]``.
        k: how many, below n.

    Returns:
        Their indices, ``[n, k]``, in ascending order.
    """
    found = []
    for nearer, tied in _tiles(rows, k):
        open_places = k - nearer.sum(1, keepdim=True)
        chosen = nearer | (tied & (tied.cumsum(1) <= open_places))
        found.append(chosen.nonzero()[:, 1].reshape(-1, k))
    return torch.cat(found)


def _candidates(rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Which rows may be among the k nearest, ``[n, at least k]``, filled up with n; before them, which are in any case."""
    n, own, nearer = len(rows), [], []
    for near, tied in _tiles(rows, k):
        width = int((near | tied).sum(1).max())
        rank = near.int() * 2 + tied.int()
        top, index = rank.topk(width, dim=1)
        own.append(index.where(top > 0, torch.full_like(index, n)))
        nearer.append(top == 2)
    width = max(t.shape[1] for t in own)
    return (
        torch.cat([F.pad(t, (0, width - t.shape[1])) for t in nearer]),
        torch.cat([F.pad(t, (0, width - t.shape[1]), value=n) for t in own]),
    )


def _tiles(rows: Tensor, k: int) -> Iterator[tuple[Tensor, Tensor]]:
    """For some rows at a time, which rows are nearer than the k-th nearest and which equally near, ``[some, n]`` each."""
    n, norms = len(rows), (rows := rows - rows.mean(0)).pow(2).sum(1)
    step = max(1, TILE // n)
    for start in range(0, n, step):
        own = norms[start : start + step, None]
        squares = own + norms - 2 * rows[start : start + step] @ rows.T
        squares[torch.arange(len(squares)), torch.arange(start, start + len(squares))] = math.inf
        last = squares.kthvalue(k, dim=1, keepdim=True).values
        rounding = ROUNDING * (own + last.clamp_min(0))
        yield squares < last - rounding, (squares - last).abs() <= rounding


def _checked(x: Tensor, y: Tensor, k: int) -> tuple[Tensor, Tensor]:
    x, y = two(x, y)
    if len(x) < 3:
        raise InterpError(f"nearest neighbours need at least 3 inputs, got {len(x)}")
    require_range("k", k, 1, len(x) - 2)
    return x, y


def _overlap(one: Tensor, other: Tensor) -> float:
    """The mean share of the indices in a row that are in the other's."""
    same = sum((one[:, i : i + 1] == other.to(one.device)).sum() for i in range(one.shape[1]))
    return float(same) / one.numel()
