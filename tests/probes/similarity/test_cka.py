"""Linear CKA against kernels of all pairs of inputs."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from interp import InterpError
from probes.similarity.cka import cka
from probes.similarity.products import products
from tests.probes.similarity.data import gaussian, related, rotation


def song(k: np.ndarray, m: np.ndarray) -> float:
    """HSIC_1 as Song et al. 2012 print it (equation 5), from kernels n x n with a diagonal of 0."""
    n = len(k)
    k, m, one = k - np.diag(np.diag(k)), m - np.diag(np.diag(m)), np.ones(n)
    sums = np.trace(k @ m) + one @ k @ one * (one @ m @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * one @ k @ m @ one
    return sums / (n * (n - 3))


def gretton(k: np.ndarray, m: np.ndarray) -> float:
    """The biased HSIC, with centring matrices."""
    h = np.eye(len(k)) - 1 / len(k)
    return np.trace(k @ h @ m @ h)


@pytest.mark.parametrize("n", [4, 5, 60])
@pytest.mark.parametrize(("debiased", "hsic"), [(True, song), (False, gretton)])
def test_against_kernels(n: int, debiased: bool, hsic: Callable[..., float]) -> None:
    """Uncentred data, so that the kernels are not those of centred features."""
    x, y = (z[:n] for z in related())
    k, m = (x @ x.T).numpy(), (y @ y.T).numpy()
    expected = hsic(k, m) / math.sqrt(hsic(k, k) * hsic(m, m))
    assert cka(x, y, debiased=debiased) == pytest.approx(expected, abs=1e-10)
    assert cka(products(x, y), debiased=debiased) == cka(x, y, debiased=debiased)


def test_rotated_and_scaled_copy() -> None:
    x, _ = related()
    assert cka(x, 7 * x @ rotation(5) + 2) == pytest.approx(1)


def test_independent_data() -> None:
    """The bias with many features is gone: 200 dimensions, 50 inputs."""
    values = [
        (cka(gaussian(50, 200, 2 * i), gaussian(50, 200, 2 * i + 1)),
         cka(gaussian(50, 200, 2 * i), gaussian(50, 200, 2 * i + 1), debiased=False)) for i in range(20)
    ]  # fmt: skip
    debiased, biased = np.mean(values, axis=0)
    assert abs(debiased) < 0.02
    assert biased > 0.7


def test_edges() -> None:
    x, y = related()
    assert math.isnan(cka(x, torch.ones(60, 2)))
    with pytest.raises(InterpError, match="at least 4"):
        cka(x[:3], y[:3])
