"""Feature maps: every measure against numpy written out and closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import interp
from interp import InterpError
from interp.hooked import CPPNConfig, HookedCPPN
from interp.picbreeder import read
from probes import feature_maps as fm
from tests.interp.picbreeder.genomes import random_sketch


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's, by sums; 0 where a map is constant."""
    a, b = a.ravel() - a.mean(), b.ravel() - b.mean()
    spread = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / spread) if spread else 0.0


def naive_distinct(maps: np.ndarray, threshold: float = 0.99) -> list[bool]:
    kept: list[int] = []
    for i, own in enumerate(maps):
        if np.ptp(own) > 0 and all(abs(correlation(own, maps[j])) < threshold for j in kept):
            kept.append(i)
    return [i in kept for i in range(len(maps))]


def effective(singular: np.ndarray) -> float:
    """exp of the entropy of the squared singular values' shares."""
    q = singular**2 / (singular**2).sum()
    q = q[q > 1e-15]
    return float(np.exp(-(q * np.log(q)).sum()))


def made(seed: int, arch: str = "3;cache:2,gaussian:2,sin:2,relu:1", scale: float = 2.0) -> HookedCPPN:
    return HookedCPPN(CPPNConfig(arch)).double().init_weights(seed, scale)


def grid(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    return np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")


def test_maps_of_a_network_written_out() -> None:
    """Layer by layer in numpy: the map of a slot is its activation's value, rows with x, columns with y."""
    model, size = made(1), 9
    down, along = grid(size, size)
    values = np.stack([along, down, 1.4 * np.hypot(down, along), np.ones_like(down)], -1)
    found = fm.of(model, size).maps
    functions = {
        "cache": lambda z: z, "gaussian": lambda z: 2 * np.exp(-z * z) - 1, "relu": lambda z: np.maximum(z, 0),
        "sin": np.sin,
    }  # fmt: skip
    for layer in range(3):
        z = values @ model.layer(layer).W.detach().numpy()
        values = np.stack([functions[kind](z[..., j]) for j, kind in enumerate(model.config.kinds)], -1)
        np.testing.assert_allclose(found[layer].numpy(), np.moveaxis(values, -1, 0), rtol=0, atol=1e-12)


@given(st.integers(0, 200))
def test_measures_are_those_of_numpy(seed: int) -> None:
    """Deviation, activity, reflections, symmetry, distinct units and rank, unit by unit."""
    found = fm.of(made(seed, scale=[0.01, 0.5, 3.0][seed % 3]), 8)
    maps = found.maps.numpy()
    deviation = maps.std((-2, -1))
    np.testing.assert_allclose(found.deviation.numpy(), deviation, rtol=1e-9, atol=1e-15)
    assert found.active.tolist() == (deviation > 0.01).tolist()
    for layer, slot in np.argwhere(deviation > 1e-6):
        own = maps[layer, slot]
        expected = [correlation(own, own[:, ::-1]), correlation(own, own[::-1])]
        np.testing.assert_allclose(found.reflections[layer, slot].numpy(), expected, rtol=0, atol=1e-9)
        assert bool(found.symmetric[layer, slot]) == (deviation[layer, slot] > 0.01 and max(expected) > 0.95)
    active = maps[deviation > 0.01]
    assert found.distinct.numpy()[deviation > 0.01].tolist() == naive_distinct(active)
    assert not (found.distinct & ~found.active).any()
    own = maps[found.own.numpy()].reshape(-1, 64)
    if len(own):
        unit = np.stack([(m - m.mean()) / np.linalg.norm(m - m.mean()) for m in own])
        assert found.rank() == pytest.approx(effective(np.linalg.svd(unit, compute_uv=False)), rel=1e-6)


def test_reflections_in_closed_form() -> None:
    """sin is odd and cos is even; their sum's correlation is the difference of their powers over the sum."""
    down, along = (torch.from_numpy(g) for g in grid(32, 32))
    odd, even = torch.sin(2 * along), torch.cos(2 * along)
    power = [float((m - m.mean()).square().sum()) for m in (odd, even)]
    found = fm.reflection_correlations(torch.stack([odd, even, odd + even, odd + torch.sin(2 * down)]))
    mixed = (power[1] - power[0]) / (power[1] + power[0])
    expected = torch.tensor([[-1, 1], [1, 1], [mixed, 1], [0, 0]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@given(st.integers(0, 300))
def test_distinct_is_the_naive_loop(seed: int) -> None:
    """Chains of neighbours that resemble each other, constants and negatives among them."""
    dice = np.random.default_rng(seed)
    n, pixels = int(dice.integers(1, 14)), 12
    maps = dice.normal(size=(n, pixels))
    for i in range(1, n):
        match dice.integers(4):
            case 0:
                maps[i] = maps[i - 1] + dice.choice([0.05, 0.15]) * dice.normal(size=pixels)
            case 1:
                maps[i] = -2 * maps[dice.integers(i)] + 1
            case 2:
                maps[i] = dice.normal()
    assert fm.distinct(torch.from_numpy(maps)).tolist() == naive_distinct(maps)


def test_a_chain_is_decided_by_its_first() -> None:
    """Angles of 5 degrees (cosine 0.996): the neighbour of the first goes, the one behind it (0.985) stays."""
    angles = torch.arange(4, dtype=torch.float64) * torch.pi / 36
    t = torch.arange(16, dtype=torch.float64) * 2 * torch.pi / 16
    maps = angles.cos()[:, None] * t.cos() + angles.sin()[:, None] * t.sin()
    assert fm.distinct(maps).tolist() == [True, False, True, False]
    assert fm.distinct(maps, 0.98).tolist() == [True, False, False, True]


@pytest.mark.parametrize("value", [0.0, 0.1, -1 / 3, 1e12, 1e-30])
def test_constant_maps_are_nothing(value: float) -> None:
    """Rounding of the mean of 0.1 must not become a direction, and nothing is NaN."""
    maps = torch.full((3, 7, 7), value, dtype=torch.float64)
    assert fm.standardised(maps.flatten(1)).abs().max() == 0
    assert fm.reflection_correlations(maps).abs().max() == 0
    assert not fm.distinct(maps.flatten(1)).any()
    assert fm.standardised_rank(maps.flatten(1)) == 0


def test_components_are_orthogonal_and_reproduce() -> None:
    """Their Gram matrix is diagonal, with the squared singular values of the centred maps, which they span."""
    found = fm.of(made(3), 12)
    for layer in range(3):
        maps, share = found.components(layer, 99)
        flat = maps.flatten(1)
        gram = (flat @ flat.T).numpy()
        data = found.maps[layer].flatten(1).numpy()
        centred = data - data.mean(1, keepdims=True)
        singular = np.linalg.svd(centred, compute_uv=False)[: len(maps)]
        np.testing.assert_allclose(gram, np.diag(singular**2), rtol=0, atol=1e-8 * singular[0] ** 2)
        np.testing.assert_allclose(share.numpy(), singular**2 / (singular**2).sum(), rtol=0, atol=1e-10)
        basis = flat.numpy()[singular > 1e-9 * singular[0]]
        back = centred @ np.linalg.pinv(basis) @ basis
        np.testing.assert_allclose(back, centred, rtol=0, atol=1e-8 * np.abs(centred).max())
    assert found.components(0, 2)[0].shape == (2, 12, 12)
    with pytest.raises(InterpError, match="layer must be 0 to 2, got 3"):
        found.components(3)


@given(st.integers(0, 40))
def test_copies_repeat_an_earlier_map(seed: int) -> None:
    """A copy's map stands in the layer before, or is an input; only then may it count as new."""
    found = fm.of(random_sketch(seed).genome().layered(), 8)
    for layer, slot in found.copies.nonzero().tolist():
        if layer:
            gap = (found.maps[layer - 1] - found.maps[layer, slot]).abs().amax((-2, -1)).min()
            assert gap < 1e-12
            assert not found.distinct[layer, slot]
    assert not (found.own & found.copies).any()


@pytest.mark.real_data
def test_real_skull_copies(data: Path) -> None:
    """87 slots of the skull only carry a value; the published layers and the genome's agree, unit by unit."""
    genome = fm.of(read(data / "picbreeder" / "skull.zip").layered())
    published = interp.load(data / "picbreeder" / "picbreeder_skull.npz", device="cpu").model
    assert isinstance(published, HookedCPPN)
    other = fm.of(published)
    assert int(genome.copies.sum()) == int(other.copies.sum()) == 87
    torch.testing.assert_close(genome.maps, other.maps, rtol=0, atol=1e-4)


def test_rank_in_closed_form() -> None:
    """n orthogonal cosines have rank n, however large each is; doubled ones count by their shares."""
    t = torch.arange(32, dtype=torch.float64) * 2 * torch.pi / 32
    maps = torch.stack([10.0**k * (k * t).cos() + k for k in range(1, 6)])
    assert fm.standardised_rank(maps) == pytest.approx(5)
    assert fm.standardised_rank(torch.cat([maps[:1], maps[:1], maps[1:2]])) == pytest.approx(
        np.exp(-(2 / 3 * np.log(2 / 3) + 1 / 3 * np.log(1 / 3)))
    )
    assert fm.standardised_rank(maps[:0]) == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_constant_map_is_constant_in_every_precision(dtype: torch.dtype) -> None:
    """4,096 times 0.1 has another mean than 0.1 in float32: the map was distinct, and symmetric with a correlation of 1."""
    maps = torch.full((1, 64, 64), 0.1, dtype=dtype)
    assert fm.standardised(maps.flatten(1)).abs().max() == 0
    assert fm.reflection_correlations(maps).abs().max() == 0
    assert not fm.distinct(maps.flatten(1)).any()
