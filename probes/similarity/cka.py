"""Centred kernel alignment with linear kernels (linear CKA), debiased."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError
from probes.similarity.products import Products, as_products


def cka(x: Float[Tensor, "n d1"] | Products, y: Float[Tensor, "n d2"] | None = None, *, debiased: bool = True) -> float:
    """Linear CKA ``HSIC(X, Y) / sqrt(HSIC(X, X) HSIC(Y, Y))``, debiased by the unbiased estimator of HSIC.

    Kornblith et al. 2019, Similarity of neural network representations revisited, https://arxiv.org/abs/1905.00414; the
    estimator is HSIC_1 of Song et al. 2012, Feature selection via dependence maximization,
    https://jmlr.org/papers/v13/song12a.html. With linear kernels and centred columns it comes down to

    ``|X^T Y|_F^2 - n / (n - 2) sum_i |x_i|^2 |y_i|^2 + |X|_F^2 |Y|_F^2 / ((n - 1) (n - 2))``

    up to a factor that cancels, so that no n x n kernel is needed. It does not change with rotation of the features or one
    scale for all of them. It misleads where a few directions hold most of the variance, since they decide it alone. Biased
    CKA (``debiased=False``) of independent data grows towards 1 with d / n; debiased CKA is about 0 for them, and can be
    negative.

    Args:
        x: ``[n, d1]``, one input per row, or `Products`.
        y: ``[n, d2]``, the same inputs; omitted with products.
        debiased: whether HSIC is estimated without bias.

    Returns:
        1 for the same representation up to rotation and scale; NaN where one is constant.

    Raises:
        InterpError: fewer than 4 inputs (2 if not debiased), or input that `products` refuses.

    >>> import torch
    >>> x = torch.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [0.0, 3.0], [1.0, 1.0]])
    >>> round(cka(x, 2 * x.flip(1)), 6)
    1.0
    """
    made = as_products(x, y)
    least = 4 if debiased else 2
    if made.n < least:
        raise InterpError(f"{'debiased ' if debiased else ''}CKA needs at least {least} inputs, got {made.n}")
    if made.constant:
        return math.nan
    hsic = _unbiased if debiased else _biased
    xx, yy = float(made.xx.trace()), float(made.yy.trace())
    of_x = hsic(made.n, float(made.xx.pow(2).sum()), xx, xx, made.norms_xx)
    of_y = hsic(made.n, float(made.yy.pow(2).sum()), yy, yy, made.norms_yy)
    both = hsic(made.n, float(made.xy.pow(2).sum()), xx, yy, made.norms_xy)
    # U-centred kernels have a squared norm that is never negative; rounding's share of it counts as 0
    if not (of_x > 1e-12 * xx**2 and of_y > 1e-12 * yy**2):
        return math.nan
    return both / math.sqrt(of_x * of_y)


def _biased(n: int, cross: float, trace_x: float, trace_y: float, norms: float) -> float:
    return cross


def _unbiased(n: int, cross: float, trace_x: float, trace_y: float, norms: float) -> float:
    return cross - n / (n - 2) * norms + trace_x * trace_y / ((n - 1) * (n - 2))
