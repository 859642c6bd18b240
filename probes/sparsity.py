"""Activation sparsity: the share of a layer's activations that are off."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from probes._tensors import as_tensor


def activation_sparsity(
    activations: Float[Tensor, "inputs units"], tau: float, *, absolute: bool = False
) -> Float[Tensor, ""]:
    """Activation sparsity ``S(tau)``: the mean over inputs and units of ``[a < tau]``.

    Golechha 2024, Progress Measures for Grokking on Real-world Tasks, https://arxiv.org/abs/2405.12755, defines it for
    ReLU. Misleads on units whose sign varies, where ``a < tau`` counts strongly negative activations as off: use
    ``absolute`` there.

    Args:
        activations: of one layer, ``[inputs, units]``.
        tau: the threshold, exclusive.
        absolute: take ``[|a| < tau]`` instead.

    Returns:
        A share from 0 to 1, a scalar tensor in float64; NaN if an activation is NaN.

    >>> round(activation_sparsity(torch.tensor([[0.0, 2.0], [-3.0, 1.0]]), 0.5).item(), 4)
    0.5
    >>> activation_sparsity(torch.tensor([[0.0, 2.0], [-3.0, 1.0]]), 0.5, absolute=True).item()
    0.25
    """
    activations = as_tensor(activations, "activations")
    off = (activations.abs() if absolute else activations) < tau
    return off.double().where(~activations.isnan(), torch.nan).mean()
