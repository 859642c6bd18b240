"""An affine map of activations, fitted in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import require_range
from probes.similarity.products import Products

RANK = 1e-12  # directions with less than this share of the largest variance count as constant


@dataclass(frozen=True, eq=False)
class AffineMap:
    """``x @ weight + bias``, from activations of one network to those of another.

    Attributes:
        weight: ``[d_from, d_to]``.
        bias: ``[d_to]``.
    """

    weight: Float[Tensor, "d_from d_to"]
    bias: Float[Tensor, "d_to"]

    @classmethod
    def fitted(cls, made: Products, ridge: float = 0.0) -> AffineMap:
        """Least squares of Y on X from their centred products: ``weight = (X^T X + ridge s I)^+ X^T Y``.

        Args:
            made: products of X ``[n, d_from]`` and Y ``[n, d_to]``.
            ridge: added to the diagonal of ``X^T X``, as a share of its mean s.

        Returns:
            the map; of several that fit alike the smallest. In float64.

        Raises:
            InterpError: a negative ridge.

        >>> from probes.similarity.products import products
        >>> x = torch.tensor([[0.0], [1.0], [2.0]])
        >>> found = AffineMap.fitted(products(x, 3 * x + 1))
        >>> round(found.weight.item(), 9), round(found.bias.item(), 9)
        (3.0, 1.0)
        """
        require_range("ridge", ridge, 0)
        xx = made.xx
        if ridge:
            xx = xx + ridge * xx.diagonal().mean() * torch.eye(len(xx)).to(xx)
        weight = torch.linalg.pinv(xx, rtol=RANK, hermitian=True) @ made.xy
        weight = weight if bool(made.alive_x.any()) else torch.zeros_like(weight)
        return cls(weight, made.mean_y - made.mean_x @ weight)

    def __call__(self, x: Float[Tensor, "n d_from"]) -> Float[Tensor, "n d_to"]:
        """The mapped rows."""
        return x.to(self.weight) @ self.weight + self.bias


def explained(y: Float[Tensor, "n d"], found: Float[Tensor, "n d"], mean: Float[Tensor, "d"]) -> float:
    """Share of the squared distance of rows from a mean that other rows explain.

    Args:
        y: the rows.
        found: what stands for them.
        mean: their mean where the map was fitted.

    Returns:
        1 for the same rows, 0 for the mean, negative for worse; NaN where the rows are all at the mean.
    """
    total = float((y - mean).square().sum())
    return 1 - float((y - found).square().sum()) / total if total > 0 else float("nan")
