"""Procrustes angle against scipy's rotation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
import torch

from interp import InterpError
from probes.similarity.procrustes import procrustes_angle
from probes.similarity.products import products
from tests.probes.similarity.data import gaussian, related, rotation


def test_against_the_rotation_itself() -> None:
    """Padded with zeros to one width, scaled to norm 1 and rotated: the angle between them; and scipy's disparity."""
    x, y = related()
    wide = np.zeros((60, 8))
    wide[:, :5] = x - x.mean(0)
    other = (y - y.mean(0)).numpy()
    wide, other = wide / np.linalg.norm(wide), other / np.linalg.norm(other)
    best, _ = scipy.linalg.orthogonal_procrustes(wide, other)
    angle = procrustes_angle(x, y)
    assert angle == pytest.approx(math.acos(np.sum(wide @ best * other)), abs=1e-10)
    assert math.sin(angle) ** 2 == pytest.approx(scipy.spatial.procrustes(wide, other)[2], abs=1e-10)
    assert procrustes_angle(products(x, y).swapped()) == pytest.approx(angle)


def test_copies_and_the_triangle() -> None:
    x, y = related(d2=5)
    assert procrustes_angle(x, 4 * x @ rotation(5) - 1) == pytest.approx(0, abs=1e-6)
    z = gaussian(60, 5, 9)
    assert procrustes_angle(x, z) <= procrustes_angle(x, y) + procrustes_angle(y, z)


def test_edges() -> None:
    x, _ = related()
    assert math.isnan(procrustes_angle(x, torch.ones(60, 1)))
    with pytest.raises(InterpError, match="at least 2"):
        procrustes_angle(x[:1], x[:1])
