"""Canonical correlations, SVCCA, PWCCA and angles of subspaces against numpy's and scipy's decompositions of the data."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.cross_decomposition import CCA

from interp import InterpError
from probes.similarity.cca import canonical_correlations, mean_cca
from probes.similarity.products import products
from probes.similarity.pwcca import pwcca
from probes.similarity.subspace_angles import shared_rank, subspace_angles, subspace_overlap
from probes.similarity.svcca import svcca
from tests.probes.similarity.data import gaussian, planted, related


def components(x: torch.Tensor, variance: float) -> np.ndarray:
    """Left singular vectors of the centred data, the fewest with this share of the variance."""
    u, s, _ = np.linalg.svd((x - x.mean(0)).numpy(), full_matrices=False)
    return u[:, : int(np.searchsorted(np.cumsum(s**2) / np.sum(s**2), variance)) + 1]


def test_correlations_by_scipys_angles_and_sklearns_variates() -> None:
    x, y = related()
    found = canonical_correlations(x, y)
    u, v = ((z - z.mean(0)).numpy() for z in (x, y))
    np.testing.assert_allclose(found.correlations, np.sort(np.cos(scipy.linalg.subspace_angles(u, v)))[::-1], rtol=1e-9)
    a, b = CCA(2, max_iter=10_000, tol=1e-12).fit_transform(x.numpy(), y.numpy())
    np.testing.assert_allclose(
        [np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(2)], found.correlations[:2], rtol=1e-4
    )
    assert mean_cca(x, y) == pytest.approx(found.correlations.mean().item())


def test_directions_have_the_correlations() -> None:
    x, y = related()
    found = canonical_correlations(x, y)
    a, b = (x - x.mean(0)) @ found.x, (y - y.mean(0)) @ found.y
    torch.testing.assert_close(a.T @ a, torch.eye(5, dtype=a.dtype))
    torch.testing.assert_close(a.T @ b, found.correlations.diag())


@pytest.mark.parametrize("variance", [0.7, 0.9, 0.99])
def test_svcca_of_singular_vectors(variance: float) -> None:
    x, y = related()
    cosines = np.linalg.svd(components(x, variance).T @ components(y, variance), compute_uv=False)
    assert svcca(x, y, variance=variance) == pytest.approx(cosines.mean(), rel=1e-9)
    assert svcca(products(x, y), variance=variance) == svcca(x, y, variance=variance)
    np.testing.assert_allclose(subspace_angles(x, y, variance=variance).cos(), cosines, rtol=1e-9)
    assert subspace_overlap(x, y, variance=variance) == pytest.approx((cosines**2).mean(), rel=1e-9)


def test_pwcca_as_printed() -> None:
    """Variates over inputs by QR and SVD, and their projections onto every unit."""
    x, y = ((z - z.mean(0)).numpy() for z in related())
    qx, qy = np.linalg.qr(x)[0], np.linalg.qr(y)[0]
    u, rho, _ = np.linalg.svd(qx.T @ qy, full_matrices=False)
    weights = np.abs((qx @ u).T @ x).sum(1)
    assert pwcca(*related()) == pytest.approx(weights @ rho / weights.sum(), rel=1e-9)


def test_angles_of_a_rank() -> None:
    """Planes in space that meet at 30 degrees, over inputs."""
    u = np.linalg.qr(gaussian(20, 3).numpy() - gaussian(20, 3).numpy().mean(0))[0]
    turned = math.cos(math.pi / 6) * u[:, 1] + math.sin(math.pi / 6) * u[:, 2]
    x, y = u[:, :2] * [3, 2], np.stack([u[:, 0], turned, turned * 1e-3], 1)
    found = subspace_angles(torch.tensor(x), torch.tensor(y), rank=2, variance=None)
    np.testing.assert_allclose(found, [0, math.pi / 6], atol=1e-6)


@pytest.mark.parametrize("rank", [0, 1, 3, 6])
def test_a_planted_shared_subspace_is_found_with_its_rank(rank: int) -> None:
    assert shared_rank(*planted(300, 6, rank, seed=4)) == rank
    assert shared_rank(*planted(300, 6, rank, seed=4, noise=0.05)) == rank
    assert shared_rank(products(*planted(300, 6, rank, seed=4)), threshold=0.5) == rank


def test_independent_data_share_nothing_39_times_of_40() -> None:
    """80 pairs: 2 or fewer expected to exceed 39 permutations; 7 would be beyond 1 in 300."""
    found = [shared_rank(gaussian(40, 3, 2 * i), gaussian(40, 3, 2 * i + 1), seed=i) for i in range(80)]
    assert sum(rank > 0 for rank in found) < 7


def test_edges() -> None:
    x, y = related()
    flat = torch.full((60, 3), 0.1)
    assert math.isnan(mean_cca(x, flat))
    assert math.isnan(svcca(flat, x))
    assert math.isnan(pwcca(x, flat))
    assert shared_rank(x, flat) == 0
    assert len(canonical_correlations(x[:, :1].expand(-1, 4), y).correlations) == 1
    for wrong, words in [
        (lambda: mean_cca(x[:6], y[:6]), "6 inputs are too few for representations of rank 5 and 5"),
        (lambda: svcca(x, y, variance=2.0), "variance must be between 0 and 1"),
        (lambda: shared_rank(products(x, y)), "threshold="),
    ]:
        with pytest.raises(InterpError, match=words):
            wrong()
