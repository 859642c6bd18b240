"""A CPPN's colours: hue, saturation and value to red, green and blue."""

from __future__ import annotations

import torch
from torch import Tensor


def rgb(hsv: Tensor) -> Tensor:
    """A CPPN's outputs (hue, saturation, value) as red, green and blue from 0 to 1.

    Hue is taken as ``(h + 1) mod 1``, saturation and ``|value|`` are clipped to 0..1, and then HSV becomes RGB:
    ``c = v - v s m`` with m = clip(2 - |6 h - 3|), clip(|6 h - 2| - 1), clip(|6 h - 4| - 1) for red, green and blue, each
    clipped to 0..1. The colours are those of https://github.com/akarshkumar0101/fer (Kumar et al. 2025,
    https://arxiv.org/abs/2505.11581), computed in another way.

    Args:
        hsv: ``[..., 3]``.

    Returns:
        ``[..., 3]``.

    >>> rgb(torch.tensor([0.0, 1.0, -1.0])).tolist()
    [1.0, 0.0, 0.0]
    """
    return torch.stack(rgb_planes(*hsv.unbind(-1)), -1)


def rgb_planes(h: Tensor, s: Tensor, v: Tensor) -> list[Tensor]:
    """`rgb` of hue, saturation and value as three tensors of one shape; gives a list of three of that shape."""
    h, s, v = 6 * (h - h.floor()), s.clamp(0, 1), v.abs().clamp(max=1)
    faded = v * s
    missing = (2 - (h - 3).abs(), (h - 2).abs() - 1, (h - 4).abs() - 1)
    return [v - faded * m.clamp(0, 1) for m in missing]
