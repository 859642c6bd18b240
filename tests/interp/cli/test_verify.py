"""``interp verify``: agree, disagree, cannot be replayed, refused; what is written, and what no claim can reach."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd
import pytest

import interp
from tests.conftest import ROOT
from tests.interp.cli.console import Run
from tests.interp.verification.tables import CLAIMS, added, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


def test_all_agree(folder: Path, run: Run) -> None:
    """A line each, and exit code 0."""
    done = run("verify", folder)
    assert done.code == 0
    assert "agrees  rows  3    3" in done.out
    assert "2 facts: 2 agree, 0 disagree, 0 cannot be replayed" in done.out


def test_a_planted_wrong_number_disagrees(folder: Path, run: Run) -> None:
    """With both values and the distance; exit code 1; and on standard error however quiet the rest is."""
    (folder / "claims.toml").write_text(CLAIMS.replace("2.0\n", "2.3\n"))
    done = run("verify", folder)
    assert done.code == 1
    assert "disagrees  mean  2.3  2  6 of the tolerance" in done.out
    assert "2 facts: 1 agree, 1 disagree" in done.out
    quiet = run("verify", folder, "--quiet")
    assert (quiet.code, quiet.out) == (1, "")
    assert "disagrees" in quiet.err


def test_what_cannot_be_replayed_says_why(folder: Path, run: Run) -> None:
    """A file that is not there, a column that is not, a quantity that does not apply: the others are replayed."""
    text = """
[claims.absent]\nclaim = "c"\nfile = "u.csv"\nquantity = "table.rows"\npublished = 1
[claims.column]\nclaim = "c"\nfile = "t.csv"\nquantity = "table.value"\ncolumn = "y"\npublished = 1
[claims.network]\nclaim = "c"\nfile = "t.csv"\nquantity = "task.loss"\npublished = 1
"""
    done = run("verify", added(folder, text))
    assert done.code == 1
    assert "no u.csv in" in done.out
    assert "unknown column 'y'; did you mean" in done.out or "unknown column 'y' (known: phase, x)" in done.out
    assert "5 facts: 2 agree, 0 disagree, 3 cannot be replayed" in done.out
    assert "Traceback" not in done.err


def test_refused(folder: Path, tmp_path: Path, run: Run) -> None:
    """Nothing is replayed: exit code 2 and one message."""
    assert run("verify", tmp_path / "none").code == 2
    (tmp_path / "empty").mkdir()
    assert "holds no claims.toml, and no files of the collections that ship" in run("verify", tmp_path / "empty").said
    assert "did you mean 'mean'" in run("verify", folder, "--only", "meen").said
    assert "must end in .html" in run("verify", folder, "--out", tmp_path / "x.txt").said
    assert run("verify", "--claims", folder / "claims.toml").code == 2


def test_nothing_replayed_is_no_agreement(folder: Path, run: Run) -> None:
    """Claims of minutes alone, without --slow: refused, with the way on."""
    added(folder, '[claims.long]\nclaim = "c"\nfile = "t.csv"\nquantity = "table.rows"\npublished = 3\nseconds = 90\n')
    done = run("verify", folder, "--only", "long")
    assert done.code == 2
    assert "nothing is left to replay: left out, since they take minutes: long; --slow" in done.said
    assert run("verify", folder, "--only", "long", "--slow").code == 0


def test_the_way_to_a_file_of_claims(folder: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given as the folder, relative to the folder, or in a folder below: the message has the command."""
    monkeypatch.chdir(tmp_path)
    assert "interp verify data" in run("verify", "data/claims.toml").said
    (folder / "claims.toml").rename(folder / "mine.toml")
    assert "give --claims data/mine.toml" in run("verify", "data", "--claims", "mine.toml").said
    assert "--claims data/mine.toml" in run("verify", "data").said
    assert "is not a folder" in run("verify", "x" * 5000).said


def test_a_place_for_the_result_is_looked_for_first(folder: Path, run: Run) -> None:
    """Before anything is replayed: a folder in its place, or a file where a folder should be."""
    (folder / "v.csv").mkdir()
    for place, said in (("v.csv", "it is a folder"), ("t.csv/v.csv", "is not a folder that can be written to")):
        done = run("verify", folder, "--out", folder / place, "--force")
        assert (done.code, done.out) == (2, "")
        assert said in done.said


def test_values_on_one_line_and_in_full(folder: Path, run: Run) -> None:
    """Digits enough to see the difference; no text from a file moves the cursor or begins a line."""
    (folder / "m.json").write_text('{"number": 1234567.5, "text": "a\\n\\u001b[31mb", "blank": "a "}')
    claim = '[claims.{}]\nclaim = "two\\nlines"\nfile = "m.json"\nquantity = "recorded"\npath = "{}"\npublished = {}\n'
    values = {"number": "1234567", "text": '"a"', "blank": '"a"'}
    added(folder, "".join(claim.format(name, name, value) for name, value in values.items()))
    done = run("verify", folder)
    assert "1234567.5" in done.out
    assert r"'a\n\x1b[31mb'" in done.out
    assert "'a '" in done.out
    assert "two lines" in done.out
    assert interp.verify(folder).rows["found"][2] == "1234567.5"


def test_quantities_as_json(run: Run) -> None:
    """With their fields, types and defaults."""
    found = {one["name"]: one for one in json.loads(run("verify", "--quantities", "--json").out)}
    assert found["task.loss"]["fields"] == [{"name": "split", "type": "one of all, train, test", "default": "all"}]


def test_no_way_out_of_the_folder(folder: Path, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by a link nor by the file of a task: refused before anything is opened."""
    (tmp_path / "secret.csv").write_text("x\n1\n")
    os.symlink(tmp_path / "secret.csv", folder / "link.csv")
    link = '[claims.link]\nclaim = "c"\nfile = "link.csv"\nquantity = "table.rows"\npublished = 1\n'
    done = run("verify", added(folder, link))
    assert done.code == 2
    assert "claims.link: " in done.said
    assert "is a symbolic link" in done.said
    claim = (
        '[claims.task]\nclaim = "c"\nfile = "t.csv"\nquantity = "task.loss"\npublished = 1\ntask = "group:table={}"\n'
    )
    for table in ("/etc/passwd", "../secret.csv", "~/secret.csv"):
        assert "leads out of the folder" in run("verify", added(folder, claim.format(table))).said
    monkeypatch.chdir(tmp_path)
    assert "is not in the folder, but a file beside it" in run("verify", added(folder, claim.format("secret.csv"))).said


def test_files_that_are_written(folder: Path, tmp_path: Path, run: Run) -> None:
    """Rows as CSV and JSON, a page without a live tag from the claims, no formula for a spreadsheet; none over another."""
    evil = 'claim = "=HYPERLINK(1)<script>x</script>"\nquantity = "table.value"\ncolumn = "phase"\nrow = { x = 1 }\n'
    evil = f'[claims.evil]\n{evil}file = "t.csv"\npublished = "<img src=x>"\n'
    added(folder, evil)
    for name in ("v.html", "v.csv", "v.json"):
        assert run("verify", folder, "--out", tmp_path / name).code == 1
    page = (tmp_path / "v.html").read_text("utf8")
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    table = pd.read_csv(tmp_path / "v.csv")
    assert table["verdict"].tolist() == ["agrees", "agrees", "disagrees"]
    assert table["claim"][2].startswith("'=HYPERLINK")
    found = json.loads((tmp_path / "v.json").read_text("utf8"))
    assert found["summary"]["disagree"] == 1
    assert found["facts"][1]["found"] == 2.0
    assert "is there already" in run("verify", folder, "--out", tmp_path / "v.html").said
    assert "<script" not in interp.verify(folder)._repr_html_()
    assert json.loads(run("verify", folder, "--json").out)["facts"][0]["name"] == "rows"


def test_the_demo(run: Run) -> None:
    """What the documentation says of the run that ships, and its tables of long runs."""
    done = run("verify")
    assert done.code == 0, done.out
    assert "agrees  groks" in done.out
    tables = interp.verify(ROOT / "examples" / "measured")
    assert tables.agrees, tables
    assert len(tables.rows) > 12


def test_ctrl_c_says_nothing_of_a_run_of_its_own(folder: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim that trains: 130 and one message, not how to resume a run that nobody asked for."""

    def stopped(*args: object, steps: int = 0, **settings: object) -> None:
        raise KeyboardInterrupt("stopped at step 3 of 20; go on with: interp train --resume /tmp/x")

    monkeypatch.setattr("interp.verification.quantities.trained.train", stopped)
    claim = (
        '[claims.run]\nclaim = "c"\nfile = "t.csv"\nquantity = "trained.at"\ntrains_on = "modular:p=5"\npublished = 1\n'
    )
    done = run("verify", added(folder, claim + "at_step = 1\nsettings = { steps = 20 }\n"))
    assert done.code == 130
    assert "interrupted; nothing was written" in done.said
    assert "resume" not in done.said


def test_quantities_in_full(run: Run) -> None:
    """Some by name, with what their fields mean; fields that may be left out end in a question mark."""
    done = run("verify", "--quantities", "--only", "genome.nodes,curve.at", "--explain")
    assert "genome.nodes: number of nodes (implied?)" in done.out
    assert "without the outputs that the file does not have" in " ".join(done.out.split())
    assert "curve.at: a recorded curve at a step (curve, at_step)" in done.out
    assert "table.rows" not in done.out
    assert "did you mean 'genome.nodes'" in run("verify", "--quantities", "--only", "genome.node").said
