"""What a split lets a network learn: counted, told before the training, kept with the run."""

from __future__ import annotations

import json
import random
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

import interp
from interp.cli.train import app
from interp.training.counts import counts_of
from tests.interp.training.ensembles import ensemble

TOY = {"model": "mlp:hidden=4", "steps": 2, "device": "cpu"}


def by_hand(seed: int, n: int = 45) -> int:
    """How many of the sums that toy addition tests on have an answer that is among the ``n`` that train, as Python shuffles."""
    sums = [i + j for i in range(10) for j in range(i, 10)]
    order = list(range(55))
    random.Random(seed).shuffle(order)
    return sum(sums[i] in {sums[j] for j in order[:n]} for i in order[n:])


def test_the_splits_of_toy_addition(tmp_path: Path) -> None:
    """Of the seeds 0 to 7, six hold an answer back: counted without the suite, told in the warning, and in the phases."""
    expected = [by_hand(seed) for seed in range(8)]
    assert expected == [9, 10, 9, 9, 9, 9, 7, 10]
    with pytest.warns(UserWarning, match="cannot get above") as told:
        run = interp.train("addition:p=10", members=interp.seeds(8), **TOY, out=tmp_path / "run")
    (said,) = [str(w.message) for w in told]
    assert said.startswith("6 of 8 members cannot get above a test accuracy of 0.9")
    assert "9 of 10 (members 0, 2, 3, 4, 5), 7 of 10 (member 6)" in said
    assert told[0].filename == __file__
    assert run.phases()["test_reachable"].tolist() == expected
    assert run.counts[["train_n", "test_n"]].to_numpy().tolist() == [[45, 10]] * 8
    assert json.loads((tmp_path / "run" / "run.json").read_text())["examples"] == [[45, 10, n] for n in expected]


def test_ten_thousand_steps_cannot_reach_it(tmp_path: Path) -> None:
    """Two networks that memorise at once: where all ten answers are shown, and where one is not, by both sides."""
    run = interp.train(
        "addition:p=10", "mlp:hidden=60x60", members=interp.seeds(2), steps=1200, lr=5e-3, metrics="every:20",
        device="cpu", told=lambda note: None,
    )  # fmt: skip
    found = run.phases(side=">", limit=100_000)
    best = run.metrics.groupby("member")["test_accuracy"].max()
    assert (found["train_at"] < 500).all()
    assert best[0] <= 0.9
    assert found.loc[0, ["phase", "why"]].tolist() == ["memorization", "split"]
    assert found["test_correct"].tolist() == [round(10 * b) for b in best]


@pytest.mark.parametrize(
    ("task", "reachable"),
    [
        ("addition:p=10,seed=6", 7), ("addition:p=10,seed=6,loss=cross_entropy", 7),
        ("addition:p=10,seed=6,loss=mse", 7), ("digits:n_train=5,n_test=10,loss=effective", 10),
        ("parity:n=6,k=2,n_train=20,n_test=10", 10), ("parity:n=6,k=2,n_train=1,n_test=10,seed=1", 5),
        ("superposition:n_train=8,n_test=5", 5),
    ],
)  # fmt: skip
def test_which_answers_can_be_learnt(task: str, reachable: int) -> None:
    """Classes by any loss of theirs; both signs of parity, and one; the mean of what is tested; a regression."""
    made = interp.make_task(task)
    assert len(made.test_indices) - len(made.unseen_indices) == reachable
    if made.criterion.independent:
        seen = set(made.labels[made.train_indices].tolist())
        assert [
            i for i in made.test_indices.tolist() if made.labels[i].item() not in seen
        ] == made.unseen_indices.tolist()


def test_nothing_is_told_where_all_is_well() -> None:
    """A split that shows all answers, a threshold below what can be learnt, tests without examples: silence."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        interp.train("addition:p=10,seed=1", **TOY)
        interp.train("addition:p=10", **TOY, retire=0.8)
        interp.train("addition:p=10,train_fraction=1.0", **TOY)
    assert told == []


MEMBERS = [{"seed": 6}, {"seed": 1}, {"seed": 1, "train_fraction": 0.5}]
EXPECTED = [[45, 10, by_hand(6)], [45, 10, by_hand(1)], [27, 28, by_hand(1, 27)]]


def test_more_steps_keep_the_counts(tmp_path: Path) -> None:
    """The counts are the run's, and those of its plan; a run that goes on keeps them."""
    told: list[str] = []
    run = interp.train("addition:p=10", **TOY, members=MEMBERS, told=told.append, out=tmp_path / "run")
    assert run.counts.to_numpy().tolist() == EXPECTED == [[*vars(c).values()] for c in counts_of(run.plan)]
    assert interp.resume(run.path, steps=4, device="cpu").counts.to_numpy().tolist() == EXPECTED
    assert len(told) == 1


@pytest.mark.slow
def test_in_shards(tmp_path: Path) -> None:
    """Workers count for nobody: the run has the counts of all its members, and is told of once."""
    told: list[str] = []
    given = {**TOY, "members": MEMBERS, "told": told.append, "executor": "process:1", "out": tmp_path / "run"}
    assert interp.train("addition:p=10", **given).counts.to_numpy().tolist() == EXPECTED
    assert len(told) == 1


def test_a_run_of_an_older_version(tmp_path: Path) -> None:
    """It stored no counts: they are those of its data."""
    run = interp.train("addition:p=10", members=interp.seeds(3), **TOY, out=tmp_path / "run")
    file = tmp_path / "run" / "run.json"
    stored = json.loads(file.read_text())
    assert stored.pop("examples") == run.counts.to_numpy().tolist()
    file.write_text(json.dumps(stored))
    assert interp.Run(run.path).counts.equals(run.counts)
    assert interp.Run(run.path).phases().equals(run.phases())


@pytest.mark.parametrize("rows", [[[1, 2]], [[1, 2, -1]], "x", [[1, 2, 3]] * 3, [[1, 2, 1.5]]])
def test_damaged_counts(tmp_path: Path, rows: Any) -> None:
    """The file is named, and what it must hold."""
    run = interp.train("addition:p=4", members=2, **TOY, out=tmp_path / "run")
    file = run.path / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "examples": rows}))
    with pytest.raises(
        interp.UnreadableFile, match=r"run\.json.*examples must be three whole numbers for each of the 2"
    ):
        interp.Run(run.path)


def test_retirement_by_either_side() -> None:
    """9 of 10 are 0.9: ``>=`` retires there, and ``>`` waits. The shares of unequal train sets are sums, which miss it."""
    members = [{"seed": 0}, {"seed": 0, "train_fraction": 0.5}]
    for side, expected in ((">=", [0]), (">", [])):
        found = ensemble("addition:p=10", "mlp:hidden=4", members, retire=0.9, retire_side=side)
        assert found.test.weights is not None
        share = sum(0.1 for _ in range(9))
        found._note({"member": 0, "train_accuracy": 1.0, "test_accuracy": share})
        assert found.retire() == expected
    with pytest.raises(interp.InterpError, match="retire_side"):
        ensemble("addition:p=10", "mlp:hidden=4", members, retire_side="<")


def test_memorised_is_above() -> None:
    """999 of 1,000 are not above 0.999, also where the share is one rounding more."""
    found = ensemble(
        "parity:n=12,k=2,n_train=1000,n_test=10", "mlp:hidden=2", [{}], late_weight_decay=1.0, weight_decay=0.1
    )
    more = torch.nextafter(torch.tensor(0.999, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)).item()
    assert not found._note({"member": 0, "train_accuracy": more, "test_accuracy": 0.5})
    assert found._note({"member": 0, "train_accuracy": 1.0, "test_accuracy": 0.5})


def test_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The note comes first; options say which phases are printed; what does not fit is refused before the training."""
    monkeypatch.chdir(tmp_path)

    def run(*argv: str) -> tuple[int, str, str]:
        ran = CliRunner().invoke(app, [*argv], env={"COLUMNS": "400"})
        return ran.exit_code, " ".join(ran.stdout.split()), ran.stderr

    toy = ("addition", "--model", "mlp:hidden=4", "--steps", "2", "--device", "cpu", "--p", "10")
    code, out, err = run(*toy, "--retire", "0.9", "--retire-side", ">", "--seeds", "8", "--out", "a")
    assert code == 0
    assert err.startswith("note: 6 of 8 members cannot get above a test accuracy of 0.9")
    assert "Another --data-seed makes another split" in err
    assert (
        "Phases (threshold 0.9 on both sides, reached within 2 steps): 8 undecided; 8 undecided: trained too short"
        in out
    )
    assert interp.Run("a").plan.retire_side == ">"
    options = ("--phase-threshold", "0.95", "--phase-side", ">=", "--phase-reached", "for_good", "--phase-limit", "2")
    said = "Phases (threshold 0.95 by >=, reached for good within 2 steps): "
    assert said + "2 confusion" in run(*toy, "--seed", "1,7", *options, "--out", "b")[1]
    assert said + "8 confusion" in run("--resume", "a", *options)[1]
    assert run(*toy, "--phase-side", "<", "--out", "c")[0] != 0
    assert not Path("c").exists()
