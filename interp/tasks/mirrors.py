"""Symmetry and factors of an image: its mirrors, and what is even or odd under them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from interp.tasks.factors import FactorAxis, Factors, walsh_rows
from interp.tasks.symmetry import Symmetry

ROUNDING = 2.5 / 255  # colours that differ by no more are equal: two steps of 8 bits


def mirrors(rows: int, columns: int, colours: Float[Tensor, "pixel channel"]) -> Symmetry | str:
    """The mirrors and the half turn that leave an image as it is.

    Args:
        rows: of pixels.
        columns: of pixels.
        colours: in row-major order, from 0 to 1.

    Returns:
        the symmetry, or why there is none.
    """
    pixels = torch.arange(rows * columns).view(rows, columns)
    moves = {"left-right mirror": pixels.flip(1), "up-down mirror": pixels.flip(0), "half turn": pixels.flip(0, 1)}
    channels = torch.arange(colours.shape[1]).unsqueeze(0)
    kept = [
        (name, there.flatten())
        for name, there in moves.items()
        if Symmetry(name, there.reshape(1, -1), channels).breach(colours.float(), ROUNDING) is None
    ]
    if not kept:
        return "the image is the same under no mirror and no half turn, so it has no symmetry to follow"
    names, inputs = zip(*kept, strict=True)
    return Symmetry(", ".join(names), torch.stack(inputs), channels.expand(len(kept), -1))


def even_and_odd(rows: int, columns: int) -> Factors:
    """What is even and what is odd under the left-right mirror, whether or not the image is symmetric.

    Args:
        rows: of pixels.
        columns: of pixels.

    Returns:
        two factors; a middle column, which is even, is left out.
    """
    pixels = torch.arange(rows * columns).view(rows, columns)
    half = columns // 2
    index = torch.stack([pixels[:, :half].flatten(), pixels.flip(1)[:, :half].flatten()])
    axis = FactorAxis("left and right", index, walsh_rows(1), torch.arange(2))
    return Factors("parity under the mirror", ("even", "odd"), (axis,), None, constant=None)
