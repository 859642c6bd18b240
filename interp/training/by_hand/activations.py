"""Activation functions in place, and their derivatives times a gradient in place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

aten = torch.ops.aten


@dataclass(frozen=True)
class Activation:
    """An activation function whose derivative is a function of its output, or of its input.

    Attributes:
        forward: from the input into the second tensor, which may be the input itself unless `of_input`.
        backward: multiplies a gradient, in place, by the derivative; the second argument is the output or the input.
        of_input: whether `backward` needs the input.
    """

    forward: Callable[[Tensor, Tensor], object]
    backward: Callable[[Tensor, Tensor], object]
    of_input: bool = False


def _gelu(approximate: str) -> Activation:
    return Activation(
        lambda x, out: aten.gelu.out(x, approximate=approximate, out=out),
        lambda g, x: aten.gelu_backward.grad_input(g, x, approximate=approximate, grad_input=g),
        of_input=True,
    )


# by the names of `interp.hooked.activation_functions.ACTIVATIONS`; those that are missing are left to autograd
BY_HAND: dict[str, Activation] = {
    "relu": Activation(
        lambda x, out: torch.clamp_min(x, 0, out=out),
        lambda g, y: aten.threshold_backward.grad_input(g, y, 0, grad_input=g),
    ),
    "tanh": Activation(
        lambda x, out: torch.tanh(x, out=out), lambda g, y: aten.tanh_backward.grad_input(g, y, grad_input=g)
    ),
    "sigmoid": Activation(
        lambda x, out: torch.sigmoid(x, out=out), lambda g, y: aten.sigmoid_backward.grad_input(g, y, grad_input=g)
    ),
    "identity": Activation(lambda x, out: x if out is x else out.copy_(x), lambda g, y: g),
    "gelu": _gelu("none"),
    "gelu_new": _gelu("tanh"),
    "silu": Activation(
        lambda x, out: aten.silu.out(x, out=out),
        lambda g, x: aten.silu_backward.grad_input(g, x, grad_input=g),
        of_input=True,
    ),
    "square": Activation(lambda x, out: torch.square(x, out=out), lambda g, x: g.mul_(x).mul_(2), of_input=True),
}
