"""Tables of long runs: what is measured again takes the place of its own rows, and nothing else changes."""

from __future__ import annotations

import re
import shutil
import signal
import sys
import types
from pathlib import Path

import pandas as pd
import pytest

import interp
from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "examples"))

from long_runs import effective_theory_diagrams, results, sparse_parity

OLD = "run,seed,at,loss\nb,0,,0.12345678\na,0,10.0,1e-30\nc,0,5,2\n"


def test_rows_of_other_runs_stay_to_the_digit(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(OLD)
    results.store(
        pd.DataFrame({"run": ["a", "d", "a"], "seed": [0, 0, 1], "at": [7, 8, 9], "loss": [1 / 3, 2, 3]}), path
    )
    assert path.read_text() == "run,seed,at,loss\nb,0,,0.12345678\na,0,7,0.33333\na,1,9,3\nc,0,5,2\nd,0,8,2\n"
    results.store(pd.DataFrame({"run": ["a"], "seed": [1], "at": [6], "loss": [4.0]}), path, by=["run", "seed"])
    assert path.read_text() == "run,seed,at,loss\nb,0,,0.12345678\na,0,7,0.33333\na,1,6,4\nc,0,5,2\nd,0,8,2\n"
    results.store(pd.DataFrame(), path)
    assert len(pd.read_csv(path)) == 5


def test_finished_runs_are_taken_and_others_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = {name: types.SimpleNamespace(name=name, kind="runs") for name in ("one_whole", "one_stopped", "one_broken")}
    monkeypatch.setattr(results, "steps", lambda: steps)
    interp.train("parity:n=6,k=2,n_train=20", epochs=2, out=tmp_path / "one_whole")
    shutil.copytree(tmp_path / "one_whole", tmp_path / "one_stray")
    (tmp_path / "one_broken").mkdir()
    (tmp_path / "one_broken" / "run.json").write_text("{")
    with pytest.raises(KeyboardInterrupt, match="stopped at step"):
        interp.train("parity:n=6,k=2,n_train=20", epochs=4, out=tmp_path / "one_stopped", progress=_pressed)
    assert list(results.finished(tmp_path, ["two*", "one_*"])) == ["one_whole"]
    said = capsys.readouterr().out
    assert "one_stopped is not finished: left out" in said
    assert re.search(r"one_broken.*: left out", said)
    assert results.only(tmp_path, "one_whole").finished
    with pytest.raises(SystemExit, match="one_stopped is not there or not finished"):
        results.only(tmp_path, "one_stopped")


def test_no_checkpoint_after_the_weight_decay_rose() -> None:
    """The last at or within an epoch before memorisation, never a nearer one after it."""
    norms = pd.DataFrame({"W": [2.4, 2.2, 1.0]}, index=[0.0, 12.0, 13.1])
    assert [sparse_parity.right_before(norms, epoch).W for epoch in (12, 13, 13.1)] == [2.2, 2.2, 1.0]
    assert pd.isna([sparse_parity.right_before(norms, epoch).W for epoch in (11, 14.2, float("nan"))]).all()


def test_a_diagram_of_several_runs_has_their_rates(tmp_path: Path) -> None:
    """A rate and a seed that all networks of a run share stand in its rows, too."""
    run = interp.train("addition:p=4", last_lr=0.01, members=[{"weight_decay": 0.0}, {"weight_decay": 1.0}], steps=20)
    table = effective_theory_diagrams.networks(run, "mnist_rate")
    assert table[["run", "seed", "last_lr", "weight_decay"]].to_numpy().tolist() == [
        ["mnist_rate", 0, 0.01, 0.0], ["mnist_rate", 0, 0.01, 1.0],
    ]  # fmt: skip


def _pressed(_: object) -> None:
    signal.raise_signal(signal.SIGINT)


WRONG = {
    "none": ([], "the following arguments are required"),
    "a kind": (["nosuch", ".", "."], "invalid choice: 'nosuch'"),
    "a folder": (["seeds", "none", "."], "none is not a folder"),
    "a case": (["seeds", ".", ".", "nosuch"], "there is no case 'nosuch'; there are one, two"),
    "no runs": (["seeds", ".", "."], "nothing was measured: . holds no finished run"),
    "a damaged file": (["skulls", ".", "."], "error: x is damaged"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_script_says_what_is_wrong(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a line, and never with exit code 0."""

    def main(kind: str, runs: Path, out: Path, *cases: str) -> None:
        if kind == "skulls":
            raise interp.InterpError("x is damaged")

    words, said = WRONG[name]
    monkeypatch.setattr(sys, "argv", ["script.py", *words])
    monkeypatch.setattr(results, "_written", [])
    with pytest.raises(SystemExit) as caught:
        results.start(main, "What it does.", kinds=("seeds", "skulls"), cases=("one", "two"))
    assert said in f"{caught.value}{capsys.readouterr().err}"


def test_every_script_begins_so() -> None:
    """With its own words, which it shows."""
    for path in (ROOT / "examples" / "long_runs").glob("*.py"):
        text = path.read_text()
        if '__name__ == "__main__"' in text and path.stem not in (
            "evidence",
            "effective_theory_phases",
            "effective_theory_starts",
        ):
            assert "start(main, __doc__" in text, path
