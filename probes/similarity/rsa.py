"""Representational similarity analysis (RSA): do two representations put the same inputs near each other?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError, UnknownName, unknown
from probes.similarity.products import StreamedProducts, two

DISTANCES = ("euclidean", "sqeuclidean", "cosine", "correlation")
CORRELATIONS = ("spearman", "pearson")
TILE = 2**21  # distances at a time: 16 MiB
STEPS = 2.0**40  # distances within this part of the largest count as equal: rounding must not rank what is tied


def rsa(
    x: Float[Tensor, "n d1"],
    y: Float[Tensor, "n d2"],
    *,
    distance: str = "euclidean",
    correlation: str = "spearman",
    max_bytes: int = 2**30,
) -> float:
    """RSA: the correlation over all pairs of inputs between their distance in X and their distance in Y.

    Kriegeskorte et al. 2008, Representational similarity analysis, https://doi.org/10.3389/neuro.06.004.2008, where the
    distance is 1 - Pearson's correlation over units (``distance="correlation"``). Distances are made in tiles; Pearson's
    correlation needs no more memory than that, Spearman's keeps 40 bytes per pair (4,000 inputs: 320 MB, some 10 s).
    With Euclidean distances it does not
    change with rotation of the features; with correlation distances it does. It misleads where a few far inputs set the
    distances (Pearson), and pairs are not independent, so take the null from `permuted` and never from a table.

    Args:
        x: one input per row, ``[n, d1]``.
        y: the same inputs, ``[n, d2]``.
        distance: ``euclidean``, ``sqeuclidean``, ``cosine`` or ``correlation``.
        correlation: ``spearman`` (of ranks) or ``pearson``.
        max_bytes: memory that the distances may take where they are ranked.

    Returns:
        Between -1 and 1; NaN where a representation is constant or all distances are equal.

    Raises:
        InterpError: fewer than 3 inputs, too many for `max_bytes`, or a row without direction (cosine, correlation).
        UnknownName: another distance or correlation.

    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 5.0], [4.0, 4.0]])
    >>> round(rsa(x, 2 * x.flip(1)), 6)
    1.0
    """
    x, y = _checked(x, y, distance, correlation)
    pairs = zip(_distances(x, distance), _distances(y, distance), strict=True)
    if correlation == "spearman":
        pairs = _ranked(pairs, len(x), max_bytes)
    sums = StreamedProducts()  # of two representations of one feature each: the distances
    for a, b in pairs:
        if len(a):
            sums.update(a[:, None], b[:, None])
    made = sums.result()
    return math.nan if made.constant else float(made.xy / (made.xx * made.yy).sqrt())


def rsa_under_permutation(x: Float[Tensor, "n d1"], y: Float[Tensor, "n d2"]) -> Callable[[Tensor], float]:
    """Spearman's `rsa` as a function of a permutation of Y's inputs; distances and ranks are made once.

    Args:
        x: one input per row, ``[n, d1]``.
        y: the same inputs, ``[n, d2]``.

    Returns:
        From indices ``[n]`` to ``rsa(x, y[indices])``.

    Raises:
        InterpError: as `rsa`.
    """
    x, y = _checked(x, y, "euclidean", "spearman")
    pairs = zip(_distances(x, "euclidean"), _distances(y, "euclidean"), strict=True)
    ranks = next(_ranked(pairs, len(x), 2**30))
    a, b = (_square(one - one.mean(), len(x)) for one in ranks)
    scale = float(a.norm() * b.norm())

    def value(order: Tensor) -> float:
        order = order.to(b.device)
        return float(a.flatten() @ b[order][:, order].flatten()) / scale if scale > 0 else math.nan

    return value


def _checked(x: Tensor, y: Tensor, distance: str, correlation: str) -> tuple[Tensor, Tensor]:
    if distance not in DISTANCES:
        raise UnknownName(unknown("distance", distance, DISTANCES))
    if correlation not in CORRELATIONS:
        raise UnknownName(unknown("correlation", correlation, CORRELATIONS))
    x, y = two(x, y)
    if len(x) < 3:
        raise InterpError(f"RSA needs at least 3 inputs, got {len(x)}")
    return x, y


def _distances(rows: Tensor, distance: str) -> Iterator[Tensor]:
    """Distances of all pairs of rows, in order of the upper triangle, a tile at a time."""
    rows = _directed(rows, distance) if distance in ("cosine", "correlation") else rows - rows.mean(0)
    n, norms = len(rows), rows.pow(2).sum(1)
    step = max(1, TILE // n)
    for start in range(0, n, step):
        tile = rows[start : start + step]
        squares = norms[start : start + step, None] + norms[start:] - 2 * tile @ rows[start:].T
        upper = torch.ones_like(squares, dtype=torch.bool).triu(1)
        found = squares[upper].clamp_min(0)
        yield found.sqrt() if distance == "euclidean" else found  # cosine distance is half of it


def _directed(rows: Tensor, distance: str) -> Tensor:
    """Rows of length 1, less their mean for correlation distance."""
    moved = rows - rows.mean(1, keepdim=True) if distance == "correlation" else rows
    lengths = moved.norm(dim=1, keepdim=True)
    bad = int((lengths <= 1e-14 * rows.norm(dim=1, keepdim=True)).sum())
    if bad:
        raise InterpError(
            f"{bad} of {len(rows)} rows have no direction, so their {distance} distance is undefined; take distance='euclidean'"
        )
    return moved / lengths


def _ranked(pairs: Iterator[tuple[Tensor, Tensor]], n: int, max_bytes: int) -> Iterator[tuple[Tensor, Tensor]]:
    if (needed := 40 * (n * (n - 1) // 2)) > max_bytes:
        raise InterpError(
            f"ranks of all pairs of {n} inputs take {needed:,} bytes, more than max_bytes={max_bytes:,}: give fewer inputs, "
            "raise it, or take correlation='pearson', which runs in tiles"
        )
    both = [torch.cat(tiles) for tiles in zip(*pairs, strict=True)]
    yield _ranks(both[0]), _ranks(both[1])


def _ranks(values: Tensor) -> Tensor:
    """Ranks from 1 on, tied ones averaged."""
    top = values.max()
    if not top > 0:
        return torch.ones_like(values)
    ordered, order = (values / top * STEPS).round().sort()
    _, counts = ordered.unique_consecutive(return_counts=True)
    last = counts.cumsum(0)
    averages = last - (counts - 1) / 2
    return torch.empty_like(values).scatter_(0, order, averages.repeat_interleave(counts).to(values))


def _square(values: Tensor, n: int) -> Tensor:
    """A symmetric matrix with 0 on its diagonal from its upper triangle."""
    full = values.new_zeros(n, n)
    i, j = torch.triu_indices(n, n, 1, device=values.device)
    full[i, j] = full[j, i] = values
    return full
