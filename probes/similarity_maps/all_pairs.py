"""Debiased linear CKA of all pairs of many representations at once, in tiles, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.errors import InterpError
from probes.similarity_maps.features import DEFAULT_BYTES, Features

TILE = 256  # rows and columns of the kernels at a time
ROUNDING = 1e-9  # of a squared norm that float32 leaves of 0

Orders = Sequence[Int[Tensor, " n"]]
Progress = Callable[[int, int], None]


def all_pairs_cka(
    features: Features,
    index: Sequence[int],
    orders: Orders | None = None,
    *,
    max_bytes: int = DEFAULT_BYTES,
    progress: Progress | None = None,
) -> Float[Tensor, "draws k k"]:
    """Debiased linear CKA, as `probes.similarity.cka`, between all of K representations.

    HSIC_1 of Song et al. 2012 (https://jmlr.org/papers/v13/song12a.html) is the inner product of two U-centred kernels,
    ``U_ij = x_i . x_j + (|x_i|^2 + |x_j|^2) / (n - 2) - sum_k |x_k|^2 / ((n - 1) (n - 2))`` off the diagonal and 0 on it, for
    centred x. So a stack ``[K, tile]`` of the same tile of all K kernels times its transpose adds to all pairs at once: about
    ``K n^2 d + K^2 n^2`` operations instead of ``K^2 n d^2`` for the products of features pair by pair. Where features are so
    few that those are cheaper, they are taken, all of them stacked too. Kernels are float32, sums over tiles float64.

    Args:
        features: the representations.
        index: which of them.
        orders: permutations of the inputs of the second representation, each of which gives a matrix; None: as they are.
        max_bytes: of working memory, beside the features.
        progress: called with (tiles done, in all).

    Returns:
        ``[draws, K, K]``, one matrix without ``orders``; NaN for a representation that is the same for all inputs. With
        ``orders`` the entry (a, b) has the inputs of b permuted.

    Raises:
        InterpError: fewer than 4 inputs.

    >>> features = Features()
    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [0.0, 3.0], [1.0, 1.0]])
    >>> both = [features.add(x), features.add(2 * x.flip(1) + 5)]
    >>> round(float(all_pairs_cka(features, both)[0, 0, 1]), 5)
    1.0
    """
    if features.n < 4:
        raise InterpError(f"debiased CKA needs at least 4 inputs, got {features.n}")
    n, k = features.n, len(index)
    width = sum(features.widths[i] for i in index)
    few = 2 * width * width < n * width + k * n * k and 16 * width * width < max_bytes
    sums = (_by_features if few else _by_kernels)(features, index, orders, max_bytes, progress or _quiet)
    own = sums[0].diagonal()
    if orders is not None:  # the norms do not change with the order
        own, sums = own, sums[1:]
    traces = torch.stack([features.norms(i).sum() for i in index])
    own = torch.where(own > ROUNDING * traces.pow(2), own, math.nan)
    return sums / (own[:, None] * own).sqrt()


def _quiet(done: int, total: int) -> None:
    pass


def _by_kernels(
    features: Features, index: Sequence[int], orders: Orders | None, max_bytes: int, progress: Progress
) -> Tensor:
    """Inner products of U-centred kernels, ``[1 + draws, K, K]``; only the tiles on and above the diagonal are made."""
    n, k = features.n, len(index)
    sums = torch.zeros(1 + len(orders or ()), k, k, dtype=torch.float64)
    tile = max(16, min(TILE, n, math.isqrt(max_bytes // (4 * k * (1 if orders is None else 2)))))
    shifts = [(features.norms(i) - features.norms(i).sum() / (2 * (n - 1))) / (n - 2) for i in index]
    cuts = [(start, min(start + tile, n)) for start in range(0, n, tile)]
    tiles = [(a, b) for place, a in enumerate(cuts) for b in cuts[place:]]
    left = torch.empty(k, tile * tile)
    right = None if orders is None else torch.empty(k, tile * tile)

    def fill(stack: Tensor, rows: tuple[int, int], columns: tuple[int, int], order: Tensor | None) -> Tensor:
        size = (rows[1] - rows[0], columns[1] - columns[0])
        filled = stack[:, : size[0] * size[1]]
        for place, i in enumerate(index):
            shift = (shifts[place] if order is None else shifts[place][order]).float()
            x = features.centred(i, *rows, order)
            y = x if rows == columns else features.centred(i, *columns, order)
            kernel = filled[place].view(size)
            torch.add(shift[slice(*rows), None], shift[slice(*columns)], out=kernel)
            kernel.addmm_(x, y.T)
            if rows == columns:
                kernel.fill_diagonal_(0)
        return filled

    for done, (rows, columns) in enumerate(tiles, 1):
        weight = 1 if rows == columns else 2  # the tile below the diagonal is the same
        one = fill(left, rows, columns, None)
        sums[0] += weight * (one @ one.T).double()
        for place, order in enumerate(orders or (), 1):
            assert right is not None
            sums[place] += weight * (one @ fill(right, rows, columns, order).T).double()
        progress(done, len(tiles))
    return sums


def _by_features(
    features: Features, index: Sequence[int], orders: Orders | None, max_bytes: int, progress: Progress
) -> Tensor:
    """The same from products of all features with all, in float64."""
    n, k = features.n, len(index)
    widths = torch.tensor([features.widths[i] for i in index])
    total, norms = int(widths.sum()), torch.stack([features.norms(i) for i in index])
    traces = norms.sum(1)
    step = max(16, min(n, max_bytes // (32 * total)))
    found = []
    for place, order in enumerate([None, *(orders or ())]):
        gram = torch.zeros(total, total, dtype=torch.float64)
        for start in range(0, n, step):
            x = torch.cat([features.centred(i, start, start + step) for i in index], 1).double()
            y = x if order is None else torch.cat([features.centred(i, start, start + step, order) for i in index], 1)
            gram.addmm_(x.T, y.double())
        owner = torch.arange(k).repeat_interleave(widths)
        squares = torch.zeros(k, total, dtype=torch.float64).index_add_(0, owner, gram.pow_(2))
        cross = torch.zeros(k, k, dtype=torch.float64).index_add_(1, owner, squares)
        both = norms @ (norms if order is None else norms[:, order]).T
        found.append(cross - n / (n - 2) * both + torch.outer(traces, traces) / ((n - 1) * (n - 2)))
        progress(place + 1, 1 + len(orders or ()))
    return torch.stack(found)
