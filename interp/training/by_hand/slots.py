"""A CPPN's activation functions with their derivatives, both written into memory that is there already."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from interp.hooked.cppn.activation_functions import CPPN_ACTIVATIONS, LINEAR

InPlace = Callable[[Tensor, Tensor], object]


def in_place(name: str, like: Tensor) -> InPlace | None:
    """An activation function that replaces its input by its value, and a second tensor by its derivative.

    Args:
        name: of the activation function.
        like: an input; gives shape, dtype and device.

    Returns:
        the function; None for a linear one, which leaves everything as it is.
    """
    if name in LINEAR:
        return None
    return {"gaussian": _gaussian(like), "sin": _sin, "cos": _cos, "relu": _relu}.get(name) or _other(name)


def _gaussian(like: Tensor) -> InPlace:
    half, minus_one, minus_four = torch.empty_like(like), like.new_tensor(-1.0), like.new_tensor(-4.0)

    def gaussian(z: Tensor, slope: Tensor) -> None:
        torch.mul(z, z, out=half).neg_().exp_()
        torch.mul(z, half, out=slope).mul_(minus_four)
        torch.add(minus_one, half, alpha=2, out=z)

    return gaussian


def _sin(z: Tensor, slope: Tensor) -> None:
    torch.cos(z, out=slope)
    z.sin_()


def _cos(z: Tensor, slope: Tensor) -> None:
    torch.sin(z, out=slope).neg_()
    z.cos_()


def _relu(z: Tensor, slope: Tensor) -> None:
    torch.gt(z, 0, out=slope)
    z.relu_()


def _other(name: str) -> InPlace:
    activation = CPPN_ACTIVATIONS[name]

    def function(z: Tensor, slope: Tensor) -> None:
        out = activation.function(z)
        slope.copy_(activation.derivative(z, out))
        z.copy_(out)

    return function
