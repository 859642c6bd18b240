"""The plane on which embeddings are closest to a regular polygon: polygons by hand, the best of all planes by loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from interp import InterpError
from probes.polygons import most_regular_plane, regularity


def polygon(n: int, order: list[int]) -> Tensor:
    turn = 2 * math.pi * torch.tensor(order, dtype=torch.float64) / n
    return torch.stack([turn.cos(), turn.sin()], 1)


def test_regular_polygons_in_any_order_scale_and_turn() -> None:
    turned = polygon(6, [3, 1, 5, 0, 4, 2]) @ torch.linalg.qr(torch.tensor([[1.0, 2], [3, 5]], dtype=torch.float64))[0]
    assert regularity(turned + 7) == pytest.approx(1)
    assert regularity(polygon(5, [0, 2, 4, 1, 3]) * torch.tensor([1.0, 9])) == pytest.approx(1)
    assert regularity(torch.stack([torch.arange(6.0), torch.zeros(6)], 1)) == 0


def test_random_points_by_a_least_squares_fit() -> None:
    """1 minus the residual of the best complex multiple of the corners, in the order of the angles."""
    points = np.random.default_rng(0).normal(size=(7, 2))
    scaled = (points - points.mean(0)) / points.std(0)
    z = scaled @ [1, 1j]
    z = z[np.argsort(np.angle(z))]
    corners = np.exp(2j * np.pi * np.arange(7) / 7)[:, None]
    left = np.linalg.lstsq(corners, z, rcond=None)[1]
    assert regularity(torch.from_numpy(points)) == pytest.approx(1 - float(left[0]) / float((abs(z) ** 2).sum()))


def test_a_hexagon_on_the_first_and_third_component() -> None:
    """As the source has it for S_3: the second component splits even from odd."""
    signs = torch.tensor([1.0, -1, 1, -1, 1, -1], dtype=torch.float64)[:, None]
    flat = torch.cat([3 * polygon(6, list(range(6)))[:, :1], 1.5 * signs, polygon(6, list(range(6)))[:, 1:]], 1)
    plane = most_regular_plane(flat @ torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0])
    assert plane.components == (0, 2)
    assert plane.regularity == pytest.approx(1)
    assert most_regular_plane(flat, within=2).components == (0, 1)


def test_bad_points_are_refused() -> None:
    with pytest.raises(InterpError, match="two dimensions"):
        most_regular_plane(torch.randn(6, 1))
    with pytest.raises(InterpError, match="at least 3"):
        regularity(torch.randn(2, 2))
