"""SVD and PCA against scipy and numpy, ranks against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch

from interp import InterpError
from probes import spectra as reduction


def matrix(rows: int, columns: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(9, 5), (5, 9), (6, 6), (1, 4)])
def test_svd_against_scipy(shape: tuple[int, int]) -> None:
    """Singular values by another library, and the matrix rebuilt from the bases."""
    data = matrix(*shape)
    found = reduction.svd(data)
    np.testing.assert_allclose(found.singular_values, scipy.linalg.svdvals(data.numpy()), rtol=1e-10)
    assert found.left is not None
    rebuilt = found.left.directions.T @ found.singular_values.diag() @ found.basis.directions
    torch.testing.assert_close(rebuilt, data, rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", [(40, 5), (4, 9)])
def test_pca_against_the_svd_of_centred_data(shape: tuple[int, int]) -> None:
    """Variances by numpy's SVD; components up to sign; fewer samples than dimensions too."""
    data = matrix(*shape) * torch.logspace(0, 1, shape[1], dtype=torch.float64) + 3
    found = reduction.pca(data)
    _, s, vh = np.linalg.svd(data.numpy() - data.numpy().mean(0), full_matrices=False)
    np.testing.assert_allclose(found.singular_values, s, rtol=1e-6, atol=1e-6)
    rank = int((s > 1e-6).sum())
    overlap = np.abs((found.basis.directions.numpy()[:rank] * vh[:rank]).sum(1))
    np.testing.assert_allclose(overlap, 1, rtol=1e-6)
    assert found.explained.sum().item() == pytest.approx(1)
    torch.testing.assert_close(found.mean, data.mean(0))


@pytest.mark.parametrize("n", [1, 2, 7])
def test_ranks_of_equal_directions(n: int) -> None:
    """n equal singular values: both measures give n, whatever zeros follow."""
    values = torch.cat([torch.full((n,), 3.0), torch.zeros(4)])
    assert reduction.effective_rank(values) == pytest.approx(n)
    assert reduction.participation_ratio(values) == pytest.approx(n)


def test_effective_rank_by_hand() -> None:
    """q = (4/5, 1/5): exp(-(0.8 ln 0.8 + 0.2 ln 0.2)); nothing at all has rank 0."""
    expected = np.exp(-(0.8 * np.log(0.8) + 0.2 * np.log(0.2)))
    assert reduction.effective_rank(torch.tensor([2.0, 1.0])) == pytest.approx(expected)
    assert reduction.effective_rank(torch.zeros(3)) == 0
    assert reduction.participation_ratio(torch.tensor([2.0, 1.0])) == pytest.approx(25 / 17)
    assert reduction.participation_ratio(torch.zeros(3)) == 0


@pytest.mark.parametrize("wrong", [torch.nan, torch.inf])
def test_no_rank_of_what_is_not_a_number(wrong: float) -> None:
    """Not 0, which says that a network has collapsed."""
    for measure in (reduction.effective_rank, reduction.participation_ratio):
        assert np.isnan(measure(torch.tensor([wrong, 1.0])))


def test_refusals() -> None:
    """What has no singular values is said."""
    with pytest.raises(InterpError, match="NaN"):
        reduction.svd(torch.full((2, 2), torch.nan))
    with pytest.raises(InterpError, match="shape"):
        reduction.pca(torch.zeros(3))
