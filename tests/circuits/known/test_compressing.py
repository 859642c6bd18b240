"""A narrower stream: the same network on every CPU, also where singular values are equal."""

from __future__ import annotations

from math import cos, sin

import pytest
import torch

import circuits
from circuits.known.compressing import _settled
from interp.errors import InterpError


def test_equal_singular_values_are_turned_to_one_basis() -> None:
    """Any turn of the directions of a double singular value gives the same vectors, and their product stays."""
    u, v = (
        torch.linalg.qr(torch.randn(5, 3, dtype=torch.double, generator=torch.Generator().manual_seed(s)))[0]
        for s in (0, 1)
    )
    sizes = torch.tensor([2.0, 2.0, 1.0], dtype=torch.double)
    found = []
    for angle in (0.0, 0.3, 2.0):
        turn = torch.eye(3, dtype=torch.double)
        c, s = cos(angle), sin(angle)
        turn[:2, :2] = torch.tensor([[c, -s], [s, c]], dtype=torch.double)
        left, right = _settled(u @ turn, sizes, turn.T @ v.T)
        assert torch.allclose(left * sizes @ right, u * sizes @ v.T, atol=1e-12)
        found.append((left[:, :2], right[:2]))
    for left, right in found[1:]:
        assert torch.allclose(left, found[0][0], atol=1e-12)
        assert torch.allclose(right, found[0][1], atol=1e-12)


def test_interference_begins_where_directions_are_left_out() -> None:
    """The stream of 24 dimensions has six equal singular values: 20 dimensions keep four of them, and all answers."""
    one = circuits.known.by_name("interfering_sort")
    assert one.subject.model.config.d_model == 20
    assert one.interference
    with pytest.raises(InterpError, match="48 of 120 answers are wrong"):
        circuits.known.compressed(d_model=19)
