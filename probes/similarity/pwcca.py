"""Projection weighted canonical correlation analysis (PWCCA)."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from probes.similarity.cca import canonical_correlations
from probes.similarity.products import Products, as_products


def pwcca(x: Float[Tensor, "n d1"] | Products, y: Float[Tensor, "n d2"] | None = None) -> float:
    """PWCCA: the mean of the canonical correlations, weighted by how much of X each canonical variate accounts for.

    ``sum_i a_i rho_i / sum_i a_i`` with ``a_i = sum_j |<h_i, x_j>|``, h_i the i-th canonical variate of X and x_j its j-th
    unit over inputs. Morcos et al. 2018, Insights on representational similarity in neural networks with canonical
    correlation, https://arxiv.org/abs/1806.05759. It is not symmetric: the weights are those of X. Any invertible map of
    Y's features leaves it, of X's only a permutation and a scale. It misleads where Y has the smaller rank, since what X
    has beyond that gets no weight, and like CCA with few inputs.

    Args:
        x: ``[n, d1]``, one input per row, or `Products`.
        y: ``[n, d2]``, the same inputs; omitted with products.

    Returns:
        Between 0 and 1; NaN where a representation is constant.

    Raises:
        InterpError: fewer inputs than `canonical_correlations` needs.

    >>> import torch
    >>> x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [2.0, 3.0]])
    >>> round(pwcca(x, x @ torch.tensor([[1.0, 2.0], [3.0, 4.0]])), 6)
    1.0
    """
    made = as_products(x, y)
    found = canonical_correlations(made)
    weights = (made.xx @ found.x).abs().sum(0)
    return float(found.correlations @ weights / weights.sum()) if len(weights) else math.nan
