"""Where the command line writes: a folder for the report, a file for a conversion. Nothing of anyone else's is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.interp.cli.console import Refused, Run, snapshot

REPORT = {"index.html", "result.json", "tables"}
ANALYZE = ("analyze", "mlp.safetensors", "--only", "weights", "--out")


@pytest.fixture
def theirs(work: Path) -> Path:
    """A folder of someone else's."""
    folder = work / "theirs"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "notes.txt").write_text("mine")
    return folder


def test_a_folder_of_something_else(refused: Refused, theirs: Path) -> None:
    """It is refused before any work is done; the message says what it holds and what to do."""
    message = refused(*ANALYZE, "theirs")
    assert all(part in message for part in ("theirs", "other than a report", "sub", "--out", "--force"))


def test_force_adds_to_it(run: Run, theirs: Path) -> None:
    """With --force the report stands beside what was there."""
    assert run(*ANALYZE, "theirs", "--force").code == 0
    assert {p.name for p in theirs.iterdir()} == REPORT | {"sub"}
    assert (theirs / "sub" / "notes.txt").read_text() == "mine"


def test_an_earlier_report_is_replaced(run: Run, work: Path) -> None:
    """Without --force: a report is ours to overwrite."""
    assert run(*ANALYZE, "out").code == 0
    assert run("analyze", "mlp.safetensors", "--only", "svd", "-o", "out").code == 0
    assert {p.name for p in (work / "out" / "tables").iterdir()} == {"svd.matrices.csv"}


def test_an_empty_folder(run: Run, work: Path) -> None:
    """It is as good as none."""
    (work / "out").mkdir()
    assert run(*ANALYZE, "out").code == 0
    assert {p.name for p in (work / "out").iterdir()} == REPORT


@pytest.mark.parametrize("content", ["5", '["interp_report"]', '"interp_report"', "null", '{"other": 1}', "{oops"])
def test_a_result_of_something_else(refused: Refused, theirs: Path, content: str) -> None:
    """A ``result.json`` that is not ours does not make a folder a report."""
    (theirs / "result.json").write_text(content)
    assert "--force" in refused(*ANALYZE, "theirs")


@pytest.mark.parametrize("flags", [(), ("--force",)])
def test_a_file(refused: Refused, flags: tuple[str, ...]) -> None:
    """A report is a folder; a file of that name stays, with --force too."""
    message = refused(*ANALYZE, "chain.pt", *flags)
    assert all(part in message for part in ("chain.pt", "is not a folder", "--out"))


def test_under_a_file(refused: Refused) -> None:
    """A folder cannot stand inside a file."""
    assert "chain.pt/out" in refused(*ANALYZE, "chain.pt/out")


def test_a_device(refused: Refused) -> None:
    """Neither a file nor a folder."""
    assert "/dev/null" in refused(*ANALYZE, "/dev/null")


def test_force_writes_all_or_nothing(refused: Refused, theirs: Path) -> None:
    """A file in the place of the tables' folder: no other part of the report is put in place either."""
    (theirs / "tables").write_text("mine")
    assert "theirs" in refused(*ANALYZE, "theirs", "--force")


def test_an_unwritable_folder(refused: Refused, work: Path) -> None:
    """The message says where and why."""
    (work / "locked").mkdir(mode=0o555)
    if os.access(work / "locked", os.W_OK):
        pytest.skip("this user may write everywhere")
    assert "locked/out: Permission denied" in refused(*ANALYZE, "locked/out")


def test_a_failed_write_leaves_no_new_folder(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk: one message; neither the report nor the folders that were made for it remain."""

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pandas.DataFrame.to_csv", full)
    assert "No space left on device" in refused(*ANALYZE, "deep/er/out")


CONVERT: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "an existing file": (("chain.pt", "mlp.safetensors"), ("mlp.safetensors exists", "--force")),
    "a torch file": (("chain.pt", "out.pt"), ("out.pt", ".safetensors")),
    "no suffix": (("chain.pt", "out"), ("out", ".safetensors")),
    "a file that is missing": (("gone.pt", "new/out.safetensors"), ("gone.pt",)),
    "a task that does not fit": (("chain.pt", "new/out.safetensors", "--task", "modular:p=11"), ("p=11", "7 tokens")),
    "an unknown dtype": (("chain.pt", "out.safetensors", "--dtype", "f16"), ("'f16'", "float16")),
    "under a file": (("chain.pt", "mlp.safetensors/out.safetensors"), ("mlp.safetensors/out.safetensors",)),
    "no target": (("chain.pt",), ("target",)),
}


@pytest.mark.parametrize("row", CONVERT)
def test_convert(refused: Refused, row: str) -> None:
    """Targets and sources that a conversion refuses."""
    argv, parts = CONVERT[row]
    message = refused("convert", *argv)
    assert all(part in message for part in parts), message


def test_convert_onto_a_folder(refused: Refused, work: Path) -> None:
    """A folder is not replaced by a file, with --force neither."""
    (work / "dir.safetensors").mkdir()
    assert "dir.safetensors" in refused("convert", "chain.pt", "dir.safetensors", "--force")


def test_convert_with_force(run: Run, work: Path) -> None:
    """An existing file is replaced, and nothing else is left behind."""
    before = snapshot(work)
    assert run("convert", "chain.pt", "mlp.safetensors", "--force").code == 0
    after = snapshot(work)
    assert {n for n in after if after[n] != before.get(n)} == {"mlp.safetensors"}
    assert set(after) == set(before)
