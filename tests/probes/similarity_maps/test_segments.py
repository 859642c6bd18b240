"""Change points of representations, and networks as points."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from sklearn.manifold import MDS

from interp.errors import InterpError
from probes.similarity_maps import classical_scaling, representation_changes
from probes.similarity_maps.segments import _costs, _segmentations


def kernel_of(rows: np.ndarray) -> np.ndarray:
    """Cosines."""
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ rows.T


def test_noise_has_no_change_points() -> None:
    """In 95 of 100 cases: of 200 at most 20 (a binomial exceeds that in 1 of 1,000), and at least 2."""
    rng = np.random.default_rng(0)
    found = [
        representation_changes(kernel_of(rng.standard_normal((12, 10))), range(12), permutations=59, seed=i)
        for i in range(200)
    ]
    assert 2 <= sum(map(bool, found)) <= 20


def test_planted_changes_are_found() -> None:
    """Three phases with noise: both steps, exactly, with intervals that hold them."""
    rng = np.random.default_rng(1)
    phases = np.repeat(rng.standard_normal((3, 20)), (6, 9, 7), axis=0)
    found = representation_changes(kernel_of(phases + 0.3 * rng.standard_normal(phases.shape)), range(0, 2200, 100))
    assert [change.step for change in found] == [550, 1450]
    assert all(c.low <= c.step <= c.high and c.high - c.low <= 200 and c.abrupt and c.p_value <= 0.05 for c in found)


def test_a_drift_is_not_abrupt() -> None:
    """It is split, since its order means something, and each change explains what a drift explains."""
    angle = np.linspace(0, 0.5, 20)
    found = representation_changes(kernel_of(np.stack([np.cos(angle), np.sin(angle)], 1)), range(20))
    assert found
    assert not any(change.abrupt for change in found)
    assert all(change.explained <= change.drift + 0.02 for change in found)


def test_the_segmentation_is_the_best() -> None:
    """Against all segmentations with segments of two or more."""
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((9, 3))
    cost = _costs(rows @ rows.T)
    scatter = sum(((rows[2:7] - rows[2:7].mean(0)) ** 2).ravel())
    assert cost[2, 7] == pytest.approx(scatter)
    every = [[0, *inner, 9] for inner in combinations(range(2, 8), 2) if inner[1] - inner[0] >= 2]
    best = min(every, key=lambda bounds: sum(cost[i, j] for i, j in pairwise(bounds)))
    assert _segmentations(cost, 2)[2] == best


def test_nothing_to_segment() -> None:
    """Few checkpoints, all alike, or numbers that are none."""
    assert representation_changes(np.eye(3), range(3)) == []
    assert representation_changes(np.ones((8, 8)), range(8)) == []
    with pytest.raises(InterpError, match="finite similarities"):
        representation_changes(np.full((4, 4), np.nan), range(4))


def test_scaling_puts_points_back() -> None:
    """Distances in the plane come back exactly; scikit-learn's stress is no lower."""
    points = np.random.default_rng(0).standard_normal((7, 2))
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    found, share = classical_scaling(distances)
    assert share == pytest.approx(1)
    assert np.allclose(np.linalg.norm(found[:, None] - found, axis=2), distances)
    theirs = MDS(2, metric="precomputed", init="random", n_init=2, random_state=0)
    assert ((np.linalg.norm(found[:, None] - found, axis=2) - distances) ** 2).sum() <= theirs.fit(distances).stress_
