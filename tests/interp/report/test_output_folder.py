"""The folder of a report while it is made: links, what a kill left there, and a second report at the same time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import interp
from interp.errors import InterpError, OutputExists
from interp.report import check_output, reserved, write
from tests.conftest import Once
from tests.interp.report.test_report import outcome
from tests.models import subject

INTERP = str(Path(sys.executable).parent / "interp")
ONE = subject("two layers")
TABLE = outcome(tables={"t": pd.DataFrame({"a": [1]})})
HOLD = """
import sys, time
from interp.report import reserved
with reserved(sys.argv[1]):
    print("reserved", flush=True)
    open(sys.argv[1] + "/.partial-abc", "w").close()
    time.sleep(60)
"""


@pytest.fixture
def busy(tmp_path: Path):
    """A process that makes a report in ``tmp_path/report``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "report")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "reserved\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_two_reports_at_once(tmp_path: Path, busy: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The second says so before it works, from Python and on the command line; after a kill of the first it goes on."""
    out = tmp_path / "report"
    with pytest.raises(OutputExists, match="another report is being made there; wait for it"):
        write(ONE, TABLE, out)
    program = [INTERP, "analyze", str(tmp_path / "no such file"), "--out", str(out)]
    found = subprocess.run(program, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (2, "")
    assert "another report is being made there" in " ".join(found.stderr.split())
    busy.kill()
    busy.wait()
    assert sorted(p.name for p in out.iterdir()) == [".partial-abc", ".partial-lock"]
    check_output(out)  # what a killed report left is none of somebody else's
    write(ONE, TABLE, out)
    assert sorted(p.name for p in out.iterdir()) == ["index.html", "result.json", "tables"]


@pytest.fixture(scope="module")
def run(once: Once) -> Path:
    """A run with so many checkpoints that a report on it takes a while."""

    def make(folder: Path) -> None:
        interp.train("addition:p=4", "mlp:hidden=4", steps=200, checkpoints="every:1", device="cpu", out=folder / "run")

    return once("many_checkpoints", make) / "run"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing(tmp_path: Path, run: Path, number: signal.Signals) -> None:
    """SIGTERM ends a report as Ctrl-C does: a message, exit code 130, and no folder."""
    out = tmp_path / "deep" / "report"
    program = [INTERP, "analyze", str(run), "--out", str(out), "--only", "progress"]
    process = subprocess.Popen(program, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    deadline = time.monotonic() + 60
    while not out.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(number)
    assert process.communicate()[1].strip().splitlines()[-1].startswith("error: interrupted")
    assert process.returncode == 130
    assert not out.parent.exists()


def test_what_a_kill_left(tmp_path: Path) -> None:
    """Partial folders and files go, a link among them without what it leads to; other files are in the way as ever."""
    out, other = tmp_path / "report", tmp_path / "other"
    (out / ".partial-tyzmabj6" / "tables").mkdir(parents=True)
    other.mkdir()
    (other / "mine").touch()
    (out / ".partial-link").symlink_to(other)
    write(ONE, TABLE, out)
    assert sorted(p.name for p in out.iterdir()) == ["index.html", "result.json", "tables"]
    assert (other / "mine").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / ".partial-x").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(OutputExists, match=r"other than a report \(mine\)"):
        check_output(tmp_path / "full")


@pytest.mark.parametrize("name", ["tables", "pictures"])
@pytest.mark.parametrize("force", [False, True])
def test_a_folder_that_is_a_link(tmp_path: Path, name: str, force: bool) -> None:
    """It is refused, and nothing is written where it leads."""
    out, other = tmp_path / "report", tmp_path / "other"
    write(ONE, TABLE, out)
    other.mkdir()
    if (out / name).exists():
        (out / name).rename(tmp_path / "moved")
    (out / name).symlink_to(other)
    with pytest.raises(OutputExists, match=rf"report/{name} is a symbolic link"):
        write(ONE, TABLE, out, force=force)
    assert list(other.iterdir()) == []


@pytest.mark.parametrize("name", ["index.html", "result.json", "tables/one.t.csv", ".partial-lock"])
def test_a_file_that_is_a_link(tmp_path: Path, name: str) -> None:
    """It is replaced, or refused, and what it led to stays as it was."""
    out, other = tmp_path / "report", tmp_path / "other"
    write(ONE, TABLE, out)
    other.write_text("mine")
    (out / name).unlink(missing_ok=True)
    (out / name).symlink_to(other)
    if name == ".partial-lock":
        with pytest.raises(InterpError, match="symbolic link"):
            write(ONE, TABLE, out)
    else:
        write(ONE, TABLE, out, force=True)
        assert not (out / name).is_symlink()
    assert other.read_text() == "mine"


def test_a_pipe_in_place_of_the_results(tmp_path: Path) -> None:
    """It is in the way, and nobody waits for it."""
    (tmp_path / "report").mkdir()
    os.mkfifo(tmp_path / "report" / "result.json")
    with pytest.raises(OutputExists, match="in the way"):
        write(ONE, TABLE, tmp_path / "report")


def test_a_block_in_a_block(tmp_path: Path) -> None:
    """Whoever has the folder may write into it; a folder that stays empty goes again."""
    with reserved(tmp_path / "a" / "b"):
        write(ONE, TABLE, tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b" / "index.html").exists()
    with reserved(tmp_path / "c" / "d"):
        assert (tmp_path / "c" / "d").is_dir()
    assert not (tmp_path / "c").exists()
