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


@pytest.mark.parametrize("k", [1, 3, 5, 10, 34])
def test_a_rotated_copy_with_ties(k: int) -> None:
    """Points of a grid have many neighbours equally near; rounding of the copy's distances does not choose others."""
    grid = torch.cartesian_prod(torch.arange(6.0), torch.arange(6.0)).double()
    assert mutual_knn(grid, 3.7 * grid @ rotation(2), k=k) == mutual_knn(grid, grid, k=k) == 1


@pytest.mark.parametrize("tile", [100, 2**21])
def test_ties_go_to_the_first(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand, by sorting whole-numbered distances; a permutation is its own order, so that a null has the value's ties."""
    monkeypatch.setattr(module, "TILE", tile)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randint(2, (2, 40, 2), generator=generator).double()

    def nearest(z: np.ndarray, k: int) -> list[set[int]]:
        apart = ((z[:, None] - z[None]) ** 2).sum(-1) + 9 * np.eye(len(z))
        return [set(np.argsort(row, kind="stable")[:k]) for row in apart]

    for k in (1, 5, 20):
        order = torch.randperm(40, generator=generator)
        sets = [nearest(z.numpy(), k) for z in (x, y, y[order])]
        right = [np.mean([len(a & b) / k for a, b in zip(sets[0], other, strict=True)]) for other in sets[1:]]
        permuted = knn_under_permutation(x, y, k=k)
        assert [mutual_knn(x, y, k=k), permuted(None), permuted(order)] == pytest.approx([right[0], *right])


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
