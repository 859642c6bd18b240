"""Singular vector canonical correlation analysis (SVCCA)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from probes.similarity.cca import canonical_correlations, mean_or_nan
from probes.similarity.products import Products


def svcca(
    x: Float[Tensor, "n d1"] | Products, y: Float[Tensor, "n d2"] | None = None, *, variance: float = 0.99
) -> float:
    """SVCCA: the mean canonical correlation between the principal components that hold 99% of each one's variance.

    Raghu et al. 2017, SVCCA: singular vector canonical correlation analysis, https://arxiv.org/abs/1706.05806. It does not
    change with rotation of the features. It misleads where the threshold falls among components of similar variance: one
    more or fewer moves the mean, so look at two thresholds. With ranks near n, independent data are similar too.

    Args:
        x: ``[n, d1]``, one input per row, or `Products`.
        y: ``[n, d2]``, the same inputs; omitted with products.
        variance: share of the variance that the components of each must hold.

    Returns:
        Between 0 and 1; NaN where a representation is constant.

    Raises:
        InterpError: fewer inputs than components, or a share out of range.

    >>> import torch
    >>> x = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 0.1], [0.0, -0.1]])
    >>> round(svcca(x, x[:, :1]), 6)  # the second component has 0.1% of the variance
    1.0
    """
    return mean_or_nan(canonical_correlations(x, y, variance=variance).correlations)
