"""Activation functions by name."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from interp.errors import UnknownName, unknown

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "gelu": nn.functional.gelu,
    "gelu_new": lambda x: nn.functional.gelu(x, approximate="tanh"),
    "silu": nn.functional.silu,
    "square": torch.square,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "identity": lambda x: x,
}


def make_activation(name: str) -> Callable[[Tensor], Tensor]:
    """The elementwise activation function with that name.

    Args:
        name: a key of `ACTIVATIONS`.

    Returns:
        a function of a tensor that gives one of the same shape.

    Raises:
        UnknownName: no such activation function; the message suggests the nearest.
    """
    if name not in ACTIVATIONS:
        raise UnknownName(unknown("activation", name, ACTIVATIONS))
    return ACTIVATIONS[name]
