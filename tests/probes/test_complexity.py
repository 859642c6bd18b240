"""KL divergence against scipy, and the laws of random masks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr

from probes.complexity import kl_divergence, random_masks

seeds = st.integers(0, 10**6)


@given(seeds, st.floats(0.1, 30))
def test_kl_laws(seed: int, scale: float) -> None:
    """scipy's; 0 to itself; one output is the pair (0, z)."""
    p, q = scale * torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    expected = rel_entr(p.softmax(-1).numpy(), q.softmax(-1).numpy()).sum(-1)
    np.testing.assert_allclose(kl_divergence(p, q).numpy(), expected, rtol=1e-8, atol=1e-10)
    assert (kl_divergence(p, p) == 0).all()
    pairs = [torch.cat([torch.zeros_like(z[:, :1]), z[:, :1]], 1) for z in (p, q)]
    assert torch.equal(kl_divergence(p[:, :1], q[:, :1]), kl_divergence(*pairs))


def test_answers_that_are_impossible() -> None:
    """Logits of minus infinity: nothing where p is 0, infinity where only p' is; NaN stays."""
    p, q = torch.tensor([0.0, 1.0, -torch.inf]), torch.tensor([2.0, 0.0, 1.0])
    expected = rel_entr(p.softmax(-1).numpy(), q.softmax(-1).numpy()).sum()
    assert kl_divergence(p, q).item() == pytest.approx(expected, rel=1e-6)
    assert kl_divergence(p, p).item() == 0
    assert kl_divergence(q, p).item() == math.inf
    assert kl_divergence(torch.full((3,), torch.nan), q).isnan()


@given(seeds, st.integers(1, 60), st.floats(0, 1), st.integers(1, 5))
def test_mask_laws(seed: int, numel: int, share: float, n: int) -> None:
    """So many entries each, the same for the same seed, and every one as likely as every other."""
    masks = random_masks(numel, share, n, seed)
    assert masks.sum(1).tolist() == [round(share * numel)] * n
    assert torch.equal(masks, random_masks(numel, share, n, seed))
    assert (random_masks(8, 0.25, 2000, seed).double().mean(0) - 0.25).abs().max() < 6 * math.sqrt(0.25 * 0.75 / 2000)
