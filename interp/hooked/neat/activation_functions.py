"""neat-python's activation functions, by name: https://neat-python.readthedocs.io/en/latest/activation.html."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

SELU_SCALE, SELU_ALPHA = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717


def _below(z: Tensor) -> Tensor:
    """exp(z) - 1 where z is negative, 0 elsewhere."""
    return z.clamp(max=0).exp() - 1


def _inverse(z: Tensor) -> Tensor:
    zero = z == 0
    return torch.where(zero, torch.zeros_like(z), 1 / torch.where(zero, torch.ones_like(z), z))


NEAT_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "abs": torch.abs,
    "clamped": lambda z: z.clamp(-1, 1),
    "cube": lambda z: z**3,
    "elu": lambda z: z.clamp(min=0) + _below(z),
    "exp": lambda z: z.clamp(-60, 60).exp(),
    "gauss": lambda z: torch.exp(-5 * z.clamp(-3.4, 3.4).square()),
    "hat": lambda z: (1 - z.abs()).clamp(min=0),
    "identity": lambda z: z,
    "inv": _inverse,
    "lelu": lambda z: z.clamp(min=0) + 0.005 * z.clamp(max=0),
    "log": lambda z: z.clamp(min=1e-7).log(),
    "relu": torch.relu,
    "selu": lambda z: SELU_SCALE * (z.clamp(min=0) + SELU_ALPHA * _below(z)),
    "sigmoid": lambda z: torch.sigmoid((5 * z).clamp(-60, 60)),
    "sin": lambda z: torch.sin((5 * z).clamp(-60, 60)),
    "softplus": lambda z: 0.2 * torch.log(1 + (5 * z).clamp(-60, 60).exp()),
    "square": torch.square,
    "tanh": lambda z: torch.tanh((2.5 * z).clamp(-60, 60)),
}
