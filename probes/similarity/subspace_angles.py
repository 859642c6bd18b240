"""Principal angles between the subspaces that two representations span, and how many dimensions they share."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError, require_range
from probes.similarity.cca import canonical_correlations, mean_or_nan
from probes.similarity.permutations import permuted_products
from probes.similarity.products import Products, as_products


def subspace_angles(
    x: Float[Tensor, "n d1"] | Products,
    y: Float[Tensor, "n d2"] | None = None,
    *,
    rank: int | None = None,
    variance: float | None = 0.99,
) -> Float[Tensor, "k"]:
    """Principal angles between the principal subspaces of X and Y, as patterns over inputs (columns of length n).

    Bjoerck and Golub 1973, Numerical methods for computing angles between linear subspaces,
    https://doi.org/10.2307/2005662. Their cosines are the canonical correlations between the principal components that are
    kept. They mislead where the cut falls among components of similar variance. Angles below about 1e-7 are rounding.

    Args:
        x: ``[n, d1]``, one input per row, or `Products`.
        y: ``[n, d2]``, the same inputs; omitted with products.
        rank: at most this many principal components of each.
        variance: the fewest components that hold this share of the variance; None for all.

    Returns:
        Angles in radians, smallest first, ``[k]``, k the smaller rank; none where a representation is constant.

    Raises:
        InterpError: fewer inputs than components, or a share or rank out of range.

    >>> import torch
    >>> x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> subspace_angles(x[:, :1], x[:, 1:]).numpy().round(4).tolist()
    [1.5708]
    """
    return canonical_correlations(x, y, rank=rank, variance=variance).correlations.acos()


def subspace_overlap(
    x: Float[Tensor, "n d1"] | Products,
    y: Float[Tensor, "n d2"] | None = None,
    *,
    rank: int | None = None,
    variance: float | None = 0.99,
) -> float:
    """Mean squared cosine of the principal angles: the share of the smaller principal subspace that lies in the other.

    The cosines are those of `subspace_angles`, and it misleads in the same way.

    Args:
        x: ``[n, d1]``, one input per row, or `Products`.
        y: ``[n, d2]``, the same inputs; omitted with products.
        rank: at most this many principal components of each.
        variance: the fewest components that hold this share of the variance; None for all.

    Returns:
        1 where one subspace holds the other, 0 where they are orthogonal; NaN where a representation is constant.

    Raises:
        InterpError: fewer inputs than components, or a share or rank out of range.

    >>> import torch
    >>> x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    >>> round(subspace_overlap(x, x[:, 1:]), 6)
    1.0
    """
    return mean_or_nan(canonical_correlations(x, y, rank=rank, variance=variance).correlations.pow(2))


def shared_rank(
    x: Float[Tensor, "n d1"] | Products,
    y: Float[Tensor, "n d2"] | None = None,
    *,
    variance: float | None = None,
    threshold: float | None = None,
    draws: int = 39,
    seed: int = 0,
) -> int:
    """How many dimensions two representations share: canonical correlations above those of permuted inputs.

    A correlation counts if it exceeds the largest one in every draw with the rows of Y permuted, so that independent
    representations get 0 in at least ``draws`` of ``draws + 1`` cases (39 of 40). A permutation test in the manner of
    parallel analysis, Horn 1965, https://doi.org/10.1007/BF02289447. With ``threshold`` the correlations above it count
    instead. It misleads with few inputs for the ranks, where the null comes near 1 and shared dimensions go unseen, and it
    counts dimensions that are shared however little variance they carry; ``variance`` leaves small components out.

    Args:
        x: ``[n, d1]``, one input per row, or `Products`, which need a threshold.
        y: ``[n, d2]``, the same inputs; omitted with products.
        variance: use the fewest principal components of each that hold this share of the variance; all by default.
        threshold: smallest canonical correlation that counts as shared, in place of the permutations.
        draws: how many permutations.
        seed: of the permutations.

    Returns:
        The number of shared dimensions; 0 where a representation is constant.

    Raises:
        InterpError: products without a threshold, or what `canonical_correlations` refuses.

    >>> import torch
    >>> noise = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    >>> shared_rank(noise[:, :3], noise[:, 2:] @ torch.tensor([[1.0, 0, 1], [2.0, 1, 0], [0.0, 1, 1]]))
    1
    """
    made = as_products(x, y)
    found = canonical_correlations(made, variance=variance).correlations
    if not len(found):
        return 0
    if threshold is not None:
        require_range("threshold", threshold, 0, 1)
        return int((found > threshold).sum())
    if isinstance(x, Products) or y is None:
        raise InterpError("products hold no rows to permute: give the representations, or threshold= (0.5, say)")
    require_range("draws", draws, 1)
    nulls = permuted_products(x, y, draws, seed)
    return int((found > max(_largest(null, variance) for null in nulls)).sum())


def _largest(made: Products, variance: float | None) -> float:
    return float(canonical_correlations(made, variance=variance).correlations[0])
