"""RSA against scipy's distances and correlations."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.spatial.distance import pdist
from scipy.stats import pearsonr, spearmanr

from interp import InterpError
from interp.errors import UnknownName
from probes.similarity import rsa as module
from probes.similarity.rsa import DISTANCES, rsa, rsa_under_permutation
from tests.probes.similarity.data import related


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("tile", [100, 2**21])
def test_against_scipy(distance: str, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row at a time and all at once."""
    monkeypatch.setattr(module, "TILE", tile)
    x, y = related()
    a, b = pdist(x, distance), pdist(y, distance)
    assert rsa(x, y, distance=distance) == pytest.approx(spearmanr(a, b).statistic, abs=1e-10)
    assert rsa(x, y, distance=distance, correlation="pearson") == pytest.approx(pearsonr(a, b).statistic, abs=1e-10)


def test_ties() -> None:
    """Points of a grid, where most distances occur many times, moved so that they are equal only up to rounding."""
    grid = torch.cartesian_prod(torch.arange(5.0), torch.arange(5.0)).double()
    _, y = related(25)
    expected = spearmanr(pdist(grid, "sqeuclidean"), pdist(y)).statistic
    assert rsa(grid * 0.1 + 0.7, y) == pytest.approx(expected, abs=1e-10)


def test_permutations_without_new_distances() -> None:
    x, y = related()
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    assert rsa_under_permutation(x, y)(order) == pytest.approx(rsa(x, y[order]), abs=1e-12)
    assert rsa_under_permutation(x, y)(order) != pytest.approx(rsa(x, y), abs=1e-3)


def test_edges() -> None:
    x, y = related()
    assert math.isnan(rsa(x, torch.full((60, 2), 0.1)))
    assert math.isnan(rsa_under_permutation(x, torch.full((60, 2), 0.1))(torch.arange(60)))
    with pytest.raises(UnknownName, match="euclidean"):
        rsa(x, y, distance="euclidian")
    with pytest.raises(UnknownName, match="spearman"):
        rsa(x, y, correlation="kendall")
    with pytest.raises(InterpError, match="correlation='pearson'"):
        rsa(x, y, max_bytes=1000)
    with pytest.raises(InterpError, match="60 of 60 rows have no direction"):
        rsa(x, x[:, :1], distance="correlation")
    with pytest.raises(InterpError, match="at least 3"):
        rsa(x[:2], y[:2])
