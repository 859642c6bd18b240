"""Verdicts that are computed from tables of measured rows: events and paces by hand, intervals from the literature."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "examples"))

from answers import measured_networks, parity_tables, spans
from answers import progress_measures as of_images
from answers import sparse_parity as of_parity
from answers.measured_networks import of_curves
from answers.parity_noise import thresholds
from claims import Claims


def grokking(early: str = "weight_entropy all") -> pd.DataFrame:
    """Memorised at step 10; test accuracy rises from step 60 to 80, one curve from step 30 to 40, the others steadily."""
    steps = range(0, 101, 5)
    table = pd.DataFrame({"accuracy train": [float(s >= 10) for s in steps]}, index=pd.Index(steps, name="step"))
    table["accuracy test"] = [min(max(s - 60, 0), 20) / 20 for s in steps]
    table["weight_norm all"] = [100.0 - s for s in steps]
    table[early] = [9.0 - 8.0 * min(max(s - 30, 0), 10) / 10 for s in steps]
    return table


def test_a_curve_by_hand() -> None:
    """A quarter of the rise is at 65, three quarters at 75; the early curve has changed all it does before."""
    network = of_curves(grokking())
    assert network.told[["memorised", "train_06", "generalised"]].tolist() == [10, 10, 75]
    assert network.stretches == (10, 65, 75, 100)
    assert network.paces("weight_norm all") == pytest.approx((-1, -1))
    assert network.paces("weight_entropy all") == pytest.approx((-90 / 55, 0))
    assert (network.order("weight_entropy all"), network.order("accuracy test")) == ("before", "overlapping")


def test_intervals() -> None:
    """Student by hand; Wilson and Newcombe from Newcombe 1998: 56 of 70 against 48 of 80, 0.0524 to 0.3339."""
    assert spans.span([1.0, 2.0, 3.0]) == "2 [-0.484, 4.48]"
    assert (spans.span([7.0]), spans.span([float("nan")])) == ("7", "never")
    assert spans.span([float("nan"), 7.0, 9.0]) == "8 [-4.71, 20.7] (never in 1 of 3)"
    assert spans.difference(56, 70, 48, 80) == pytest.approx((0.0524, 0.3339), abs=1e-4)
    assert spans.share(0, 64) == pytest.approx((0, 0.0566), abs=1e-4)


def test_images_from_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three seeds of one run: what rests on it is decided, and what rests on others is not run, with its cost."""
    monkeypatch.setattr(measured_networks, "MEASURED", tmp_path)
    names = [*of_images.SPARSITY.values(), *of_images.COMPLEXITY.values(), "local_complexity network"]
    table = grokking().assign(**{name: grokking(name)[name] for name in names})
    table.index = table.index * 1_000
    rows = [{"run": "digits_mse", "member": seed, "seed": seed, "steps": 100_000} for seed in range(3)]
    told = [{**row, "memorised": 10_000, "train_06": 10_000, "generalised": 75_000} for row in rows]
    pd.DataFrame(told).to_csv(tmp_path / "progress_measures_networks.csv")
    curves = [table.reset_index().assign(run="digits_mse", member=seed, seed=seed) for seed in range(3)]
    pd.concat(curves).to_csv(tmp_path / "progress_measures_curves.csv", index=False)
    claims = Claims("progress_measures")
    of_images.answer(claims)
    verdicts = {name: answer.verdict for name, answer in claims.answers.items()}
    assert {verdicts[name] for name in ("mnist_groks", "entropy_trained", "complexity_falls", "measures_lead")} == {
        "holds"
    }
    assert verdicts["sparsity_plateau"] == "undecided"  # it falls before, and is flat right before
    assert verdicts["dropout"] == verdicts["penalties"] == verdicts["reviews"] == "not run"
    assert claims.answers["cross_entropy"].note.startswith("Not run yet: about 13 minutes")


def test_parity_from_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Late decay: 0.5 breaks it and drives the norms to 0. Five units: L1 from 5 to 40 of 448 starts."""
    monkeypatch.setattr(parity_tables, "MEASURED", tmp_path)
    late = [
        {"run": "parity_late", "seed": seed, "late_weight_decay": decay, "epochs": 500, "generalised": epoch, "W_memorised": 2.0,
         "u_memorised": 2.0, "W_end": left, "u_end": left}
        for decay, epoch, left in ((0.01, 200, 1.3), (0.1, 50, 1.2), (0.5, float("nan"), 1e-3))
        for seed in range(5)
    ]  # fmt: skip
    pd.DataFrame(late).to_csv(tmp_path / "sparse_parity_networks.csv")
    pd.DataFrame({"run": [], "at": []}).to_csv(tmp_path / "sparse_parity_moments.csv")
    few = {"run": "parity_five_l1", "units": 5, "starts": 448, "epochs": 1_000}
    solved = [{**few, "l1": l1, "solved": n} for l1, n in ((0.0, 5), (3e-4, 40), (1e-3, 6))]
    pd.DataFrame(solved).to_csv(tmp_path / "sparse_parity_small.csv")
    claims = Claims("sparse_parity")
    of_parity.answer(claims)
    verdicts = {name: answer.verdict for name, answer in claims.answers.items()}
    assert (verdicts["decay_switch"], verdicts["late_norms"], verdicts["l1"]) == ("holds", "holds", "holds")
    assert verdicts["k2"] == verdicts["five_units"] == verdicts["noise_30"] == "not run"


def test_thresholds_stop_at_the_first_failure() -> None:
    """0.06 is survived again, but 0.03 is not; none is survived at the weaker decay."""
    rows = [
        {"n": 30, "weight_decay": decay, "label_noise": p, "test_accuracy": accuracy}
        for decay, accuracies in ((0.01, (0.9, 0.9, 0.9)), (0.1, (1.0, 0.94, 0.99)))
        for p, accuracy in zip((0.01, 0.03, 0.06), accuracies, strict=True)
    ]
    assert thresholds(pd.DataFrame(rows), 0.97).loc[30].tolist() == [0.0, 0.01]
