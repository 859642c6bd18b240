"""`ablation_intervals`: plain per-input changes as twins of its numbers, and the stated rate of errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import interp
from circuits import Ablate, Experiment, Mean, ablate, ablation_intervals, applied
from circuits.experiments.resampled import Correction, Weights, benjamini_hochberg, holm
from interp import InterpError, Site, Subject
from interp.errors import UnknownName
from tests.circuits.discovery.test_discover import planted
from tests.models import subject

D = 24  # units of the network whose effects are known


def identity() -> interp.HookedModel:
    """Every unit is one input, and the output is their sum: without unit u it falls by the input's u-th number."""
    net = nn.Sequential(nn.Linear(D, D), nn.Linear(D, 1)).double()
    with torch.no_grad():
        for parameter, value in zip(net.parameters(), (torch.eye(D), 0, 1, 0), strict=True):
            parameter.copy_(torch.as_tensor(value).expand_as(parameter))
    return interp.wrap(net.eval(), torch.zeros(2, D, dtype=torch.float64))


def total(outputs: Tensor) -> Tensor:
    return outputs[:, 0]


def drawn(seed: int, n: int = 60, *, planted: int = 0) -> Tensor:
    """Inputs with a skewed distribution of mean 0; the first few units have a mean of 1."""
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.rand(n, D, generator=generator, dtype=torch.float64).log().neg() - 1
    inputs[:, :planted] += 1
    return inputs


@pytest.mark.parametrize(("correction", "n_planted"), [("max", 0), ("bh", 3)])
def test_nothing_idle_is_called_needed_at_more_than_the_stated_rate(correction: Correction, n_planted: int) -> None:
    """Over 100 samples of 60 skewed inputs: any false one, or of BH the mean share of false ones; units that matter are found.

    A t test with Holm's correction calls something needed in a quarter of them. Intervals hold 0 as often as they say.
    """
    model, false, right, inside = identity(), [], [], []
    for seed in range(100):
        table = ablation_intervals(
            model, site="0.hook_out", value="zero", metric=total, inputs=drawn(seed, planted=n_planted), n_boot=200,
            correction=correction, seed=seed, confidence=0.9,
        )  # fmt: skip
        found, idle = table["needed"].to_numpy(), table.iloc[n_planted:]
        wrong = found[n_planted:].sum()
        false.append(wrong / max(1, found.sum()) if correction == "bh" else wrong > 0)
        right.append(found[:n_planted].mean() if n_planted else 1.0)
        inside.append(((idle["low"] < 0) & (idle["high"] > 0)).mean())
    assert np.mean(false) < 0.1 + 2.6 * 0.03  # a binomial of 100 draws at 0.1 stays below it in 99.5%
    assert np.mean(right) > 0.99
    assert np.mean(inside) == pytest.approx(0.9, abs=0.02)


def plain(one: Subject, unit: int) -> np.ndarray:
    """Changes of the loss, test input by test input, in whole forward passes; replaced by the mean over training inputs."""
    task = one.require_task()
    ablation = Ablate(Site("blocks.1.mlp.hook_post", unit=unit), Mean(reference=task.inputs[task.train_indices]))
    with torch.no_grad():
        clean = task.losses(task.read(one.model(task.inputs)))
        with applied(one.model, ablation, strict=False):
            changed = task.losses(task.read(one.model(task.inputs)))
    return (changed - clean)[task.test_indices].numpy()


def test_intervals_and_p_values_of_plain_changes() -> None:
    """The change exactly, scipy's skewness in Hall's statistic, and the studentised bootstrap drawn by hand."""
    one = subject("two layers")
    found = ablation_intervals(one, "neurons", site="blocks.1.mlp.hook_post", n_boot=4000)
    generator = np.random.default_rng(1)
    for unit in (0, 4):
        changes, row = plain(one, unit), found.iloc[unit]
        n, mean, error = len(changes), changes.mean(), changes.std() / len(changes) ** 0.5
        assert row["change"] == pytest.approx(mean, rel=1e-8)
        draws = changes[generator.integers(n, size=(20_000, n))]
        t = (draws.mean(1) - mean) / (draws.std(1) / n**0.5)
        low, high = mean - np.quantile(t, [0.975, 0.025]) * error
        assert abs(row["low"] - low) < 0.06 * (high - low)
        assert abs(row["high"] - high) < 0.06 * (high - low)
        x, skew = mean / changes.std(), stats.skew(changes)
        hall = n**0.5 * (x + skew * x**2 / 3 + skew**2 * x**3 / 27 + skew / (6 * n))
        assert row["p"] == pytest.approx(max(stats.t.sf(hall, n - 1), 2.0**-n), rel=1e-6)
    assert found.attrs["inputs"] == "30 test examples"
    assert "reference='train'" in found.attrs["value"]


def test_pieces_and_loaders_change_nothing() -> None:
    """The smallest pieces of inputs and of components, and a loader: the same draws and the same numbers."""
    one = subject("two layers")
    task = one.require_task()
    whole = ablation_intervals(one, "heads", on="all", n_boot=100, by_position=True)
    pieces = ablation_intervals(one, "heads", on="all", n_boot=100, by_position=True, max_bytes=30_000)
    numbers = ["change", "low", "high"]
    np.testing.assert_allclose(pieces[numbers], whole[numbers], atol=1e-9)
    assert pieces["needed"].tolist() == whole["needed"].tolist()
    batches = list(zip(task.inputs.split(11), task.labels.split(11), strict=True))
    loader = ablation_intervals(one, "heads", inputs=batches, n_boot=100, by_position=True)
    np.testing.assert_allclose(loader[numbers], whole[numbers], atol=1e-9)
    single = ablate(one, "heads", by_position=True)
    np.testing.assert_allclose(whole["change"], single["loss_change"], atol=1e-9)
    assert whole["pos"].tolist() == single["pos"].tolist()


def test_planted_units_of_a_task_and_what_does_nothing() -> None:
    """A unit that writes nothing has p = 1 and an interval of 0; what is needed is told from what hurts."""
    one = planted()
    inputs = torch.cartesian_prod(torch.arange(2), torch.arange(2)).repeat(20, 1)
    with torch.no_grad():
        one.model.unembed.W_U[0] = 0  # type: ignore[attr-defined]
        one.model.unembed.W_U[1] = torch.tensor([0.0, 1.0])  # type: ignore[attr-defined]
    found = ablation_intervals(one, inputs=inputs, metric="accuracy", value="zero").set_index("component")
    assert found.loc["L0N0", ["change", "low", "high", "p", "needed"]].tolist() == [0, 0, 0, 1, False]
    assert found.loc["L0N2", "needed"]
    hurts = found.loc["L0N1"]
    assert (hurts["change"], hurts["needed"]) == (0.25, False)
    assert hurts["low"] > 0


def test_corrections_by_hand() -> None:
    """Holm, Benjamini and Hochberg, in any order."""
    p = torch.tensor([0.04, 0.01, 0.03, 0.02], dtype=torch.float64)
    assert holm(p).tolist() == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert benjamini_hochberg(p).tolist() == pytest.approx([0.04] * 4)


def test_weights_are_those_of_drawing_with_replacement() -> None:
    """Sums, means and covariances of a multinomial: -1/n between inputs, 1 - 1/n of each."""
    weights = Weights(150, 20_000, seed=3)
    found = torch.cat([weights.take(n) for n in (1, 70, 79)])
    assert (found.sum(0) == 150).all()
    covariance = torch.cov(found[[0, 1, 70, 149]])
    assert (covariance - (torch.eye(4, dtype=torch.float64) - 1 / 150)).abs().max() < 0.05


def test_findings_and_refusals() -> None:
    """A figure with intervals, a record, and errors that say what to do."""
    one = subject("plain")
    found = ablation_intervals(one, n_boot=100)
    assert len(found.figure().data[0].error_y.array) == 10
    assert not found.figure().layout.annotations  # a name on a bar would stand on its interval
    assert list(found.table.columns[:3]) == ["component", "site", "index"]
    outcome = Experiment("ablation_intervals", n_boot=100).run(one)
    assert outcome.difference(outcome.experiment.run(one)) == 0
    assert pd.api.types.is_bool_dtype(found["needed"])
    with pytest.raises(UnknownName, match="did you mean 'holm'"):
        ablation_intervals(one, correction="holms")  # type: ignore[arg-type]
    with pytest.raises(UnknownName, match="did you mean 'test'"):
        ablation_intervals(one, on="tests")  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="judges all inputs together"):
        ablation_intervals(one, metric=lambda out: out.mean())
    with pytest.raises(InterpError, match="at least two inputs"):
        ablation_intervals(one, inputs=one.require_task().inputs[:1])
    with pytest.raises(InterpError, match="do not fit into max_bytes"):
        ablation_intervals(one, on="all", value="resample", max_bytes=10_000)
