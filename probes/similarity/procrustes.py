"""Procrustes shape distance of two representations: the angle that is left after the best rotation."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError
from probes.similarity.products import Products, as_products


def procrustes_angle(x: Float[Tensor, "n d1"] | Products, y: Float[Tensor, "n d2"] | None = None) -> float:
    """Angular Procrustes distance ``arccos(|X^T Y|_* / (|X|_F |Y|_F))``, X and Y centred, ``|.|_*`` the nuclear norm.

    Williams et al. 2021, Generalized shape metrics on neural representations, https://arxiv.org/abs/2110.14739. It is a
    metric: the angle between X and Y, both of norm 1, after the rotation (or reflection) that brings them closest; the
    narrower one is padded with zeros. It misleads with few inputs: a rotation in d > n dimensions fits a good part of any
    data, so set it beside `permuted`. Angles below about 1e-7 are rounding.

    Args:
        x: ``[n, d1]``, one input per row, or `Products`.
        y: ``[n, d2]``, the same inputs; omitted with products.

    Returns:
        In radians, between 0 (the same up to rotation and scale) and pi / 2; NaN where a representation is constant.

    Raises:
        InterpError: fewer than 2 inputs, or input that `products` refuses.

    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0]])
    >>> round(procrustes_angle(x, 3 * x.flip(1)), 4)
    0.0
    >>> round(procrustes_angle(torch.tensor([[1.0], [-1.0], [0.0]]), torch.tensor([[1.0], [1.0], [-2.0]])) * 2 / math.pi, 6)
    1.0
    """
    made = as_products(x, y)
    if made.n < 2:
        raise InterpError("Procrustes distance needs at least 2 inputs, got 1")
    if made.constant:
        return math.nan
    norms = math.sqrt(float(made.xx.trace()) * float(made.yy.trace()))
    return math.acos(min(1.0, float(torch.linalg.svdvals(made.xy).sum()) / norms))
