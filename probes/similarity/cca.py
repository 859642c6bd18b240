"""Canonical correlation analysis (CCA) of two representations, whole or of their principal components."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError, require_range
from probes.similarity.products import Products, as_products

TOLERANCE = 1e-10  # directions with a smaller share of the largest variance are rounding, not signal


@dataclass(frozen=True, eq=False)
class CanonicalCorrelations:
    """Canonical correlations, largest first, and the directions that have them.

    Attributes:
        correlations: between the k-th canonical variates of both, ``[k]``, k the smaller rank.
        x: directions of X's features, ``[d1, k]``; ``(X - mean_x) @ x`` are orthonormal columns, the canonical variates.
        y: directions of Y's features, ``[d2, k]``.
        rank_x: how many principal components of X went in.
        rank_y: how many of Y.
    """

    correlations: Float[Tensor, "k"]
    x: Float[Tensor, "d1 k"]
    y: Float[Tensor, "d2 k"]
    rank_x: int
    rank_y: int


def canonical_correlations(
    x: Float[Tensor, "n d1"] | Products,
    y: Float[Tensor, "n d2"] | None = None,
    *,
    variance: float | None = None,
    rank: int | None = None,
) -> CanonicalCorrelations:
    """Canonical correlations: singular values of ``(X^T X)^(-1/2) X^T Y (Y^T Y)^(-1/2)``, X and Y centred.

    Hotelling 1936, Relations between two sets of variates, https://doi.org/10.1093/biomet/28.3-4.321. They do not change with
    any invertible linear map of the features. They are cosines of the principal angles between the column spaces of X and Y:
    patterns over inputs that both can read out linearly, however weakly. They mislead with few inputs: once the two ranks
    together exceed n - 1, some are 1 for any data. Directions with less than 1e-10 of the largest variance are dropped.

    Args:
        x: ``[n, d1]``, one input per row, or `Products`.
        y: ``[n, d2]``, the same inputs; omitted with products.
        variance: use the fewest principal components of each that hold this share of its variance; all by default.
        rank: use at most this many principal components of each.

    Returns:
        The correlations with their directions; none of them where a representation is constant.

    Raises:
        InterpError: a rank of n - 1 or more, where all correlations are 1 for any data; a share or a rank out of range.

    >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 3.0]])
    >>> canonical_correlations(x, x @ torch.tensor([[1.0, 2.0], [3.0, 4.0]])).correlations.numpy().round(6).tolist()
    [1.0, 1.0]
    """
    made = as_products(x, y)
    if variance is not None:
        require_range("variance", variance, 0, 1)
    if rank is not None:
        require_range("rank", rank, 1)
    white_x, white_y = (
        _whitening(made.xx, made.alive_x, variance, rank),
        _whitening(made.yy, made.alive_y, variance, rank),
    )
    ranks = white_x.shape[1], white_y.shape[1]
    if max(ranks) >= made.n - 1:
        raise InterpError(
            f"{made.n} inputs are too few for representations of rank {ranks[0]} and {ranks[1]}: every canonical "
            "correlation would be 1; use more inputs, or fewer principal components (variance=0.9, or rank=)"
        )
    u, s, vh = torch.linalg.svd(white_x.T @ made.xy @ white_y, full_matrices=False)
    return CanonicalCorrelations(s.clamp(0, 1), white_x @ u, white_y @ vh.T, *ranks)


def mean_cca(x: Float[Tensor, "n d1"] | Products, y: Float[Tensor, "n d2"] | None = None) -> float:
    """Mean of the canonical correlations over the smaller rank (see `canonical_correlations`).

    Raghu et al. 2017, SVCCA, https://arxiv.org/abs/1706.05806, section 2. It misleads because directions that carry next to
    no variance count as much as the others: `svcca` and `pwcca` weigh them.

    Args:
        x: ``[n, d1]``, one input per row, or `Products`.
        y: ``[n, d2]``, the same inputs; omitted with products.

    Returns:
        1 where one is an invertible linear map of the other, 0 where none of it is linear in the other; NaN if constant.

    Raises:
        InterpError: as `canonical_correlations`.

    >>> x = torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    >>> round(mean_cca(x, 5 - x), 6), round(mean_cca(x, torch.tensor([[1.0], [-1.0], [-1.0], [1.0]])), 6)
    (1.0, 0.0)
    """
    return mean_or_nan(canonical_correlations(x, y).correlations)


def mean_or_nan(values: Tensor) -> float:
    """The mean of values, or NaN where there are none.

    Args:
        values: any number of them.

    Returns:
        Their mean.
    """
    return float(values.mean()) if values.numel() else math.nan


def _whitening(gram: Tensor, alive: Tensor, variance: float | None, rank: int | None) -> Tensor:
    """Principal directions over the root of their eigenvalues, ``[d, rank]``, largest first."""
    if not bool(alive.any()):
        return gram[:, :0]
    eigenvalues, vectors = (t.flip(-1) for t in torch.linalg.eigh(gram))
    kept = int((eigenvalues > TOLERANCE * eigenvalues[0]).sum())
    if variance is not None:
        share = eigenvalues[:kept].cumsum(0) / eigenvalues[:kept].sum()
        kept = min(kept, int((share < variance * (1 - 1e-12)).sum()) + 1)
    kept = kept if rank is None else min(kept, rank)
    return vectors[:, :kept] / eigenvalues[:kept].sqrt()
