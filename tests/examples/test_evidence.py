"""The long runs behind the claims: done once, resumed, measured, with their times; and all of them within a day on two cores."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import interp
from tests.conftest import DATA, ROOT

EXAMPLES = ROOT / "examples"
sys.path.insert(0, str(EXAMPLES))

from long_runs import evidence  # noqa: E402
from long_runs import steps as tables  # noqa: E402

TINY = """
[runs.tiny]
what = "Two small networks"
command = "interp train parity --n 6 --k 2 --n-train 20 --epochs 3 --seed 0,1 --metrics epoch"
minutes = 0.1

[measures.rows]
what = "Steps of a run"
after = ["tiny"]
command = "python {here}/rows.py tiny {here}/measured/rows.csv"
writes = ["rows.csv"]
minutes = 0.1
"""
ROWS = "import sys, interp; interp.Run(sys.argv[1]).metrics.to_csv(sys.argv[2])"


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> evidence.Bench:
    """Steps, tables and runs in a folder of their own."""
    for folder in ("steps", "measured", "runs", "data"):
        (tmp_path / folder).mkdir()
    (tmp_path / "steps" / "small.toml").write_text(TINY)
    (tmp_path / "rows.py").write_text(ROWS)
    monkeypatch.setattr(evidence, "HERE", tmp_path)
    monkeypatch.setattr(evidence, "TABLE", tmp_path / "measured" / "evidence.csv")
    monkeypatch.setattr(evidence, "steps", lambda: tables.steps(tmp_path / "steps"))
    monkeypatch.setattr(evidence, "BEATS", 0.05)
    return evidence.Bench(tmp_path / "runs", tmp_path / "data")


def call(bench: evidence.Bench, *words: str) -> int:
    return evidence.main([*words, "--runs", str(bench.runs), "--data", str(bench.data)])


def test_from_nothing_to_the_table(bench: evidence.Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(bench, "--list") == 0
    assert "tiny                         to do, 6 s" in capsys.readouterr().out
    assert call(bench) == 0
    said = capsys.readouterr().out
    assert said.index("tiny: done in") < said.index("rows: done in")
    assert "nothing is left" in said
    assert interp.Run(bench.runs / "tiny").finished
    assert len(pd.read_csv(evidence.HERE / "measured" / "rows.csv")) == 8
    times = pd.read_csv(evidence.TABLE).set_index("step")
    assert times.loc["tiny", "command"].endswith("--metrics epoch --out tiny")
    assert list(times.index) == ["rows", "tiny"]
    assert call(bench) == 0  # and again: nothing is run twice
    assert "done in" not in capsys.readouterr().out


def test_what_cannot_run_is_told(bench: evidence.Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """Files of others that are not there, a run that fails, and what stands on it."""
    path = evidence.HERE / "steps" / "small.toml"
    path.write_text(TINY.replace("interp train parity", "interp train digits --path {data}/mnist"))
    assert call(bench) == 1
    said = capsys.readouterr().out
    assert "tiny: not run, for want of mnist" in said
    assert "rows: not run, for want of tiny" in said
    path.write_text(TINY.replace("--n 6", "--n six"))
    assert call(bench) == 1
    assert "tiny: failed (2); see" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="there is no step 'tinny'"):
        call(bench, "tinny")
    path.write_text(TINY.replace('after = ["tiny"]', 'after = ["tony"]'))
    with pytest.raises(SystemExit, match="rows stands on tony, which is not a step"):
        call(bench)


@pytest.mark.slow
def test_stopped_it_goes_on(tmp_path: Path) -> None:
    """Stopping in the middle of a run leaves one that the same command finishes."""
    command = [sys.executable, str(EXAMPLES / "long_runs" / "evidence.py"), "parity_test", "--runs", str(tmp_path)]
    steps = EXAMPLES / "long_runs" / "evidence" / "parity_test.toml"
    run = TINY.split("[measures")[0].replace("tiny", "parity_test").replace("--epochs 3", "--epochs 60000")
    steps.write_text(run)
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not (tmp_path / "parity_test" / "run.json").is_file() and time.monotonic() < deadline:
            time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[0]
        assert process.returncode == 130, said
        assert not interp.Run(tmp_path / "parity_test").finished
        assert "begun" in subprocess.run([*command, "--list"], capture_output=True, text=True, check=True).stdout
    finally:
        steps.unlink()


def test_the_whole_fits_into_a_day() -> None:
    """On two cores; every measure has its script; what runs read of others is there."""
    every = tables.steps()
    assert sum(step.minutes for step in every.values()) < 2 * 24 * 60
    for step in every.values():
        words = shlex.split(step.command)
        assert words[0] in ("interp", "python")
        assert "--out" not in words or step.kind != "runs"
        if words[0] == "python":
            assert Path(words[1].format(here=EXAMPLES)).is_file(), step.name
        if step.kind == "runs":
            assert words[1] in ("train", "refine")
        if DATA.is_dir():
            assert not evidence.Bench(Path(), DATA).missing(step), step.name
