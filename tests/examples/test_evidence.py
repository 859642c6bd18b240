"""The long runs behind the claims: done once, resumed, measured, with their times; and all of them within a day on two cores."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
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
    with pytest.raises(SystemExit, match="unknown step 'tinny'; did you mean 'tiny'"):
        call(bench, "tinny")
    path.write_text(TINY.replace('after = ["tiny"]', 'after = ["tony"]'))
    with pytest.raises(SystemExit, match="rows stands on tony, which is not a step"):
        call(bench)


def test_a_run_of_another_command_is_not_adopted(bench: evidence.Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither one made by hand nor one of the same name before its line was changed; and its tables are stale."""
    assert call(bench) == 0
    path = evidence.HERE / "steps" / "small.toml"
    path.write_text(TINY.replace("--epochs 3", "--epochs 4"))
    assert call(bench, "--list") == 0
    said = capsys.readouterr().out
    assert "tiny                         blocked" in said
    assert "rows                         to do" in said
    before = (bench.runs / "tiny" / "metrics.jsonl").read_bytes()
    assert call(bench) == 1
    assert f"tiny: not run: {bench.runs / 'tiny'} was made by another command" in capsys.readouterr().out
    assert (bench.runs / "tiny" / "metrics.jsonl").read_bytes() == before
    assert "--epochs 3" in pd.read_csv(evidence.TABLE).set_index("step").loc["tiny", "command"]
    path.write_text(TINY)
    (bench.runs / "tiny.step.json").unlink()
    assert call(bench) == 1
    assert "nothing says that" in capsys.readouterr().out


def test_what_a_step_stands_on_is_known_in_full() -> None:
    """Not its neighbours alone: a picture that is made anew makes the tables of all networks that draw it stale."""
    every = tables.steps()
    assert every["same_answers_skulls"].made_by["skull_png"] == every["skull_png"].shown


def test_a_time_that_is_not_known_is_not_told(bench: evidence.Bench) -> None:
    """After a driver was killed its training went on, and nobody counted."""
    step = evidence.steps()["tiny"]
    bench.begin(step)
    assert bench.whole(step)
    bench.begin(step)
    assert call(bench) == 0
    assert bench.done(step)
    assert not bench.whole(step)
    assert list(pd.read_csv(evidence.TABLE)["step"]) == ["rows"]


def test_two_at_once(bench: evidence.Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """A step that another process is at is waited for, not run twice."""
    step = evidence.steps()["tiny"]
    with bench.at_work(step) as held:
        assert held is not None
        with bench.at_work(step) as other:
            assert other is None
        threading.Timer(1.0, held.close).start()
        assert call(bench, "tiny") == 0
    said = capsys.readouterr().out
    assert "tiny: another process is at it; waiting" in said
    assert "tiny: done in" in said


def test_wrong_words_are_one_line(bench: evidence.Bench, capsys: pytest.CaptureFixture[str]) -> None:
    """On the command line, in a record, and in the steps."""
    for words in (["--workers", "0"], ["--workers", "-1"]):
        with pytest.raises(SystemExit):
            call(bench, *words)
        assert "is not a whole number of at least 1" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        evidence.main(["--list", "--runs", str(bench.runs.parent / "rows.py")])
    assert "is a file; --runs names a folder" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="tiny: no measure"):
        call(bench, "--measure", "tiny")
    for text in ("", "[]", '{"done": true}', '{"comm'):
        (bench.runs / "tiny.step.json").write_text(text)
        with pytest.raises(
            SystemExit, match=r"tiny.step.json is damaged .*: remove it, and .*/tiny, and tiny is run again"
        ):
            call(bench, "--list")
    (bench.runs / "tiny.step.json").unlink()
    path = evidence.HERE / "steps" / "small.toml"
    for before, after, said in (
        ("minutes = 0.1", 'minutes = "x"', "minutes is 'x'; it must be a number above 0"),
        ("minutes = 0.1", "minutes = -1", "it must be a number above 0"),
        ('after = ["tiny"]', 'after = "tiny"', "it must be a list of steps"),
        ("interp train", "interpp train", "command begins with interp or python"),
        ("{here}/rows.py", "{her}/rows.py", "braces other than"),
        ("what = ", "waht = ", "unknown key 'waht'; did you mean 'what'"),
        ("{here}/rows.py", "{here.x}/rows.py", "braces other than"),
        ("--epochs 3", "--epochs '3", "cannot be split into words"),
        ('["tiny"]', "[1]", "after is [1]; it must be a list of steps"),
        ('["tiny"]', '["rows"]', "rows stands on itself: rows -> rows"),
        ("[runs.tiny]", '[runs."../tiny"]', "its name may have letters"),
        ("[runs.tiny]", "[[[", "small.toml is not TOML"),
        ("[runs.tiny]", "[runs]\ntiny = 3\n[runs.other]", "runs.tiny must be a table"),
    ):
        path.write_text(TINY.replace(before, after))
        with pytest.raises(SystemExit) as caught:
            call(bench, "--list")
        assert said in str(caught.value)


def test_a_measure_that_writes_nothing_has_failed(bench: evidence.Bench, capsys: pytest.CaptureFixture[str]) -> None:
    (evidence.HERE / "rows.py").write_text("")
    assert call(bench) == 1
    assert "rows: failed to write rows.csv; see" in capsys.readouterr().out


@pytest.mark.slow
def test_stopped_it_goes_on(tmp_path: Path) -> None:
    """Ctrl-C, which a terminal sends to all that runs in it, leaves a run at its last step, and the same command finishes it."""
    command = [sys.executable, str(EXAMPLES / "long_runs" / "evidence.py"), "parity_test", "--runs", str(tmp_path)]
    steps = EXAMPLES / "long_runs" / "evidence" / "parity_test.toml"
    table = evidence.TABLE.read_bytes()
    run = TINY.split("[measures")[0].replace("tiny", "parity_test").replace("--epochs 3", "--epochs 15000")
    steps.write_text(run)
    metrics = tmp_path / "parity_test" / "metrics.jsonl"
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        deadline = time.monotonic() + 60
        while not (metrics.is_file() and metrics.stat().st_size > 20_000) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        said = process.communicate(timeout=60)[0]
        assert process.returncode == 130, said
        reached = interp.Run(tmp_path / "parity_test").metrics["step"].max()
        assert f"stopped at step {reached:,}" in (tmp_path / "parity_test.log").read_text()
        assert "begun" in subprocess.run([*command, "--list"], capture_output=True, text=True, check=True).stdout
        assert "parity_test: done in" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert interp.Run(tmp_path / "parity_test").finished
    finally:
        steps.unlink()
        evidence.TABLE.write_bytes(table)


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
