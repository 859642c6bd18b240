"""neat-python's functions: each against Python's own `math`, far out and at its corners."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from interp.hooked.neat.activation_functions import NEAT_ACTIVATIONS
from interp.hooked.neat.aggregations import NEAT_AGGREGATIONS, aggregate
from tests.interp.neat.pickles import AGGREGATIONS, FUNCTIONS

POINTS = [*np.linspace(-4, 4, 81), 0.0, -0.0, 1e-9, -1e-9, 13.0, -13.0, 30.0, -30.0, 200.0, -200.0]


def test_the_tables_are_neat_pythons() -> None:
    """The naive twin knows all of them, so that none goes untested."""
    assert sorted(NEAT_ACTIVATIONS) == sorted(FUNCTIONS)
    assert sorted(NEAT_AGGREGATIONS) == sorted(AGGREGATIONS)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_activations(name: str) -> None:
    z = torch.tensor(POINTS, dtype=torch.float64)
    wanted = [FUNCTIONS[name](float(p)) for p in POINTS]
    np.testing.assert_allclose(NEAT_ACTIVATIONS[name](z).numpy(), wanted, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_gradients_are_finite(name: str) -> None:
    """Far out too, where a branch that is not taken would overflow."""
    z = torch.tensor([-800.0, -1.0, 0.5, 800.0], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(NEAT_ACTIVATIONS[name](z).sum(), z)
    assert slope.isfinite().all()


@pytest.mark.parametrize("name", sorted(AGGREGATIONS))
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 7])
def test_aggregations(name: str, n: int) -> None:
    """Of none, of even and of odd numbers of terms, and of ties in absolute value."""
    dice = np.random.default_rng(n)
    rows = dice.normal(size=(20, n))
    if n > 1:
        rows[0, :2] = (2.0, -2.0)
        rows[1, :2] = (-3.0, 3.0)
    wanted = [AGGREGATIONS[name](list(row)) for row in rows]
    np.testing.assert_allclose(aggregate(name, torch.tensor(rows)).numpy(), wanted, rtol=1e-13, atol=1e-13)
