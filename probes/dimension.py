"""Effective dimension: along how many directions a cloud of points is spread."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from probes.spectra import pca


def effective_dimension(points: Float[Tensor, "points dim"]) -> float:
    """Effective dimension ``exp(-sum q_i ln q_i)`` of the explained-variance ratios q_i of PCA, in float64.

    Liu et al. 2022, Towards Understanding Grokking: An Effective Theory of Representation Learning,
    https://arxiv.org/abs/2205.10343, figure 7.

    Args:
        points: one per row, ``[points, dim]``.

    Returns:
        1 for points on a line, n for an n-dimensional ball, 0 if all points coincide.

    >>> import torch
    >>> circle = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    >>> round(effective_dimension(circle), 6), round(effective_dimension(circle[:2]), 6)
    (2.0, 1.0)
    """
    return pca(points).effective_rank
