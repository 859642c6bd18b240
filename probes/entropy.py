"""Absolute weight entropy: how the size of the weights is spread."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError
from interp.plugins.measure import measure
from interp.snapshot import Snapshot


def weight_entropy(weights: Float[Tensor, "..."]) -> Float[Tensor, ""]:
    """``H(W) = -sum |w| ln |w|``, natural logarithm, 0 ln 0 = 0, in float64.

    Source: METHODS B (Golechha 2024). No entropy of a distribution: the |w| are not normalised, so that it depends on the
    scale, and weights above 1 count negatively.

    >>> round(weight_entropy(torch.tensor([1.0, 0.0, math.exp(-1)])).item(), 6)  # 0 + 0 + 1/e
    0.367879
    """
    return torch.special.entr(weights.detach().double().abs()).sum()


def uniform_entropy(rows: int, columns: int, a: float) -> float:
    """What `weight_entropy` is, on average, for weights drawn from U[-a, a]: ``m n (a / 4 - (a / 2) ln a)``.

    >>> uniform_entropy(10, 10, 1.0)
    25.0
    """
    if not a > 0:
        raise InterpError(f"the half width a must be above 0, got {a}")
    return rows * columns * (a / 4 - a / 2 * math.log(a))


@measure(
    "weight_entropy", order=12, summary="absolute weight entropy -sum |w| ln |w| of every matrix, and of all together"
)
def entropies(snapshot: Snapshot) -> dict[str, float]:
    """`weight_entropy` of every weight matrix (``all``: their sum, without the biases)."""
    found = {name: weight_entropy(matrix) for name, matrix in snapshot.matrices.items()}
    values = torch.stack(list(found.values())).tolist() if found else []
    return {"all": sum(values), **dict(zip(found, values, strict=True))}
