"""Norms against numpy and power iteration, and the laws that they obey."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from interp.snapshot import matrices
from probes.norms import spectral_norm, weight_norms

seeds = st.integers(0, 10**6)

scales = st.floats(1e-3, 1e3)


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_stacks_of_any_depth_and_bfloat16() -> None:
    """Four axes are a stack of stacks; what is stored in bfloat16 is summed in float64."""
    weight = random(0, 2, 3, 4, 5)
    assert list(found := dict(matrices({"W": weight}))) == [f"W[{i}]" for i in range(6)]
    assert torch.equal(found["W[4]"], weight[1, 1])
    assert dict(matrices({"W": weight[:1, :1]}))["W"].shape == (4, 5)
    stored = random(1, 300, 50).bfloat16()
    assert weight_norms({"W": stored})["all squared"] == pytest.approx((stored.double().numpy() ** 2).sum(), rel=1e-12)
    assert spectral_norm(stored).item() == pytest.approx(np.linalg.norm(stored.double().numpy(), 2), rel=1e-9)


@pytest.mark.parametrize("shape", [(5, 7), (1, 6), (6, 1), (1, 1)])
def test_spectral_norm_by_power_iteration(shape: tuple[int, int]) -> None:
    """The largest singular value is what repeated multiplication converges to."""
    W, x = random(3, *shape), torch.ones(shape[1], dtype=torch.float64)
    for _ in range(3000):
        x = F.normalize(W.T @ (W @ x), dim=0)
    assert spectral_norm(W).item() == pytest.approx((W @ x).norm().item(), rel=1e-9)


@given(seeds, st.integers(1, 6), st.integers(1, 6), scales)
def test_norm_laws(seed: int, rows: int, columns: int, scale: float) -> None:
    """Homogeneous; spectral <= Frobenius <= sqrt(rank) spectral; rotations change nothing."""
    W = random(seed, rows, columns)
    spectral, frobenius = spectral_norm(W).item(), weight_norms({"W": W})["all"]
    assert spectral_norm(-scale * W).item() == pytest.approx(scale * spectral)
    assert weight_norms({"W": -scale * W})["all"] == pytest.approx(scale * frobenius)
    assert spectral <= frobenius * (1 + 1e-12) <= math.sqrt(min(rows, columns)) * spectral * (1 + 1e-11)
    turn = torch.linalg.qr(random(seed + 1, rows, rows))[0]
    assert spectral_norm(turn @ W).item() == pytest.approx(spectral)
