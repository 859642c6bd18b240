"""Singular values and principal components: SVD, PCA, effective rank, participation ratio."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError
from probes._tensors import as_tensor
from probes.basis import Basis

ROUNDING = 1e-28  # what float64 leaves of a constant, as a share of the data's squared norm


def effective_rank(singular_values: Float[Tensor, "n"]) -> float:
    """Effective rank ``exp(-sum q_i ln q_i)`` with ``q_i = s_i^2 / sum s^2``.

    Roy and Vetterli 2007, The effective rank: a measure of effective dimensionality,
    https://ieeexplore.ieee.org/document/7098875, with s_i^2 where they take s_i, which gives larger numbers.

    Args:
        singular_values: ``[n]``, in any order.

    Returns:
        1 for a single direction, n for n equal ones, 0 if all are 0, NaN if one is NaN or infinite.

    >>> round(effective_rank(torch.tensor([2.0, 2.0, 2.0, 0.0])), 6)
    3.0
    """
    q = as_tensor(singular_values, "singular_values").double().pow(2)
    total = q.sum()
    if total == 0:
        return 0.0
    return float(torch.special.entr(q / total).sum().exp())


def participation_ratio(singular_values: Float[Tensor, "n"]) -> float:
    """Participation ratio ``(sum s_i^2)^2 / sum s_i^4``: an effective rank that small values influence less.

    Args:
        singular_values: ``[n]``, in any order.

    Returns:
        1 for a single direction, n for n equal ones, 0 if all are 0, NaN if one is NaN or infinite.

    >>> participation_ratio(torch.tensor([1.0, 1.0, 0.0]))
    2.0
    """
    q = as_tensor(singular_values, "singular_values").double().pow(2)
    return 0.0 if q.sum() == 0 else float(q.sum() ** 2 / q.pow(2).sum())


@dataclass(frozen=True)
class Reduction:
    """Singular values, largest first, and their directions. Functions that take a Basis take a Reduction as well.

    Attributes:
        singular_values: ``[n]``; for PCA those of the centred data, so that ``s^2 / samples`` are variances.
        basis: right singular vectors (of a weight ``[in, out]``: directions of the output), or principal components.
        left: left singular vectors as a Basis (of a weight: directions of the input); None for PCA.
        mean: what was subtracted first, ``[dim]``; zeros for SVD.
    """

    singular_values: Float[Tensor, "n"]
    basis: Basis
    left: Basis | None
    mean: Float[Tensor, "dim"]

    @property
    def effective_rank(self) -> float:
        """`effective_rank` of the singular values."""
        return effective_rank(self.singular_values)

    @property
    def participation_ratio(self) -> float:
        """`participation_ratio` of the singular values."""
        return participation_ratio(self.singular_values)

    @property
    def explained(self) -> Float[Tensor, "n"]:
        """Share of the squared norm by direction; for PCA the explained-variance ratios."""
        q = self.singular_values.pow(2)
        return q / q.sum().clamp_min(torch.finfo(q.dtype).tiny)


def svd(matrix: Float[Tensor, "rows dim"]) -> Reduction:
    """Singular value decomposition of a matrix, in float64.

    Args:
        matrix: ``[rows, dim]``, such as a weight ``[in, out]``.

    Returns:
        ``min(rows, dim)`` singular values with both sets of singular vectors, named ``singular 0``, ...

    Raises:
        InterpError: not a matrix, or NaN or infinity in it.

    >>> round(svd(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).singular_values[0].item(), 6)
    4.0
    """
    matrix = _finite(matrix)
    u, s, vh = torch.linalg.svd(matrix, full_matrices=False)
    names = tuple(f"singular {i}" for i in range(len(s)))
    return Reduction(s, Basis(vh, names), Basis(u.T, names), torch.zeros_like(matrix[0]))


def pca(data: Float[Tensor, "samples dim"]) -> Reduction:
    """Principal component analysis of the rows, by the eigenvectors of their covariance, in float64.

    The covariance is dim x dim, so the number of samples only costs one matrix product.

    Args:
        data: one sample per row, ``[samples, dim]``.

    Returns:
        ``min(samples, dim)`` components, named ``PC 0``, ...; ``explained`` are the explained-variance ratios.

    Raises:
        InterpError: not a matrix, or NaN or infinity in it.

    >>> pca(torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 1.0], [2.0, 1.0]])).explained.tolist()
    [0.8, 0.2]
    """
    data = _finite(data)
    mean = data.mean(0)
    centred = data - mean
    eigenvalues, vectors = torch.linalg.eigh(centred.T @ centred)
    eigenvalues = eigenvalues.where(eigenvalues > ROUNDING * data.pow(2).sum(), torch.zeros_like(eigenvalues))
    rank = min(data.shape)
    s = eigenvalues.flip(0)[:rank].clamp_min(0).sqrt()
    return Reduction(s, Basis(vectors.flip(1).T[:rank], tuple(f"PC {i}" for i in range(rank))), None, mean)


def _finite(matrix: Tensor) -> Tensor:
    matrix = as_tensor(matrix, "matrix").detach().double()
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise InterpError(f"a matrix [rows, columns] is needed, got shape {list(matrix.shape)}")
    if not bool(matrix.isfinite().all()):
        raise InterpError("the matrix holds NaN or infinity, so its singular values are not defined")
    return matrix
