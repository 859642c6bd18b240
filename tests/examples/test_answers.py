"""Verdicts that are computed from tables of measured rows: events and paces by hand, intervals from the literature."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "examples"))

from answers import measured_networks, parity_tables, spans
from answers import progress_measures as of_images
from answers import sparse_parity as of_parity
from answers.measured_networks import Network, leads, of_curves
from answers.parity_noise import excepted, falls_with_bits, rises_with_decay, thresholds
from answers.parity_norms import bends, joints, resolved
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
    assert network.paces("weight_entropy all") == pytest.approx((-65 / 55, 0))
    after = network.table["weight_entropy all"].where(network.table.index <= 75, -1_000.0)
    assert of_curves(network.table.assign(later=after)).paces("later") == pytest.approx((-65 / 55, 0))
    assert network.pace_until("weight_norm all", 0.8) == pytest.approx(-1)
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
    assert {verdicts[name] for name in ("mnist_groks", "norm_falls", "entropy_trained", "complexity_falls")} == {
        "holds"
    }
    assert {verdicts[f"{name}_leads"] for name in ("entropy", "sparsity", "complexity")} == {"holds"}
    assert verdicts["sparsity_plateau"] == "undecided"  # it falls before, and is flat right before
    assert verdicts["dropout"] == verdicts["penalties"] == verdicts["reviews"] == "not run"
    assert verdicts["cross_entropy_norm"] == verdicts["cross_entropy_dropout"] == "not run"
    assert (
        claims.answers["cross_entropy"].note
        == "Waits for the run digits_ce (make evidence): about 13 minutes of a core"
    )
    assert claims.answers["penalties"].note.endswith(
        "about 85 minutes of a core"
    )  # without that of the run that is there


def climbing(memorised: int, generalised: float, test: dict[int, float], norm: tuple[float, ...] = ()) -> Network:
    """Checkpoints every 2,000 steps; the step of 0.99 and of 0.6 is known to the step."""
    table = pd.DataFrame({"accuracy test": test, "accuracy train": {step: float(step > 0) for step in test}})
    if norm:
        table["weight_norm all"] = norm
    events = {"memorised": memorised, "train_06": memorised, "generalised": generalised}
    return Network(pd.Series({"seed": 0, "steps": 8_000, **events}), table)


def test_generalised_at_two_levels() -> None:
    """0.6 is known to the step, 0.8 between two checkpoints: a delay is held where the earliest step allows it."""
    nan = float("nan")
    for memorised, last, at_06, at_08 in (
        (500, 0.9, False, True),  # 0.8 comes after step 4,000
        (3_500, 0.9, False, "undecided"),  # 0.8 comes 500 to 2,500 steps later
        (500, 0.7, False, False),  # 0.8 never comes
    ):
        network = climbing(memorised, 600, {0: 0.1, 2_000: 0.7, 4_000: 0.75, 6_000: 0.85, 8_000: last})
        assert (network.grokked(0.6), network.grokked(0.8)) == (at_06, at_08)
        assert network.reached("test", 0.8) == pytest.approx((nan, nan) if last < 0.8 else (4_000, 6_000), nan_ok=True)
    text, verdicts = of_images.groks([climbing(500, 600, {0: 0.1, 2_000: 0.7, 4_000: 0.75, 6_000: 0.85, 8_000: 0.9})])
    assert verdicts == {"test accuracy 0.6": False, "test accuracy 0.8": True}
    assert text.endswith(
        "test accuracy 0.6 from 600 (1 of 1 seeds), test accuracy 0.8 from between 4,000 and 6,000 (1 of 1 seeds)"
    )


def test_some_undecided() -> None:
    """Several are undecided only where the undecided ones matter; an interval that overlaps is neither before nor after."""
    assert spans.several([True, "undecided"]) == spans.several([False, "undecided"]) == "undecided"
    assert spans.several([True, False, "undecided"]) == "in part"
    orders = (["before"] * 2, ["after", "never"], ["after", "overlapping"], ["before", "overlapping", "after"])
    assert [leads(each) for each in orders] == [True, False, "undecided", "in part"]


def test_a_norm_that_falls_first() -> None:
    """It holds where the norm grows all along, in part where it falls first, and not where it ends below its start."""
    rise = {0: 0.1, 2_000: 0.1, 4_000: 0.4, 6_000: 0.85, 8_000: 0.9}
    for norm, verdict in (
        ((1, 2, 3, 4, 5), True),
        ((3, 2, 1, 4, 5), "in part"),
        ((6, 2, 1, 4, 5), False),
    ):
        text, found = of_images.norm_raised([climbing(500, 4_500, rise, tuple(float(v) for v in norm))])
        assert found == {"test accuracy 0.6": verdict, "test accuracy 0.8": verdict}
        assert f"norm {norm[0]} at the start, {min(norm)} at its lowest" in text
    slow = {0: 0.5, 2_000: 0.5, 4_000: 0.5, 6_000: 0.8, 8_000: 1.0}
    _, found = of_images.norm_raised([climbing(3_500, 4_000, slow, (1.0, 2.0, 3.0, 4.0, 5.0))])
    assert found == {"test accuracy 0.6": False, "test accuracy 0.8": "undecided"}


def test_dropout_at_two_levels() -> None:
    """A network that never has 0.8 keeps its delay there, however short that to 0.6 is."""
    plain = climbing(500, 5_500, {0: 0.1, 2_000: 0.2, 4_000: 0.3, 6_000: 0.85, 8_000: 0.9})
    dropped = climbing(500, 900, {0: 0.1, 2_000: 0.7, 4_000: 0.7, 6_000: 0.7, 8_000: 0.7})
    _, found = of_images.no_delay([plain], [dropped])
    assert found == {"accuracy 0.6": True, "accuracy 0.8": False}
    half = climbing(500, 2_500, {0: 0.1, 2_000: 0.7, 4_000: 0.9, 6_000: 0.9, 8_000: 0.9})
    _, found = of_images.no_delay([plain], [half])  # at 0.8: 0 to 4,000 steps against 2,000 to 6,000
    assert found == {"accuracy 0.6": "in part", "accuracy 0.8": "undecided"}


def test_measures_beside_norm_and_clock() -> None:
    """Curves that go with test accuracy are better than a norm that turns, and no better than the step where all only grow."""
    steps = range(0, 10_000, 1_000)
    names = [*of_images.SPARSITY.values(), of_images.ENTROPY, *of_images.COMPLEXITY.values()]
    table = pd.DataFrame({"accuracy test": [s / 1e4 for s in steps]}, index=pd.Index(steps, name="step"))
    table = table.assign(**dict.fromkeys(names, table["accuracy test"]), **{"accuracy train": 1.0})
    turns, falls = (
        of_curves(table.assign(**{of_images.NORM: [f(s) for s in steps]})) for f in (lambda s: abs(s - 2_500), float)
    )
    assert of_images.better_than_norm([turns])[1] is True
    assert of_images.better_than_norm([falls])[1] is False
    assert of_images.better_than_clock([falls], [turns])[1] == {"norm as it is": False, "norm raised": False}


def test_penalties_at_two_levels() -> None:
    """One kind of three generalises sooner, at 0.8 by the worst reading of the checkpoints, too; the others never have 0.8."""
    rise = {0: 0.1, 2_000: 0.2, 4_000: 0.3, 6_000: 0.7, 8_000: 0.85}
    fast = {0: 0.1, 2_000: 0.7, 4_000: 0.85, 6_000: 0.9, 8_000: 0.9}
    never = {0: 0.1, 2_000: 0.2, 4_000: 0.3, 6_000: 0.7, 8_000: 0.7}
    kinds = []
    for kind, curve in (("entropy", fast), ("sparsity", never), ("complexity", never)):
        network = climbing(500, 2_000 if curve is fast else 5_500, curve)
        kinds.append([Network(pd.concat([network.told, pd.Series({f"{kind}_penalty": 0.1})]), network.table)])
    text, found = of_images.penalties([climbing(500, 5_500, rise)], *kinds)
    assert found == {"test accuracy 0.6": "in part", "test accuracy 0.8": "in part"}
    assert (
        "test accuracy 0.8 without: from between 6,000 and 8,000; entropy: between 0.25 and 0.667 of that at 0.1"
        in text
    )


def late_networks(**memorised: float) -> pd.DataFrame:
    """Five networks at each of three late weight decays, of which 0.5 breaks them and drives the norms to 0."""
    rows = [
        {"run": "parity_late", "seed": seed, "late_weight_decay": decay, "epochs": 500, "memorised": 12, "generalised": epoch,
         "W_memorised": 2.0, "u_memorised": 2.0, "W_end": left, "u_end": left} | memorised
        for decay, epoch, left in ((0.01, 200, 1.3), (0.1, 50, 1.2), (0.5, float("nan"), 1e-3))
        for seed in range(5)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def parity_answers(folder: Path, **tables: pd.DataFrame) -> dict[str, str]:
    """Verdicts by claim from these tables."""
    for name, rows in {"moments": pd.DataFrame({"run": [], "at": []}), **tables}.items():
        rows.to_csv(folder / f"sparse_parity_{name}.csv", index=False)
    claims = Claims("sparse_parity")
    of_parity.answer(claims)
    return {name: answer.verdict for name, answer in claims.answers.items()}


def test_parity_from_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Late decay: 0.5 breaks it and drives the norms to 0. Five units: L1 from 5 to 40 of 448 starts."""
    monkeypatch.setattr(parity_tables, "MEASURED", tmp_path)
    few = {"run": "parity_five_l1", "units": 5, "starts": 448, "epochs": 1_000}
    solved = [{**few, "l1": l1, "solved": n} for l1, n in ((0.0, 5), (3e-4, 40), (1e-3, 6))]
    verdicts = parity_answers(tmp_path, networks=late_networks(), small=pd.DataFrame(solved))
    assert (verdicts["decay_switch"], verdicts["late_norms"], verdicts["l1"]) == ("holds", "holds", "holds")
    assert verdicts["late_norms_fitting"] == "holds"
    assert verdicts["k2"] == verdicts["five_units"] == verdicts["noise_30"] == verdicts["norm_bends"] == "not run"
    unseen = late_networks(W_memorised=float("nan"))  # no checkpoint near enough before memorisation
    assert parity_answers(tmp_path, networks=unseen)["late_norms"] == "undecided"


@pytest.mark.parametrize(("solved", "fails", "never"), [(0, "holds", "holds"), (4, "holds", "does not hold"),
    (32, "undecided", "does not hold"), (60, "does not hold", "does not hold")])  # fmt: skip
def test_failed_attempts(solved: int, fails: str, never: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One start that reaches k = 3 refutes "never"; an attempt rather fails until half of them reach it."""
    monkeypatch.setattr(parity_tables, "MEASURED", tmp_path)
    row = {"run": "parity_few", "units": 5, "l1": 0.0, "starts": 64, "epochs": 1_000, "solved": solved}
    verdicts = parity_answers(tmp_path, small=pd.DataFrame([row]))
    assert (verdicts["five_units"], verdicts["five_units_never"]) == (fails, never)
    assert verdicts["six_units_trained"] == "not run"


def test_weights_near_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether they approach 0, and whether more than five units keep a weight, are judged apart from how many suffice."""
    monkeypatch.setattr(parity_tables, "MEASURED", tmp_path)
    rows = [
        {"run": "parity_wide_l1", "l1": l1, "seed": seed, "epochs": 1_000, "test_accuracy": 1.0, "units_left": 4,
         "units_alive": 9, "weights_within_0.001": 0.9}
        for l1 in (0.0, 1e-3) for seed in range(5)
    ]  # fmt: skip
    wide = pd.DataFrame(rows)
    verdicts = parity_answers(tmp_path, wide=wide)
    assert (verdicts["wide_weights"], verdicts["wide_to_five"]) == ("holds", "does not hold")
    assert parity_answers(tmp_path, wide=wide.assign(units_alive=5))["wide_weights"] == "holds in part"


def bent(first: float, second: float) -> pd.DataFrame:
    """The recipe's curves: from 2.4 to 2.2 until one epoch, to 1.3 until another, then flat, over log epochs."""
    epochs = [*range(21), *range(25, 51, 5), *range(60, 201, 10), *range(250, 501, 50)]
    norms = np.interp(np.log([max(e, 1) for e in epochs]), np.log([1, first, second, 500]), [2.4, 2.2, 1.3, 1.3])
    rows = {"run": "parity_late", "late_weight_decay": 0.01, "epoch": epochs, "W": norms}
    return pd.concat([pd.DataFrame({**rows, "seed": seed}) for seed in range(5)])


def test_bends_of_a_norm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memorised at epoch 12, generalised at 200: bends there; one of them elsewhere; and checkpoints too far apart."""
    monkeypatch.setattr(parity_tables, "MEASURED", tmp_path)
    curve = bent(12, 200).query("seed == 0 and epoch > 0")
    assert curve.epoch.iloc[list(joints(np.log(curve.epoch), curve.W))].tolist() == [12, 200]
    late_networks().to_csv(tmp_path / "sparse_parity_networks.csv", index=False)
    found = {"holds": bent(12, 200), "holds in part": bent(12, 70), "undecided": bent(12, 200).query("epoch % 25 == 0")}
    for verdict, curves in found.items():
        curves.to_csv(tmp_path / "sparse_parity_curves.csv", index=False)
        claims = Claims("sparse_parity")
        bends(claims)
        assert claims.answers["norm_bends"].verdict == verdict
    assert resolved(np.array([10, 20]), 15, 1.5)
    assert not resolved(np.array([9, 20]), 15, 1.5)


def test_order_of_thresholds() -> None:
    """As in the source's table; without its exception; with more noise survived at more bits; with less at more decay."""
    source = pd.DataFrame([[0.02, 0.12, 0.2], [0.03, 0.06, 0.12], [0.01, 0.03, 0.05]], [30, 50, 70], [0.01, 0.05, 0.1])
    assert (rises_with_decay(source), falls_with_bits(source), excepted(source)) == (True, True, True)
    for n, decay, noise, found in (
        (30, 0.01, 0.03, (True, True, False)),
        (50, 0.05, 0.2, (False, False, True)),
        (70, 0.01, 0.03, (True, False, True)),
    ):
        other = source.copy()
        other.loc[n, decay] = noise
        assert (rises_with_decay(other), falls_with_bits(other), excepted(other)) == found


def test_thresholds_stop_at_the_first_failure() -> None:
    """0.06 is survived again, but 0.03 is not; none is survived at the weaker decay."""
    rows = [
        {"n": 30, "weight_decay": decay, "label_noise": p, "test_accuracy": accuracy}
        for decay, accuracies in ((0.01, (0.9, 0.9, 0.9)), (0.1, (1.0, 0.94, 0.99)))
        for p, accuracy in zip((0.01, 0.03, 0.06), accuracies, strict=True)
    ]
    assert thresholds(pd.DataFrame(rows), 0.97).loc[30].tolist() == [0.0, 0.01]
