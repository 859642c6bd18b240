"""Power by frequency on networks made of cosines at known frequencies, against numpy's FFT and least squares."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp import GroupComposition, HookedMLP, InterpError, MLPConfig, ModularArithmetic, Subject
from interp.errors import MissingCapability
from interp.snapshot import Snapshot
from interp.tasks import SparseParity, ToyAddition
from probes.fourier import gini
from probes.measures.fourier import embedding_power, final_frequencies, mode_power, spectral_gini
from tests.circuits.cppns import dense as cppn
from tests.models import P, make, subject
from tests.probes.by_hand import TASKS, written

MEASURES = (mode_power, embedding_power)


def with_amplitudes(name: str, keys: list[int], amplitudes: list[float]) -> Subject:
    """A written network, twelve hidden units to a frequency, whose logits are amplitude * cos(w_k (a + b - c))."""
    one = written(TASKS[name], keys)
    with torch.no_grad():
        for i, amplitude in enumerate(amplitudes):
            one.model.W_U[12 * i : 12 * i + 12] *= amplitude
    return one


def powers(table: np.ndarray) -> np.ndarray:
    """Share of the power that is not constant, by frequency, from numpy's full FFT."""
    power = (np.abs(np.fft.fft(table, axis=0)) ** 2).sum(1)
    n = len(table)
    folded = np.array([power[k] + (power[n - k] if 2 * k != n else 0) for k in range(1, n // 2 + 1)])
    return folded / folded.sum()


def by_differences(x: np.ndarray) -> float:
    """Gini: the mean absolute difference of two, over twice the mean."""
    return float(np.abs(x[:, None] - x).mean() / (2 * x.mean()))


def cube_of(one: Subject) -> np.ndarray:
    """Logits [a, b, c] of addition."""
    task = one.require_task()
    return task.read(one.model(task.inputs)).detach().numpy().reshape(P, P, -1)[..., :P]


def by_least_squares(cube: np.ndarray, k: int) -> float:
    """Share of the variance (mean over inputs taken off each output) that waves of a + b - c explain."""
    n = len(cube)
    a, b, c = np.meshgrid(*[np.arange(n)] * 3, indexing="ij")
    angle = (2 * math.pi * k * (a + b - c) / n).ravel()
    centred = (cube - cube.mean((0, 1))).ravel()
    waves = np.stack([np.cos(angle), np.sin(angle)], 1)
    return float(((waves @ np.linalg.lstsq(waves, centred, rcond=None)[0]) ** 2).sum() / (centred**2).sum())


@pytest.mark.parametrize("name", sorted(TASKS))
@pytest.mark.parametrize(("keys", "amplitudes"), [([2], [3.0]), ([1, 4], [1.0, 2.0]), ([3, 5, 2], [1.0, 1.5, 0.5])])
def test_known_amplitudes(name: str, keys: list[int], amplitudes: list[float]) -> None:
    """Shares are squares of amplitudes; the keys are found by themselves; other frequencies have nothing."""
    one = with_amplitudes(name, keys, amplitudes)
    total = sum(a * a for a in amplitudes)
    expected = {f"frequency {k}": a * a / total for k, a in zip(keys, amplitudes, strict=True)}
    assert mode_power(one) == pytest.approx({**expected, "others": 0}, abs=1e-9)
    assert set(mode_power(one)) == set(expected) | {"others"}
    other = next(k for k in range(1, 7) if k not in keys)
    assert mode_power(one, frequencies=(other,)) == pytest.approx({f"frequency {other}": 0, "others": 1}, abs=1e-9)
    assert final_frequencies(Snapshot(one))["frequencies"] == sorted(keys, key=lambda k: -expected[f"frequency {k}"])


@pytest.mark.parametrize("name", sorted(TASKS))
@pytest.mark.parametrize("keys", [[2], [1, 4], [3, 5, 2]])
def test_known_embeddings(name: str, keys: list[int]) -> None:
    """Equal waves in both tables, in the readout as its amplitudes say; Gini coefficients of so many."""
    one = with_amplitudes(name, keys, [2.0] + [1.0] * (len(keys) - 1))
    found, n = embedding_power(one), 12 if name != "add" and name != "subtract" else 13
    for k in keys:
        assert found[f"W_E left frequency {k}"] == found[f"W_E right frequency {k}"] == pytest.approx(1 / len(keys))
        assert found[f"W_U frequency {k}"] == pytest.approx((4 if k == keys[0] else 1) / (len(keys) + 3))
    assert len(found) == 3 * len(keys)
    gin = spectral_gini(one)
    assert gin["W_E left"] == gin["W_E right"] == pytest.approx(1 - len(keys) / (n // 2))
    shares = np.array([4.0] + [1.0] * (len(keys) - 1) + [0.0] * (n // 2 - len(keys)))
    assert gin["W_U"] == pytest.approx(by_differences(shares))
    assert gin["logits"] == pytest.approx(by_differences(shares))


@pytest.mark.parametrize("name", ["plain", "layer norm", "bidirectional", "shared concat", "per operand", "product"])
def test_random_networks_by_numpy(name: str) -> None:
    """Logits by least squares, tables by FFT; the row of = and outputs that are not answers left out."""
    one, every = subject(name), (1, 2, 3)
    cube, table = cube_of(one), one.model.W_E.detach().numpy()
    expected = {f"frequency {k}": by_least_squares(cube, k) for k in every}
    assert mode_power(one, frequencies=every) == pytest.approx({**expected, "others": 0}, abs=1e-12)
    tables = {"W_E": table[:P]} if table.ndim == 2 else {"W_E left": table[0], "W_E right": table[1]}
    tables["W_U"] = one.model.W_U.detach().numpy().T[:P]
    found = embedding_power(one, frequencies=every)
    assert found == pytest.approx({f"{n} frequency {k}": powers(t)[k - 1] for n, t in tables.items() for k in every})
    ginis = {n: by_differences(powers(t)) for n, t in tables.items()}
    assert spectral_gini(one) == pytest.approx({**ginis, "logits": by_differences(np.array(list(expected.values())))})


@pytest.mark.parametrize("p", [5, 7, 11])
def test_multiplication_in_the_order_of_powers(p: int) -> None:
    """Rows of 1, g, g^2, ... for a primitive root g; 0 has no place among them."""
    task = ModularArithmetic(p, "multiply", 0.5)
    model = HookedMLP(MLPConfig((9,), p, d_vocab=p, d_embed=4)).double().init_weights(1)
    root = next(g for g in range(2, p) if len({pow(g, i, p) for i in range(p - 1)}) == p - 1)
    order = [pow(root, i, p) for i in range(p - 1)]
    found = spectral_gini(Subject("multiply", model, task.fit(model)))
    # another root permutes the frequencies, which the Gini coefficient does not see
    assert found["W_E"] == pytest.approx(by_differences(powers(model.W_E.detach().numpy()[order])))
    assert found["W_U"] == pytest.approx(by_differences(powers(model.W_U.detach().numpy().T[order])))


@given(st.integers(0, 10**6), st.floats(0.01, 100))
def test_power_laws(seed: int, scale: float) -> None:
    """All frequencies of a table come to 1; scale and what is added to all logits of an input change nothing."""
    one = subject("shared concat", seed)
    found, embedded = mode_power(one, frequencies=(1, 2, 3)), embedding_power(one, frequencies=(1, 2, 3))
    assert min(found.values()) + 1e-12 >= 0
    assert sum(found.values()) <= 1 + 1e-12
    for table in ("W_E", "W_U"):
        assert sum(v for n, v in embedded.items() if n.startswith(table)) == pytest.approx(1)
    assert sum(mode_power(one, frequencies=(2,)).values()) == pytest.approx(sum(found.values()))
    with torch.no_grad():
        one.model.W_U.mul_(scale)
        one.model.unembed.b_U.mul_(scale).add_(5)
    assert mode_power(one, frequencies=(1, 2, 3)) == pytest.approx(found, abs=1e-9)
    assert all(0 <= g < 1 for g in spectral_gini(one).values())


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20), st.floats(0.01, 100))
def test_gini_laws(power: list[float], scale: float) -> None:
    """Order and scale change nothing, equal powers give 0, one among n gives 1 - 1/n; the mean difference otherwise."""
    x = torch.tensor([7.0, *power], dtype=torch.float64)
    if sum(power) > 1e-6:
        assert gini(x) == pytest.approx(by_differences(np.array(power)), abs=1e-9)
        assert gini(scale * x) == pytest.approx(gini(x), abs=1e-9)
    assert gini(torch.cat([x[:1], x[1:].flip(0)])) == pytest.approx(gini(x), abs=1e-12)
    assert gini(torch.full((len(power) + 1,), scale, dtype=torch.float64)) == pytest.approx(0, abs=1e-12)
    single = torch.zeros(len(power) + 1, dtype=torch.float64)
    single[-1] = scale
    assert gini(single) == pytest.approx(1 - 1 / len(power))


def test_small_and_constant_networks() -> None:
    """p = 2 has one frequency; logits that do not vary have none."""
    model = HookedMLP(MLPConfig((5,), 2, d_vocab=2, d_embed=3)).double().init_weights(0)
    two = Subject("two", model, ModularArithmetic(2, "add", 0.5).fit(model))
    assert embedding_power(two, frequencies=(1,)) == {"W_E frequency 1": 1, "W_U frequency 1": 1}
    assert spectral_gini(two) == {"W_E": 0, "W_U": 0, "logits": 0}
    one = subject("plain")
    with torch.no_grad():
        one.model.W_U.zero_()
    assert mode_power(one, frequencies=(1, 2)) == {"frequency 1": 0, "frequency 2": 0, "others": 0}
    assert spectral_gini(one)["logits"] == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_stored_in_less(dtype: torch.dtype) -> None:
    """Measured in float64 whatever was stored."""
    task = subject("plain").task
    stored, wide = (Subject("x", m, task) for m in (make("plain").to(dtype), make("plain").to(dtype).double()))
    for measure in MEASURES:
        assert measure(stored, frequencies=(1, 3)) == measure(wide, frequencies=(1, 3))
    assert spectral_gini(stored) == spectral_gini(wide)


def test_a_frequency_named_twice_counts_once() -> None:
    """What the others have does not depend on how often one is named."""
    one = subject("plain")
    assert mode_power(one, frequencies=(2, 2)) == pytest.approx(mode_power(one, frequencies=(2,)))


def test_nan_is_no_power() -> None:
    """Of a network that diverged nothing is known, which is not that a mode has no power."""
    one = subject("plain")
    with torch.no_grad():
        one.model.W_E[:, 0] = math.nan
    assert math.isnan(mode_power(one, frequencies=(1,))["frequency 1"])
    assert math.isnan(embedding_power(one, frequencies=(1,))["W_E frequency 1"])
    assert math.isnan(spectral_gini(one)["W_E"])
    assert math.isnan(spectral_gini(one)["logits"])


@pytest.mark.parametrize("wrong", [(0,), (4,), (-1,), (1, 99)])
@pytest.mark.parametrize("measure", MEASURES)
def test_refusals_of_frequencies(measure: object, wrong: tuple[int, ...]) -> None:
    """Z_7 has the frequencies 1, 2 and 3."""
    assert callable(measure)
    with pytest.raises(InterpError, match="frequenc.* 1 to 3"):
        measure(subject("plain"), frequencies=wrong)


@pytest.mark.parametrize("measure", [*MEASURES, spectral_gini])
def test_refusals(measure: object) -> None:
    """Tasks without Fourier modes, models without a task; where no frequency is named, one must stand out."""
    assert callable(measure)

    def mlp(outputs: int, **config: int) -> HookedMLP:
        return HookedMLP(MLPConfig((5,), outputs, **config)).double().init_weights(0)

    toy, group, bits = mlp(9, d_vocab=5, d_embed=3), mlp(6, d_vocab=6, d_embed=3), mlp(1, d_in=6)
    for one, message in (
        (Subject("cppn", cppn()), "needs a task"), (Subject("lstm", make("lstm")), "needs a task"),
        (Subject("toy", toy, ToyAddition(5, loss="cross_entropy").fit(toy)), "not reduced"),
        (Subject("S_3", group, GroupComposition("S_3", 0.5).fit(group)), "not abelian"),
        (Subject("parity", bits, SparseParity(n=6, k=2, n_train=9, n_test=1)), "no Fourier basis"),
    ):  # fmt: skip
        with pytest.raises(InterpError, match=message):
            measure(one)
    quiet = Subject("noise", make("plain", 3, scale=0.2), subject("plain").task)
    if measure is not spectral_gini:
        with pytest.raises(MissingCapability, match="no frequency stands out"):
            measure(quiet)
