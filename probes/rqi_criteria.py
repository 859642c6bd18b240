"""When two sums of embeddings count as one point: by the paper, or by its authors' code.

Liu et al. 2022, Towards Understanding Grokking: An Effective Theory of Representation Learning,
https://arxiv.org/abs/2205.10343, and ejmichaud/grokking-squared. The two differ in scale, distance and threshold, so a
representation quality index means something only with the name of its criterion.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from interp.errors import UnknownName, unknown
from probes._tensors import as_table

Criterion = Literal["paper", "code"]
CRITERIA: tuple[Criterion, ...] = ("paper", "code")
DELTA = 0.01
ROUNDING = 1e-12  # sums of floats that are equal on paper differ by this, relative to the largest
DELTA_PRODUCTS = 0.5  # of the code, for matrices that are multiplied


def usual_delta(criterion: Criterion, product: bool) -> float:
    """The threshold of a criterion.

    Args:
        criterion: ``"paper"``: 0.01. ``"code"``: 0.01, and 0.5 for products of matrices.
        product: whether embeddings are matrices that are multiplied.

    Returns:
        the threshold, in the unit of `near`.

    Raises:
        UnknownName: another criterion.
    """
    if criterion not in CRITERIA:
        raise UnknownName(unknown("criterion", criterion, CRITERIA))
    return DELTA_PRODUCTS if criterion == "code" and product else DELTA


def near(
    distance: Float[Tensor, "..."], dim: int, *, product: bool, delta: float, criterion: Criterion, slack: float = 0.0
) -> Bool[Tensor, "..."]:
    """Which distances count as none.

    ``"paper"``: ``|d| <= delta``, for products of matrices ``|d|_F^2 <= delta``. ``"code"``: the mean over dimensions of
    ``d^2`` is below delta; in one dimension and at 0.01 that is ``|d| < 0.1``.

    Args:
        distance: Euclidean, between two sums (or products) of embeddings.
        dim: numbers in an embedding.
        product: whether embeddings are matrices that are multiplied.
        delta: the threshold.
        criterion: which of the two.
        slack: what rounding adds to a distance of 0, for ``<=``.

    Returns:
        booleans of the same shape.
    """
    if criterion == "code":
        return distance.square() / dim < delta
    return (distance.square() if product else distance) <= delta + slack


def code_scale(embeddings: Float[Tensor, "symbol dim"], product: bool) -> Float[Tensor, "symbol dim"]:
    """Embeddings in the scale in which the authors' code counts parallelograms.

    Vectors have mean 0 and, in each dimension, the unbiased standard deviation 1; entries of matrices have a mean square of
    1, and are not centred.

    Args:
        embeddings: one per symbol, ``[symbol, dim]``.
        product: whether they are matrices that are multiplied.

    Returns:
        ``[symbol, dim]`` in float64; a dimension in which all coincide is 0.

    >>> code_scale(torch.tensor([[1.0], [3.0]]), False).square().sum().item()  # (n - 1) times the variance
    1.0
    """
    table = as_table(embeddings, "embeddings").detach().double()
    if product:
        return divided(table, table.square().mean().sqrt(), table)
    return divided(table - table.mean(0), table.std(0), table)


def divided(values: Float[Tensor, "symbol dim"], scale: Float[Tensor, "..."], table: Tensor) -> Tensor:
    """Divide embeddings by a scale; where they coincide but for rounding, the result is 0.

    Args:
        values: perhaps centred.
        scale: of all, or of each dimension.
        table: the embeddings before that.

    Returns:
        of the shape of ``values``.
    """
    varies = ~(scale <= ROUNDING * table.abs().amax())  # NaN stays
    return torch.where(varies, values / scale.where(varies, torch.ones_like(scale)), torch.zeros_like(values))
