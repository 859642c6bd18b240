"""Tables of long runs: what is measured again takes the place of its own rows, and nothing else changes."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pandas as pd
import pytest

import interp
from tests.conftest import ROOT

sys.path.insert(0, str(ROOT / "examples"))

from long_runs import results

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


def test_finished_runs_are_taken_and_others_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    interp.train("parity:n=6,k=2,n_train=20", epochs=2, out=tmp_path / "one_whole")
    with pytest.raises(KeyboardInterrupt, match="stopped at step"):
        interp.train("parity:n=6,k=2,n_train=20", epochs=4, out=tmp_path / "one_stopped", progress=_pressed)
    assert list(results.finished(tmp_path, ["two*", "one_*"])) == ["one_whole"]
    assert "one_stopped is not finished: left out" in capsys.readouterr().out
    assert results.only(tmp_path, "one_whole").finished
    with pytest.raises(SystemExit, match="one_stopped is not there or not finished"):
        results.only(tmp_path, "one_stopped")


def _pressed(_: object) -> None:
    signal.raise_signal(signal.SIGINT)
