"""Absolute weight entropy: how the magnitudes of the weights are spread."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError
from probes._tensors import as_tensor


def weight_entropy(weights: Float[Tensor, "..."]) -> Float[Tensor, ""]:
    """Absolute weight entropy ``H(W) = -sum |w| ln |w|``, with 0 ln 0 = 0, in float64.

    Golechha 2024, Progress Measures for Grokking on Real-world Tasks, https://arxiv.org/abs/2405.12755. The ``|w|`` are
    not normalised to a distribution, so H depends on the scale of the weights, and weights above 1 contribute negatively.

    Args:
        weights: a tensor of any shape.

    Returns:
        The entropy in nats times the weights' unit, a scalar tensor; NaN if a weight is NaN.

    >>> round(weight_entropy(torch.tensor([1.0, 0.0, math.exp(-1)])).item(), 6)  # 0 + 0 + 1/e
    0.367879
    """
    return torch.special.entr(as_tensor(weights, "weights").detach().double().abs()).sum()


def uniform_entropy(rows: int, columns: int, a: float) -> float:
    """Expected `weight_entropy` of a matrix drawn from U[-a, a]: ``m n (a / 4 - (a / 2) ln a)``.

    Args:
        rows: m.
        columns: n.
        a: half width of the distribution, above 0.

    Returns:
        The mean over draws, the value at a uniform initialisation.

    Raises:
        InterpError: a half width that is not above 0.

    >>> uniform_entropy(10, 10, 1.0)
    25.0
    """
    if not a > 0:
        raise InterpError(f"the half width a must be above 0, got {a}")
    return rows * columns * (a / 4 - a / 2 * math.log(a))
