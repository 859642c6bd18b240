"""Every notebook runs from top to bottom, says what came of every claim, and uses public calls alone."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import DATA, ROOT

nbformat = pytest.importorskip("nbformat")  # of the extra "examples"
NotebookClient = pytest.importorskip("nbclient").NotebookClient
EXAMPLES = ROOT / "examples"
PLOTLY = "application/vnd.plotly.v1+json"
sys.path.insert(0, str(EXAMPLES))  # scripts there import one another as a notebook does

import claims_table  # noqa: E402

import claims  # noqa: E402
import execute  # noqa: E402

NAMES = execute.names()
EXPECTED = {
    "effective_theory", "first_hour", "fractured_or_unified", "modular_addition", "own_model", "picbreeder_vs_sgd",
    "progress_measures", "same_answers", "sparse_parity",
}  # fmt: skip


def code(name: str) -> list[str]:
    """The code cells of a notebook."""
    cells = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


def test_the_first_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty cells as a notebook runs them; figures by MIME and for a static page, and errors of one line."""
    monkeypatch.delenv("PLOTLY_RENDERER", raising=False)
    notebook = nbformat.read(EXAMPLES / "first_hour.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(cells) == 30
    cells.append(nbformat.v4.new_code_cell("interp.analyze(subject, only='fourier')['fourier']"))
    texts = ("1\ninterp.capture(subject, task.inputs, 'hook_embde')", "%tb")
    wrong = [nbformat.v4.new_code_cell(text) for text in texts]
    notebook.cells += [cells[-1], *wrong]
    where = {"metadata": {"path": str(EXAMPLES)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=where, allow_errors=True).execute()
    outputs = [output for cell in cells for output in cell.outputs]
    assert {output.output_type for output in outputs} == {"execute_result", "display_data", "stream"}
    said = [o.text for o in outputs if o.get("name") == "stderr"]
    assert [text for text in said if not text.startswith("\r")] == []  # a bar, where the machine is busy
    drawn = [output.data for output in outputs if PLOTLY in output.get("data", {})]
    assert len(drawn) >= 14
    assert ["interp-plotly" in data["text/html"].split("<div")[0] for data in drawn] == [True] + [False] * (
        len(drawn) - 1
    )
    pages = [data["text/html"] for output in outputs if "text/html" in (data := output.get("data", {}))]
    assert not [page for page in pages[1:] if re.search(r"(src|href)=.?https?:", page)]
    assert max(len(page) for page in pages if page is not drawn[0]["text/html"]) < 300_000
    short, whole = ([str(line) for o in cell.outputs for line in o.traceback] for cell in wrong)
    assert len(short) == 1
    assert re.search(
        r"UnknownSite: no hook point matches 'hook_embde'; nearest: hook_embed.*line 2 of the cell; %tb", short[0]
    )
    assert len(whole) > 3


def test_all_are_there() -> None:
    assert set(NAMES) == EXPECTED


@pytest.mark.notebook
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_runs_in_quick_mode(name: str, tmp_path: Path) -> None:
    """Without a single file of others, on what ships."""
    ran = execute.run(name, "quick", data=tmp_path / "nowhere", timeout=300)
    assert all(cell.execution_count for cell in ran.cells if cell.cell_type == "code" and cell.source.strip())
    path = tmp_path / "ran.ipynb"
    nbformat.write(ran, path)
    if name in claims.registry():
        rows = claims.stored(path)["rows"]
        assert [row["name"] for row in rows] == list(claims.registry()[name]["claims"])


@pytest.mark.notebook
@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.parametrize("name", ["modular_addition", "picbreeder_vs_sgd"])
def test_runs_in_quick_mode_on_files_of_others(name: str) -> None:
    """And finds them."""
    ran = execute.run(name, "quick", data=DATA, timeout=300)
    printed = [output.get("text", "") for cell in ran.cells for output in cell.get("outputs", [])]
    assert printed
    assert not [text for text in printed if "is not there" in text and "quick mode" not in text]


@pytest.mark.parametrize("name", NAMES)
def test_public_calls_alone(name: str) -> None:
    """No attribute with a leading underscore, and nothing out of the tests."""
    for source in code(name):
        tree = ast.parse(source)
        private = [n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and re.match(r"_[^_]", n.attr)]
        imported = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
        imported += [
            name.name for n in ast.walk(tree) if isinstance(n, ast.Import | ast.ImportFrom) for name in n.names
        ]
        assert not private
        assert not [module for module in imported if re.search(r"(^|\.)(_|tests\b)", module)]


@pytest.mark.parametrize("name", NAMES)
def test_says_how_long_it_takes(name: str) -> None:
    """In its first cell, and how to make it smaller and larger."""
    first = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4).cells[0].source
    assert re.search(r"Takes about .*(second|minute)", first)
    assert "INTERP_SIZE=quick" in first


def test_stored_outputs() -> None:
    """Small in all; no errors, and no claims from quick mode."""
    assert execute.stored_bytes() < execute.MAX_STORED
    for name in NAMES:
        cells = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4).cells
        kinds = {output.output_type for cell in cells for output in cell.get("outputs", [])}
        assert kinds, f"{name} is stored without outputs: run examples/execute.py {name}"
        assert "error" not in kinds
    assert {name: claims.stored(EXAMPLES / f"{name}.ipynb")["size"] for name in claims.registry()} == dict.fromkeys(
        claims.registry(), "laptop"
    )


def test_the_page_of_claims() -> None:
    """Is what the stored notebooks and the tables say, and the README counts it."""
    found = claims.rows()
    told = claims_table.counted(found, claims.CLASSES)
    assert claims.PAGE.read_text(encoding="utf8") == claims_table.page(found, told), "run python examples/claims.py"
    assert f"<!-- counted -->{told}<!-- end -->" in (ROOT / "README.md").read_text(encoding="utf8")


def test_a_claim_is_answered_by_name() -> None:
    table = claims.Claims("sparse_parity")
    with pytest.raises(ValueError, match="unknown claim 'noise_31'; did you mean 'noise_30'"):
        table.answer("noise_31", "", holds=True)
    with pytest.raises(ValueError, match="or None, not 'mostly'"):
        table.answer("noise_30", "", holds="mostly")
    with pytest.raises(ValueError, match="was not run: say why"):
        table.answer("noise_30", "", holds=None)


@pytest.mark.parametrize(
    ("here", "holds", "note", "said"),
    [
        (" ", True, "", "say in here what came out"), ("7", {}, "", "holds names no choice"),
        ("7", [True], "", "or None, not"), ("", None, " ", "say why"),
    ],
)  # fmt: skip
def test_an_answer_that_says_nothing(here: str, holds: Any, note: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        claims.Claims("sparse_parity").answer("noise_30", here, holds=holds, note=note, ran={"epochs": 500, "seeds": 5})


@pytest.mark.parametrize("seeds", [float("nan"), 0, -5])
def test_no_number_of_seeds_is_too_few(seeds: float) -> None:
    table = claims.Claims("sparse_parity")
    table.answer("noise_30", "7", holds=True, ran={"epochs": 500, "seeds": seeds})
    assert table.answers["noise_30"].verdict == "undecided"


ONE = 'title = "T"\nsource = "S"\n[claims.a]\nclaim = "c"\nwhere = "w"\nreported = ""\ncriterion = "k"\n'
ODD = {
    'criterion = "k"': ("criterion = 5", "a: criterion is 5; it must be a text that is not empty"),
    'claim = "c"': ('claim = " "', "a: claim is ' '"),
    'where = "w"': ('wher = "w"', "a: unknown key 'wher'; did you mean 'where'"),
    'title = "T"': ("", "top: title is missing"),
    'source = "S"': ('source = "S"\nlinks = "x"', "top: unknown key 'links'"),
    "[claims.a]": ("[claims]\nb = 3\n[claims.a]", "b must be a table"),
    'reported = ""': ('reported = ""\nneeds = { seeds = nan }', "a: needs.seeds is nan; it must be a number above 0"),
    "[claims": ("[[claims", "x.toml: "),
    'c"': ('c"\nneeds = { seeds = true }', "needs.seeds is True"),
    'k"': ('k"\nfile = "false"', "a: file is 'false'; it must be true or false"),
}


@pytest.mark.parametrize("before", ODD)
def test_the_registry_is_checked(before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the file and the claim that are wrong."""
    monkeypatch.setattr(claims, "SOURCES", tmp_path)
    (tmp_path / "x.toml").write_text(ONE)
    assert list(claims.registry()) == ["x"]
    after, said = ODD[before]
    (tmp_path / "x.toml").write_text(ONE.replace(before, after, 1))
    with pytest.raises(ValueError, match="sources/x.toml") as caught:
        claims.registry()
    assert said in str(caught.value)


def test_a_run_too_short_decides_nothing() -> None:
    """Nor does a verdict that hangs on a choice; a fact about a file is a class of its own."""
    table = claims.Claims("sparse_parity")
    first, second, third, *_ = table.claims
    for name in (first, second, third):
        table.claims[name].pop("needs", None)
    table.claims[first]["needs"] = {"steps": 1_000, "seeds": 3}
    table.claims[third]["file"] = True
    with pytest.raises(ValueError, match="needs seeds: say what ran"):
        table.answer(first, "7", holds=True, ran={"steps": 1_000})
    table.answer(first, "7", holds=True, ran={"steps": 200, "seeds": 3})
    assert table.answers[first].verdict == table.answers[first].kind == "undecided"
    assert "Ran 200 of 1,000 steps" in table.answers[first].note
    table.answer(first, "7", holds=False, ran={"steps": 1_000, "seeds": 4})
    assert (table.answers[first].verdict, table.answers[first].kind) == ("does not hold", "replicated")
    table.answer(second, "7", holds={"above 0.9": True, "at least 0.9": False})
    assert table.answers[second].verdict == "undecided"
    assert "By above 0.9: holds; by at least 0.9: does not hold" in table.answers[second].note
    table.answer(second, "7", holds={"above 0.9": "in part", "at least 0.9": "in part"})
    assert table.answers[second].verdict == "holds in part"
    table.answer(third, "7", holds=False)
    assert (table.answers[third].verdict, table.answers[third].kind) == ("disagrees", "file check")
    with pytest.raises(ValueError, match="holds or does not"):
        table.answer(third, "7", holds="in part")
    table.answer(first, "", holds=None, note="an hour")
    assert table.answers[first].kind == "not run"


def test_no_claim_is_forgotten() -> None:
    """The table appears when all are answered, and not before."""
    table = claims.Claims("progress_measures", "quick")
    names = list(table.claims)
    for name in names:
        table.claims[name].pop("needs", None)
    for name in names[1:]:
        table.answer(name, "<b>7</b>", holds="in part")
    with pytest.raises(ValueError, match=f"not answered yet: {names[0]}"):
        table.rows()
    table.answer(names[0], "7", holds=False)
    shown = table._repr_mimebundle_()
    assert [row["verdict"] for row in shown[claims.MIME]["rows"]] == ["does not hold"] + ["holds in part"] * (
        len(names) - 1
    )
    assert "&lt;b&gt;7" in shown["text/html"]
    assert "these numbers answer nothing" in shown["text/html"]


def test_a_notebook_that_fails_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By name, with the error; the exit code says so too, and the file stays as it was."""
    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(broken, tmp_path / "broken.ipynb")
    before = (tmp_path / "broken.ipynb").read_bytes()
    monkeypatch.setattr(execute, "HERE", tmp_path)
    monkeypatch.setattr(execute, "browser", lambda: "chromium")  # nothing is drawn
    assert execute.main(["broken"]) == 1
    assert "failed: ZeroDivisionError" in capsys.readouterr().out
    assert (tmp_path / "broken.ipynb").read_bytes() == before
    with pytest.raises(SystemExit):
        execute.main(["borken"])
    assert "there is no notebook 'borken'; there are broken" in capsys.readouterr().err


def test_only_what_a_reader_looks_at_is_stored() -> None:
    """No progress bars, no scripts, no times of execution."""
    kept = nbformat.v4.new_output(
        "display_data", {"text/html": "a table", "text/plain": "a table", "application/x": "a script"}
    )
    cell = nbformat.v4.new_code_cell("", outputs=[nbformat.v4.new_output("stream", name="stderr", text="50%"), kept])
    cell.metadata["execution"] = {"iopub.status.busy": "now"}
    notebook = nbformat.v4.new_notebook(cells=[cell])
    execute.slim(notebook)
    assert [dict(output.data) for output in cell.outputs] == [{"text/html": "a table"}]
    assert cell.metadata == {}


def test_figures_are_not_lost_in_silence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no Chromium is, nothing is overwritten unless asked for."""
    monkeypatch.setattr(execute, "browser", lambda: None)
    with pytest.raises(SystemExit):
        execute.main(["own_model"])
    assert "no Chromium: figures could not be stored" in capsys.readouterr().err


def test_stopped_and_dead(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C and a kernel that dies are said in a line; a run of hours is not begun for nothing."""

    def run(error: BaseException) -> int:
        def fail(*_: object) -> None:
            raise error

        monkeypatch.setattr(execute, "run", fail)
        return execute.main(["own_model", "--size", "quick"])

    assert run(KeyboardInterrupt()) == 130
    assert "own_model (quick) ... stopped" in capsys.readouterr().out
    assert run(execute.DeadKernelError("dead")) == 1
    assert "its process died" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        execute.main(["own_model", "--size", "full"])
    assert "say where to with --out" in capsys.readouterr().err
