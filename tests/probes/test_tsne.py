"""t-SNE on clusters that nobody can miss."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.manifold import TSNE

from interp import InterpError
from probes.exact_tsne import divergence
from probes.tsne import PAIRS, tsne
from tests.probes.analyses.histories import draw


def test_two_far_clusters_stay_apart() -> None:
    """Whatever the map, a gap between them wider than either; the same for the same seed."""
    points = torch.cat([draw(0, 25, 6), 40 + draw(1, 25, 6)])
    placed = tsne(points, perplexity=10.0)
    center = [part.mean(0) for part in placed.split(25)]
    spread = max((part - c).norm(dim=1).median() for part, c in zip(placed.split(25), center, strict=True))
    assert (center[0] - center[1]).norm() > 2 * spread
    nearest = torch.cdist(placed, placed).fill_diagonal_(math.inf).argmin(1)
    assert ((nearest < 25) == (torch.arange(50) < 25)).all()
    assert torch.equal(tsne(points, perplexity=10.0), placed)
    assert torch.equal(tsne(points.float(), perplexity=10.0).isfinite(), torch.ones(50, 2, dtype=torch.bool))


def test_as_good_as_scikit_learn() -> None:
    """Its own pictures have the divergence that it states by our similarities, too; ours is about as small.

    Each ends in an optimum of its own: noise of 1e-7 on the points moves the ratio between 0.95 and 1.09.
    """
    points = torch.cat([draw(seed, 25, 6) + 4 * seed for seed in range(4)]).double()
    theirs = TSNE(perplexity=10.0, init="pca", random_state=0, method="exact")
    placed = torch.as_tensor(theirs.fit_transform(points.numpy())).double()
    assert divergence(points, placed, 10.0) == pytest.approx(theirs.kl_divergence_, rel=1e-3)
    assert divergence(points, tsne(points, perplexity=10.0), 10.0) < 1.15 * theirs.kl_divergence_


def test_many_points_by_scikit_learn() -> None:
    """Two far clusters stay apart there as well."""
    placed = tsne(torch.cat([draw(0, PAIRS, 3), 40 + draw(1, 20, 3)]))
    nearest = torch.cdist(placed, placed).fill_diagonal_(math.inf).argmin(1)
    assert ((nearest < PAIRS) == (torch.arange(PAIRS + 20) < PAIRS)).all()


def test_points_that_are_all_the_same() -> None:
    """One place; a copy or two among others is no matter."""
    assert torch.equal(tsne(torch.full((6, 3), 0.1), perplexity=2.0), torch.zeros(6, 2).double())
    assert tsne(torch.cat([draw(0, 6, 3)] * 2), perplexity=3.0).isfinite().all()
    assert tsne(torch.cat([torch.zeros(5, 3), torch.ones(1, 3)]), perplexity=3.0).isfinite().all()


@pytest.mark.parametrize(("n", "perplexity"), [(4, 2.0), (6, 6.0), (6, 30.0), (6, 0.5), (6, math.nan), (0, 1.0)])
def test_refusals_of_tsne(n: int, perplexity: float) -> None:
    """In a sentence of ours, not in scikit-learn's."""
    with pytest.raises(InterpError, match=r"t-SNE needs at least 5|perplexity must be at least 1"):
        tsne(draw(0, n, 3), perplexity)


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_points_that_are_not_numbers_are_refused(wrong: float) -> None:
    points = draw(0, 8, 3)
    points[2, 1] = wrong
    with pytest.raises(InterpError, match="hold NaN or infinity"):
        tsne(points, 3.0)
    with pytest.raises(InterpError, match=r"table \[rows, columns\], got the shape \[8\]"):
        tsne(points[:, 0], 3.0)


@pytest.mark.parametrize("n", [20, PAIRS + 20])
def test_points_on_a_line(n: int) -> None:
    """One coordinate has no second principal component to start from."""
    placed = tsne(torch.arange(float(n))[:, None] ** 2, 5.0)
    assert list(placed.shape) == [n, 2]
    assert placed.isfinite().all()
    assert (placed[0] - placed[-1]).norm() > (placed[0] - placed[1]).norm()


def test_a_mean_far_from_zero_takes_no_bits() -> None:
    """Rounded to float32 as they are, points within 1e-6 of 100 were all the same: every place was NaN."""
    cloud = torch.randn(40, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    far = tsne(100 + 1e-7 * cloud, 8.0)
    assert bool(far.isfinite().all())
    assert divergence(cloud, far, 8.0) == pytest.approx(divergence(cloud, tsne(cloud, 8.0), 8.0), rel=0.1)
