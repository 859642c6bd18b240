"""Effective dimension against scikit-learn's PCA and closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from probes.dimension import effective_dimension


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_sklearn(points: Tensor) -> float:
    q = PCA().fit(points.detach().double().numpy()).explained_variance_ratio_
    return math.exp(-sum(x * math.log(x) for x in q if x > 1e-15))


@pytest.mark.parametrize("shape", [(20, 4), (5, 9), (2, 3), (50, 1)])
def test_effective_dimension_is_that_of_sklearn(shape: tuple[int, int]) -> None:
    """More points than dimensions, and fewer."""
    points = random(5, *shape) * torch.arange(1, shape[1] + 1) + 3
    assert effective_dimension(points) == pytest.approx(by_sklearn(points))


def test_effective_dimension_of_known_shapes() -> None:
    """A line 1, the corners of a simplex n - 1, one point 0."""
    assert effective_dimension(torch.arange(5.0)[:, None] * torch.ones(4) + 2) == pytest.approx(1)
    assert effective_dimension(torch.eye(6)) == pytest.approx(5)
    assert effective_dimension(torch.full((4, 3), 0.1)) == 0
