"""Whether points in a plane lie on a circle, in the order of one frequency."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def on_plane(
    points: Float[Tensor, "point dim"], axes: Float[Tensor, "2 dim"]
) -> tuple[Float[Tensor, "point 2"], Float[Tensor, "frequency"]]:
    """Points on two axes, centred, and the share of their variance on each frequency from 1 on."""
    flat = (points - points.mean(0)) @ axes.T
    power = torch.fft.rfft(flat, dim=0).abs().square().sum(1)[1:]
    return flat, power / power.sum()


def unevenness(flat: Float[Tensor, "point 2"]) -> float:
    """How much the radius varies: its standard deviation over its mean; 0 for a circle, 0.52 for a normal cloud."""
    radius = flat.norm(dim=1)
    return float(radius.std() / radius.mean())


def on_random_planes(points: Float[Tensor, "point dim"], frequency: int, draws: int = 500) -> Float[Tensor, "draw"]:
    """The share of one frequency on random planes."""
    generator, dim = torch.Generator().manual_seed(0), points.shape[1]
    planes = [torch.randn(dim, 2, generator=generator, dtype=torch.float64) for _ in range(draws)]
    return torch.stack([on_plane(points, torch.linalg.qr(plane).Q.T)[1][frequency - 1] for plane in planes])
