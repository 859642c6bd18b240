"""Measures of a change: closed forms, naive NumPy, invariances, and intervals whose coverage is counted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from circuits.weight_sweeps import change_measures as sweep_scores
from circuits.weight_sweeps.change_measures import (
    MEASURES,
    antisymmetric_share,
    bootstrap_median,
    change_rank,
    colour_share,
    extent,
    gram,
    jackknife_rank,
    mean_square,
    rank_of,
    roughness,
)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def grey(plane: Tensor) -> Tensor:
    return plane.expand(3, *plane.shape)


def naive(name: str, change: np.ndarray) -> float:
    """By loops over the pixels of one change ``[3, row, col]``."""
    channels, rows, columns = change.shape
    every = [(c, i, j) for c in range(channels) for i in range(rows) for j in range(columns)]
    total = sum(change[p] ** 2 for p in every)
    if name == "antisymmetric_share":
        return sum(((change[c, i, j] - change[c, i, columns - 1 - j]) / 2) ** 2 for c, i, j in every) / total
    if name == "roughness":
        down = sum(((change[c, i + 1, j] - change[c, i, j]) * (rows - 1) / 2) ** 2 for c, i, j in every if i + 1 < rows)
        along = [
            ((change[c, i, j + 1] - change[c, i, j]) * (columns - 1) / 2) ** 2 for c, i, j in every if j + 1 < columns
        ]
        return (down + sum(along)) / total
    if name == "extent":
        energy = [sum(change[c, i, j] ** 2 for c in range(3)) for i in range(rows) for j in range(columns)]
        return sum(energy) ** 2 / (len(energy) * sum(e * e for e in energy))
    assert name == "colour_share"
    return sum((change[c, i, j] - change[:, i, j].mean()) ** 2 for c, i, j in every) / total


@pytest.mark.parametrize("name", sorted(MEASURES))
def test_measures_equal_naive_loops(name: str) -> None:
    """On pictures that are not square, one by one and as a batch of any shape; whatever the size and sign."""
    changes = noise(2, 3, 3, 4, 7) * torch.tensor([1e-3, 1.0, 100.0])[:, None, None, None]
    found = MEASURES[name](changes)
    expected = [[naive(name, change) for change in row] for row in changes.numpy()]
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    for factor in (-1.0, 1e-3, 7.0):
        torch.testing.assert_close(MEASURES[name](factor * changes), found, rtol=1e-10, atol=1e-12)
    assert MEASURES[name](changes[0, 0]).shape == ()


def test_mean_square() -> None:
    changes = noise(2, 3, 3, 4, 7)
    np.testing.assert_allclose(mean_square(changes).numpy(), (changes.numpy() ** 2).mean((2, 3, 4)), rtol=1e-12)
    assert mean_square(torch.full((3, 2, 2), 0.5)).item() == 0.25


@pytest.mark.parametrize("name", sorted(MEASURES))
def test_no_change_has_no_nan(name: str) -> None:
    for dtype in (torch.float32, torch.float64):
        assert MEASURES[name](torch.zeros(2, 3, 4, 4, dtype=dtype)).tolist() == [0, 0]


@pytest.mark.parametrize("columns", [8, 9])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_antisymmetric_share_of_known_mixtures(share: float, columns: int) -> None:
    """sqrt(1 - p) even + sqrt(p) odd, both of length 1, has the share p; top and bottom don't matter."""
    plane = noise(3, 6, columns)
    even, odd = plane + plane.flip(-1), plane - plane.flip(-1)
    mixture = math.sqrt(1 - share) * even / even.norm() + math.sqrt(share) * odd / odd.norm()
    assert antisymmetric_share(mixture).item() == pytest.approx(share, abs=1e-12)
    assert antisymmetric_share(mixture.flip(-1)).item() == pytest.approx(share, abs=1e-12)
    assert antisymmetric_share(mixture.flip(-2)).item() == pytest.approx(share, abs=1e-12)


def test_antisymmetric_share_of_noise_is_a_half() -> None:
    assert antisymmetric_share(noise(400, 3, 16, 16)).mean().item() == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_roughness_of_waves(k: int) -> None:
    """k periods across the picture: (pi k)^2, along either axis, and twice that of a product of two."""
    for size in (128, 256):
        line = torch.linspace(-1, 1, size, dtype=torch.float64)
        wave = torch.sin(math.pi * k * line)
        flat = wave.expand(size, size)
        for plane, times in ((flat, 1), (flat.T, 1), (flat * wave.unsqueeze(1), 2)):
            assert roughness(grey(plane)).item() == pytest.approx(times * (math.pi * k) ** 2, rel=0.03)
    assert roughness(grey(torch.ones(9, 9))).item() == 0


def test_extent_and_colour_by_hand() -> None:
    plane = torch.zeros(4, 5)
    plane[1, 2] = -3.0
    assert extent(grey(plane)).item() == pytest.approx(1 / 20)
    plane[0, 0] = 3.0
    assert extent(grey(plane)).item() == pytest.approx(2 / 20)
    assert extent(torch.ones(3, 4, 5)).item() == pytest.approx(1)
    assert extent(torch.eye(3).reshape(3, 1, 3)).item() == pytest.approx(
        1
    )  # one channel each: energy is over all three
    assert colour_share(grey(noise(4, 5))).item() == pytest.approx(0, abs=1e-25)
    red = torch.zeros(3, 4, 5)
    red[0] = 1
    assert colour_share(red).item() == pytest.approx(2 / 3)
    assert colour_share(red - red.roll(1, 0)).item() == pytest.approx(1)


def test_rank_of_known_changes() -> None:
    """Orthogonal: their number, so a share of 1, whatever their sizes; alike or opposite: 1 of n; two groups: 2."""
    sizes = torch.logspace(-6, 3, 8, dtype=torch.float64).unsqueeze(1)
    assert change_rank(sizes * torch.linalg.qr(noise(20, 8)).Q.T) == pytest.approx(1, abs=1e-9)
    alike = noise(1, 20) * torch.tensor([1.0, -1.0, 5.0, 1e-6]).unsqueeze(1)
    assert change_rank(alike) == pytest.approx(1 / 4, abs=1e-6)
    assert change_rank(torch.eye(2, 5).repeat(3, 1)) == pytest.approx(2 / 6, abs=1e-9)
    assert math.isnan(change_rank(torch.zeros(0, 5)))


def test_rank_by_singular_values() -> None:
    changes = noise(12, 30) + 2 * noise(1, 30, seed=1)
    unit = changes.numpy() / np.linalg.norm(changes.numpy(), axis=1, keepdims=True)
    q = np.linalg.svd(unit, compute_uv=False) ** 2
    q /= q.sum()
    assert change_rank(changes) == pytest.approx(math.exp(-(q * np.log(q)).sum()) / 12, rel=1e-10)
    np.testing.assert_allclose(gram(changes).numpy(), unit @ unit.T, atol=1e-12)
    assert rank_of(gram(changes.float())) == pytest.approx(change_rank(changes), abs=1e-6)


def groups_of_pairs(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Values in pairs that belong together; ids that are no 0, 1, 2; the median of their distribution is 0."""
    values = noise(n, 1, seed=seed) + 0.1 * noise(n, 2, seed=seed + 10_000)
    return values.flatten(), (7 * torch.arange(n)).repeat_interleave(2)


def test_bootstrap_intervals_cover() -> None:
    """Of 120 samples of 40 pairs, about 95% hold the true median; pairs taken as if independent would be too narrow."""
    covered, ratios = 0, []
    for seed in range(120):
        values, groups = groups_of_pairs(40, seed)
        low, high = bootstrap_median(values, groups, seed, draws=200)
        covered += low <= 0 <= high
        if seed < 20:
            alone = bootstrap_median(values, torch.arange(len(values)), seed, draws=200)
            ratios.append((alone[1] - alone[0]) / (high - low))
    assert 0.87 <= covered / 120 <= 0.995
    assert 0.55 < np.mean(ratios) < 0.85  # a factor of sqrt(2)


def test_bootstrap_median_is_what_it_says() -> None:
    """By its seed; holding the median; wider at a higher level; the order of the changes doesn't matter."""
    values, groups = groups_of_pairs(40, 0)
    low, high = bootstrap_median(values, groups, 5)
    assert (low, high) == bootstrap_median(values, groups, 5) != bootstrap_median(values, groups, 6)
    assert low <= float(values.quantile(0.5)) <= high
    wide, half = bootstrap_median(values, groups, 5, level=0.99), bootstrap_median(values, groups, 5, level=0.5)
    assert wide[0] <= low < half[0] < half[1] < high <= wide[1]
    order = torch.randperm(len(values), generator=torch.Generator().manual_seed(0))
    assert bootstrap_median(values[order], groups[order], 5) == pytest.approx((low, high), abs=1e-12)
    assert bootstrap_median(torch.tensor([3.0]), torch.tensor([9])) == (3, 3)
    uneven = torch.tensor([0, 0, 0, 1])  # drawn alone, the groups have the medians 2 and 9
    assert bootstrap_median(torch.tensor([1.0, 2.0, 3.0, 9.0]), uneven) == (2, 9)


def test_jackknife_is_sane() -> None:
    """Around the rank's share; of no width where all changes are alike; it narrows as changes grow in number."""
    widths = {30: 0.0, 90: 0.0}
    for n in widths:
        for seed in range(4):
            changes = noise(n, 300, seed=seed) * torch.logspace(0, -1.5, 300, dtype=torch.float64)
            low, high = jackknife_rank(gram(changes), torch.arange(n))
            assert low < change_rank(changes) < high
            assert low + high == pytest.approx(2 * change_rank(changes))
            widths[n] += (high - low) / 4
    assert 0 < widths[90] < widths[30] < 0.2
    alike = gram(noise(1, 30).expand(20, 30))
    low, high = jackknife_rank(alike, torch.arange(20))
    assert low == pytest.approx(1 / 20, abs=1e-6)
    assert high == pytest.approx(1 / 20, abs=1e-6)
    assert all(math.isnan(v) for v in jackknife_rank(alike, torch.zeros(20, dtype=torch.long)))


def test_jackknife_by_hand() -> None:
    """Three directions, one at a time left out; the spread of whole directions, not of single changes."""
    changes, groups = noise(6, 4), torch.tensor([5, 5, 1, 1, 8, 8])
    shares = [change_rank(changes[groups != g]) for g in (1, 5, 8)]
    error = math.sqrt(2 / 3 * sum((s - np.mean(shares)) ** 2 for s in shares))
    low, high = jackknife_rank(gram(changes), groups)
    assert high - low == pytest.approx(2 * 1.96 * error, rel=1e-9)


def test_small_is_that_of_the_methods() -> None:
    assert sweep_scores.SMALL == 1e-4
