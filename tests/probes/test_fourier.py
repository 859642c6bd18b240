"""Fourier modes: fast transforms against dense projections, and weights built by hand from known frequencies."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from interp import InterpError
from probes import fourier

MODULI = [2, 3, 4, 5, 8, 11, 12, 53, 113]
moduli = st.integers(2, 24)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def frequency_of(name: str) -> int:
    return 0 if name == "1" else int(name.split()[1])


def waves(argument: Tensor, k: int, p: int) -> list[Tensor]:
    """Unit-norm cos and sin of w_k times an integer argument; the ones that vanish left out."""
    angle = 2 * math.pi * k * argument.double() / p
    return [w / w.norm() for w in (torch.cos(angle), torch.sin(angle)) if w.norm() > 1e-6]


@pytest.mark.parametrize("p", MODULI)
def test_the_basis_is_orthonormal_and_complete(p: int) -> None:
    """p directions of length p, by the published formula; even p ends in the alternating vector."""
    basis = fourier.basis(p)
    gram = basis.directions @ basis.directions.T
    torch.testing.assert_close(gram, torch.eye(p, dtype=torch.float64), rtol=0, atol=1e-12)
    t = np.arange(p)
    for name, row in zip(basis.names, basis.directions.numpy(), strict=True):
        k = frequency_of(name)
        expected = np.ones(p) if k == 0 else (np.sin if name.startswith("sin") else np.cos)(2 * np.pi * k * t / p)
        np.testing.assert_allclose(row, expected / np.linalg.norm(expected), atol=1e-12)
    if p % 2 == 0:
        assert basis.names[-1] == f"cos {p // 2}"


@given(moduli, st.integers(1, 4), st.integers(0, 99))
def test_spectrum_is_the_power_in_the_basis(p: int, columns: int, seed: int) -> None:
    """The fast transform equals the dense projection, frequency by frequency, and keeps the norm."""
    values, basis = noise(p, columns, seed=seed), fourier.basis(p)
    dense = torch.zeros(p // 2 + 1, dtype=torch.float64)
    coordinates = (basis.directions @ values).pow(2).sum(1)
    dense.index_add_(0, torch.tensor([frequency_of(n) for n in basis.names]), coordinates)
    power = fourier.spectrum(values)
    torch.testing.assert_close(power, dense, rtol=1e-9, atol=1e-10)
    assert power.sum().item() == pytest.approx(values.pow(2).sum().item())


@given(moduli, st.integers(0, 99))
def test_spectra_over_the_input_table(p: int, seed: int) -> None:
    """2-D spectrum and the (a + b) part against dense projections."""
    table, basis = noise(p, p, 2, seed=seed), fourier.basis(p)
    coordinates = (basis.directions @ table.permute(2, 0, 1) @ basis.directions.T).pow(2).sum(0)
    frequency = torch.tensor([frequency_of(n) for n in basis.names])
    dense = torch.zeros(p // 2 + 1, p // 2 + 1, dtype=torch.float64)
    dense.index_put_((frequency[:, None].expand(p, p), frequency.expand(p, p)), coordinates, accumulate=True)
    torch.testing.assert_close(fourier.spectrum_2d(table), dense, rtol=1e-9, atol=1e-10)
    a = torch.arange(p)
    found = fourier.sum_spectrum(table)
    for k in range(1, p // 2 + 1):
        power = sum((w[..., None] * table).sum((0, 1)).pow(2).sum() for w in waves(a[:, None] + a, k, p))
        assert found[k].item() == pytest.approx(float(power), rel=1e-9, abs=1e-10)


@given(st.integers(2, 9), st.integers(0, 99))
def test_trilinear_spectrum(p: int, seed: int) -> None:
    """Power on cos and sin of w_k (a + b - c), against the dense cube."""
    logits, a = noise(p, p, p, seed=seed), torch.arange(p)
    found = fourier.trilinear_spectrum(logits)
    for k in range(1, p // 2 + 1):
        power = sum((w * logits).sum().pow(2) for w in waves(a[:, None, None] + a[:, None] - a, k, p))
        assert found[k].item() == pytest.approx(float(power), rel=1e-9, abs=1e-10)


@st.composite
def chosen_frequencies(draw: st.DrawFn) -> tuple[int, list[int], int]:
    p = draw(st.sampled_from([5, 7, 8, 11, 12, 20, 31, 50, 53, 100, 113]))
    most = max(1, (p // 2) // 2)
    keys = draw(st.lists(st.integers(1, p // 2), min_size=1, max_size=min(6, most), unique=True))
    return p, keys, draw(st.integers(0, 99))


@given(chosen_frequencies())
def test_weights_built_from_cosines_give_back_exactly_their_frequencies(case: tuple[int, list[int], int]) -> None:
    """Embeddings made of cosines at chosen frequencies, random amplitudes and phases: exactly those, even p too."""
    p, keys, seed = case
    generator = torch.Generator().manual_seed(seed)
    t, columns = torch.arange(p, dtype=torch.float64)[:, None], 6
    weights = noise(1, columns, seed=seed).expand(p, columns).clone()  # a constant, which is not a frequency
    strength = {}
    for k in keys:
        amplitude = 0.5 + 2 * torch.rand(columns, generator=generator, dtype=torch.float64)
        phase = 2 * math.pi * torch.rand(columns, generator=generator, dtype=torch.float64)
        wave = amplitude * torch.cos(2 * math.pi * k * t / p + (0 if 2 * k == p else 1) * phase)
        weights = weights + wave
        strength[k] = wave.pow(2).sum().item()
    assert fourier.key_frequencies(fourier.spectrum(weights)) == sorted(keys, key=lambda k: -strength[k])


@given(chosen_frequencies())
def test_logits_built_from_cosines_give_back_exactly_their_frequencies(case: tuple[int, list[int], int]) -> None:
    """Logits of cos(w_k (a + b - c)) with noise: exactly those frequencies, strongest first."""
    p, keys, seed = case
    if p > 53:
        p, keys = 53, [min(k, 26) for k in keys][:1]
    a = torch.arange(p)
    argument = (a[:, None, None] + a[:, None] - a).double()
    logits = 0.3 * noise(p, p, p, seed=seed)
    for strength, k in enumerate(keys, start=2):
        logits = logits + strength * torch.cos(2 * math.pi * k * argument / p) * (0.7 if 2 * k == p else 1)
    assert fourier.logit_frequencies(logits) == keys[::-1]


@pytest.mark.parametrize("p", [11, 53, 113])
def test_noise_has_no_key_frequencies(p: int) -> None:
    """Neither random weights nor random logits; nor a constant."""
    for seed in range(5):
        assert fourier.key_frequencies(fourier.spectrum(noise(p, 64, seed=seed))) == []
        if p <= 53:
            assert fourier.logit_frequencies(noise(p, p, p, seed=seed)) == []
    assert fourier.key_frequencies(fourier.spectrum(torch.ones(p, 3))) == []
    assert fourier.logit_frequencies(torch.ones(5, 5, 5)) == []


def test_neuron_shares() -> None:
    """A neuron of cos(w_3 a) cos(w_3 b) belongs to 3 entirely; a mixed one by its variances; a dead one to none."""
    p = 11
    a = torch.arange(p, dtype=torch.float64)
    wave = {k: torch.cos(2 * math.pi * k * a / p) for k in (3, 5)}
    neurons = torch.stack(
        [
            2 + wave[3][:, None] * wave[3],
            wave[3][:, None] + 2 * wave[5][None, :],
            torch.zeros(p, p),
            wave[3][:, None] * wave[5],
        ],
        dim=-1,
    )
    share = fourier.neuron_shares(neurons, chunk=3)
    assert share[3].tolist() == pytest.approx([1.0, 0.2, 0.0, 0.0], abs=1e-12)
    assert share[5].tolist() == pytest.approx([0.0, 0.8, 0.0, 0.0], abs=1e-12)
    assert share.sum(0).max() <= 1 + 1e-12


@pytest.mark.parametrize("p", [7, 8])
def test_fits_of_neurons(p: int) -> None:
    """Planted waves come back with amplitude and phase; what all explain together is what `neuron_shares` says."""
    a = torch.arange(p, dtype=torch.float64)
    w = 2 * math.pi * 3 / p
    planted = 1.5 + 2 * torch.cos(w * a[:, None] + 0.3) + 0.7 * torch.cos(w * (a[:, None] - a) - 1.1)
    table = torch.cat([planted[..., None], noise(p, p, 5)], -1)
    fits = fourier.fit_neurons(table, chunk=2)
    one = fits.iloc[0][
        ["frequency", "mean", "share", "amplitude a", "phase a", "amplitude a-b", "phase a-b", "amplitude b"]
    ]
    assert one.tolist() == pytest.approx([3, 1.5, 1, 2, 0.3, 0.7, -1.1, 0])
    shares = fourier.neuron_shares(table)
    np.testing.assert_allclose(fits["share"], shares.amax(0), atol=1e-12)
    for k in (1, p // 2):  # the last is its own negative where p is even
        np.testing.assert_allclose(fourier.fit_neurons(table, k)["share"], shares[k], atol=1e-12)
        each = fourier.fit_neurons(table, torch.full((table.shape[-1],), k))  # type: ignore[arg-type]
        pd.testing.assert_frame_equal(each, fourier.fit_neurons(table, np.int64(k)))  # type: ignore[arg-type]
    for wrong in (9, 0, -1, "1", 1.0, [], [1, "2"]):
        with pytest.raises(InterpError, match="frequencies are one of 1 to"):
            fourier.fit_neurons(table, wrong)  # type: ignore[arg-type]


def test_a_large_constant_is_no_frequency() -> None:
    """Rounding of a constant neuron is not taken for variance."""
    assert fourier.neuron_shares(torch.full((113, 113, 1), 1e6 / 3, dtype=torch.float64)).max() == 0


@pytest.mark.parametrize("p", [7, 53, 113])
def test_a_constant_has_no_shares(p: int) -> None:
    """Of what the transform leaves of it, 1e-31, neither: rows that are all alike are of no frequency."""
    power = fourier.spectrum(torch.full((p, 3), 0.1))
    assert not fourier.shares(power).any()
    assert fourier.gini(power) == 0
    assert fourier.key_frequencies(power) == []
    assert fourier.shares(torch.full((4,), torch.nan)).isnan()[1:].all()


def test_gini_and_shares_at_their_ends() -> None:
    """Equal powers 0; one frequency alone (n - 1) / n; the constant never counts."""
    assert fourier.gini(torch.tensor([100.0, 1.0, 1.0, 1.0])) == pytest.approx(0.0)
    assert fourier.gini(torch.tensor([100.0, 0.0, 0.0, 4.0])) == pytest.approx(2 / 3)
    assert fourier.shares(torch.tensor([7.0, 0.0, 0.0])).tolist() == [0.0, 0.0, 0.0]


@given(moduli, st.integers(0, 99))
def test_the_modulus_is_checked_where_it_is_known(p: int, seed: int) -> None:
    """The row of ``=`` and a transposed table are refused, not read with another period; the right rows are not."""
    table = noise(p + 1, p + 2, seed=seed)
    for wrong in (table, table.T, table[:1]):
        with pytest.raises(InterpError, match=rf"Z_{p} needs values with {p} rows.*values\[:{p}\].*transpose"):
            fourier.spectrum(wrong, p)
    assert torch.equal(fourier.spectrum(table[:p], p), fourier.spectrum(table[:p]))
    assert len(fourier.spectrum(table)) == (p + 1) // 2 + 1  # without p, the rows are the period


def test_refusals() -> None:
    """Shapes that are not a table are named."""
    with pytest.raises(InterpError, match="at least 2 rows"):
        fourier.spectrum(torch.tensor(1.0))
    with pytest.raises(InterpError, match="whole number"):
        fourier.basis(7.0)  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="1 to 3; got .4"):
        fourier.frequency_basis(7, [4])
    with pytest.raises(InterpError, match="at least 2"):
        fourier.basis(1)
    with pytest.raises(InterpError, match=r"\[p, p, \.\.\.\]"):
        fourier.spectrum_2d(torch.zeros(3, 4))
    with pytest.raises(InterpError, match=r"\[p, p, p\]"):
        fourier.trilinear_spectrum(torch.zeros(3, 3, 4))


@pytest.mark.cuda
def test_the_same_on_a_gpu() -> None:
    """Spectra on CUDA equal those on the CPU."""
    values = noise(53, 8)
    torch.testing.assert_close(fourier.spectrum(values.cuda()).cpu(), fourier.spectrum(values))


@pytest.mark.parametrize("p", [5, 6, 7, 11])
def test_no_wave_explains_a_unit_that_does_not_vary(p: int) -> None:
    """What rounding leaves of 0.7 minus its mean was divided by itself: a share of 0.2 at p = 5."""
    values = torch.full((p, p, 2), 0.7, dtype=torch.float64)
    values[..., 1] = 0.0
    shares = fourier.fit_neurons(values).filter(like="share")
    assert (shares == 0).to_numpy().all()
