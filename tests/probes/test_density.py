"""Densities against numpy's histogram."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp import InterpError
from probes.density import density
from tests.probes.analyses.histories import draw


@given(st.integers(0, 10**6), st.integers(1, 12), st.floats(0.1, 3))
def test_density_laws(seed: int, bins: int, edge: float) -> None:
    """Numpy's, times the share inside the edges; uneven bins, values on the edges."""
    values = torch.cat([draw(seed, 40), torch.tensor([-edge, edge]).double()])
    edges = np.concatenate([[-edge], np.sort(draw(seed + 1, bins - 1).tanh().numpy()) * 0.99 * edge, [edge]])
    found = density(values.view(2, 3, 7).float().double(), torch.as_tensor(edges).float())
    x, edges = values.float().double().numpy(), np.float32(edges).astype(float)
    inside = float(((x >= edges[0]) & (x <= edges[-1])).mean())
    assert float((found.numpy() * np.diff(edges)).sum()) == pytest.approx(inside)
    assert found.numpy() == pytest.approx(np.histogram(x, edges, density=True)[0] * inside)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_density_of_what_is_not_finite(bad: float) -> None:
    """It counts in the whole and falls in no bin, as what lies outside."""
    edges = torch.linspace(0, 1, 5)
    found = density(torch.tensor([0.1, 0.3, 0.3, 0.6, 1.0, bad, bad, 7.0]), edges)
    assert (found * edges.diff() * 8).tolist() == pytest.approx([1, 2, 1, 1])
    assert density(torch.full((3,), bad), edges).tolist() == [0, 0, 0, 0]
    assert density(torch.tensor(0.3), edges).tolist() == [0, 4, 0, 0]


@pytest.mark.parametrize("edges", [[1.0, 0.0], [0.0, 0.0, 1.0], [0.0, math.nan], [0.0, 2.0, 1.0]])
def test_edges_ascend(edges: list[float]) -> None:
    with pytest.raises(InterpError, match="edges of a histogram must ascend"):
        density(torch.rand(5), edges)  # type: ignore[arg-type]
