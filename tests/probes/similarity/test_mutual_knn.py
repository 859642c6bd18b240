"""Mutual nearest neighbours against scikit-learn's."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from interp import InterpError
from probes.similarity import mutual_knn as module
from probes.similarity.mutual_knn import knn_under_permutation, mutual_knn
from tests.probes.similarity.data import gaussian, related, rotation


@pytest.mark.parametrize("k", [1, 10, 58])
@pytest.mark.parametrize("tile", [100, 2**21])
def test_against_sklearn(k: int, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TILE", tile)
    x, y = related()
    a, b = (NearestNeighbors(n_neighbors=k).fit(z).kneighbors(return_distance=False) for z in (x.numpy(), y.numpy()))
    assert mutual_knn(x, y, k=k) == pytest.approx(np.mean([len({*p} & {*q}) / k for p, q in zip(a, b, strict=True)]))


def test_permutations_without_new_neighbours() -> None:
    x, y = related()
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    assert knn_under_permutation(x, y)(order) == mutual_knn(x, y[order]) != mutual_knn(x, y)


def test_copies_and_chance() -> None:
    """A rotated copy agrees everywhere; independent data in k of n - 1."""
    x = gaussian(400, 6)
    assert mutual_knn(x, 2 * x @ rotation(6)) == 1
    assert mutual_knn(x, gaussian(400, 6, 1)) == pytest.approx(10 / 399, abs=0.01)


def test_edges() -> None:
    x, y = related()
    assert math.isnan(mutual_knn(x, torch.ones(60, 2)))
    with pytest.raises(InterpError, match="k must be between 1 and 58"):
        mutual_knn(x, y, k=59)
    with pytest.raises(InterpError, match="at least 3"):
        mutual_knn(x[:2], y[:2])
