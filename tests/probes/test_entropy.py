"""Weight entropy: its laws, and the closed form at a uniform initialisation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from probes.entropy import uniform_entropy, weight_entropy

seeds = st.integers(0, 10**6)

scales = st.floats(1e-3, 1e3)


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(seeds, scales)
def test_entropy_laws(seed: int, scale: float) -> None:
    """Order and signs do not matter, parts add up, and H(c W) = c H(W) - c ln c sum |w|."""
    W = random(seed, 4, 5)
    H = weight_entropy(W).item()
    shuffled = W.flatten()[torch.randperm(20, generator=torch.Generator().manual_seed(seed))]
    assert weight_entropy(shuffled * shuffled.sign()).item() == pytest.approx(H)
    assert weight_entropy(W[:2]).item() + weight_entropy(W[2:]).item() == pytest.approx(H)
    assert weight_entropy(scale * W).item() == pytest.approx(
        scale * (H - math.log(scale) * W.abs().sum().item()), abs=1e-9
    )


@pytest.mark.parametrize("a", [0.05, 1.0, 8.0])
def test_entropy_of_uniform_weights(a: float) -> None:
    """The mean over 2,000 draws is the closed form within four standard errors, and not 5% beside it."""
    draws = np.random.default_rng(1).uniform(-a, a, (2000, 12, 15))
    found = np.array([weight_entropy(torch.tensor(d)).item() for d in draws])
    error, expected = found.std() / math.sqrt(len(found)), uniform_entropy(12, 15, a)
    assert abs(found.mean() - expected) < 4 * error < 0.05 * abs(expected)
