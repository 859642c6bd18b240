"""Activation sparsity: at the threshold, with NaN, and its laws."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from probes.sparsity import activation_sparsity

seeds = st.integers(0, 10**6)


def test_sparsity_at_the_threshold_and_nan() -> None:
    """Strictly below tau; what is not a number makes no share of anything."""
    values = torch.tensor([[0.0, 0.5, -0.5, 1.0]])
    assert activation_sparsity(values, 0.5).item() == 0.5
    assert activation_sparsity(values, 0.5, absolute=True).item() == 0.25
    assert activation_sparsity(values, 0.0).item() == 0.25
    assert activation_sparsity(values.bfloat16(), 0.6, absolute=True).item() == 0.75
    for absolute in (False, True):
        assert math.isnan(activation_sparsity(values.where(values != 1, torch.nan), 0.5, absolute=absolute).item())


@given(seeds, st.floats(0, 2), st.floats(0, 2))
def test_sparsity_laws(seed: int, tau: float, more: float) -> None:
    """Grows with tau; the absolute form is the smaller one, and the same on what is not negative."""
    values = torch.randn(6, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert activation_sparsity(values, tau).item() <= activation_sparsity(values, tau + more).item()
    assert activation_sparsity(values, tau, absolute=True).item() <= activation_sparsity(values, tau).item()
    assert activation_sparsity(values.abs(), tau).item() == activation_sparsity(values, tau, absolute=True).item()
