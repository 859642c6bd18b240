"""A CPPN's activation functions: every slot of a layer has its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Activation:
    """An elementwise function.

    Attributes:
        function: of z.
        derivative: of z and the function's value.
    """

    function: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor, Tensor], Tensor]


_LINEAR = Activation(lambda z: z, lambda z, _: torch.ones_like(z))
# Picbreeder's gaussian and sigmoid run from -1 to 1; CPPN Explorer adds step, ublin, ugaussian and usigmoid from 0 to 1:
# https://github.com/Evolving-AI-Lab/cppnx/blob/master/cppn-x/src/CE_ActivationFunctions.cpp
CPPN_ACTIVATIONS: dict[str, Activation] = {
    "cache": _LINEAR,
    "cos": Activation(torch.cos, lambda z, _: -z.sin()),
    "gaussian": Activation(lambda z: 2 * torch.exp(-z.square()) - 1, lambda z, out: -2 * z * (out + 1)),
    "identity": _LINEAR,
    "relu": Activation(torch.relu, lambda z, _: (z > 0).to(z)),
    "sigmoid": Activation(lambda z: 2 * torch.sigmoid(z) - 1, lambda _, out: (1 - out.square()) / 2),
    "sin": Activation(torch.sin, lambda z, _: z.cos()),
    "step": Activation(lambda z: (z > 0).to(z), lambda z, _: torch.zeros_like(z)),
    "tanh": Activation(torch.tanh, lambda _, out: 1 - out.square()),
    "ublin": Activation(lambda z: z.clamp(0, 1), lambda z, _: ((z >= 0) & (z <= 1)).to(z)),
    "ugaussian": Activation(lambda z: torch.exp(-z.square()), lambda z, out: -2 * z * out),
    "usigmoid": Activation(torch.sigmoid, lambda _, out: out * (1 - out)),
}
LINEAR = tuple(name for name, activation in CPPN_ACTIVATIONS.items() if activation is _LINEAR)


def activate(z: Tensor, groups: tuple[tuple[str, int], ...]) -> Tensor:
    """Apply each slot's activation function; with a member axis the backward pass takes one kernel per group.

    Args:
        z: ``[(member,) slot, pixel]``.
        groups: pairs of an activation function and its number of slots, in order.

    Returns:
        of the shape of ``z``.
    """
    return _Activate.apply(z, groups) if z.ndim == 3 else _mixed(z, groups)  # pyright: ignore[reportReturnType]


def _mixed(z: Tensor, groups: tuple[tuple[str, int], ...]) -> Tensor:
    parts = z.split([n for _, n in groups], -2)
    return torch.cat([CPPN_ACTIVATIONS[name].function(p) for p, (name, _) in zip(parts, groups, strict=True)], -2)


class _Activate(torch.autograd.Function):
    """`_mixed`, keeping only z and the result for the backward pass, not the steps between them."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, groups: tuple[tuple[str, int], ...]) -> Tensor:
        out = _mixed(z, groups)
        ctx.save_for_backward(z, out)
        ctx.groups = groups
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        sizes = [n for _, n in ctx.groups]
        pieces = zip(*(t.split(sizes, -2) for t in (*ctx.saved_tensors, *gradients)), ctx.groups, strict=True)
        slopes = [
            g if name in LINEAR else CPPN_ACTIVATIONS[name].derivative(z, out).mul_(g)
            for z, out, g, (name, _) in pieces
        ]
        return torch.cat(slopes, -2), None
