"""The report's folder: ``result.json``, the tables, the page, and how they are put in place."""

from __future__ import annotations

import errno
import hashlib
import math
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
import torch

import interp
from interp.errors import OutputExists
from interp.plugins.analysis import Outcome, Outcomes, Result, analyses, analysis
from interp.plugins.claim import QUESTIONS
from interp.report import write, write_comparison
from interp.report.compact import figure_data
from tests.conftest import DEMO
from tests.interp.cli.conftest import run  # noqa: F401
from tests.interp.report.pages import read

METRICS = (
    "correct", "total", "train_loss", "test_loss", "key_frequencies", "logit_variance_explained", "restricted_loss",
    "excluded_loss",
)  # fmt: skip
CONTEXT = {"options": {}, "dtype": "float64", "device": "cpu", "seed": 0, "seconds": 0.1, "checkpoint": ""}


# analyses that do not apply to the demo
OTHERS = {"genome", "feature_maps", "reduction", "phases", "theory", "decoder_plane", "representations"}


def outcome(name: str = "one", **parts: Any) -> Outcomes:
    """A single analysis that went well, with a result of these parts."""
    return Outcomes({name: Outcome(name, "ok", "summary", Result(**parts, context=CONTEXT))})


def test_keys(demo_report: Path) -> None:
    """The contract of ``result.json``: format, subject, provenance, analyses."""
    _, found = read(demo_report)
    assert list(found) == ["interp_report", "subject", "provenance", "argument", "analyses"]
    assert found["interp_report"] == 1
    assert set(found["subject"]) >= {"name", "model", "config", "parameters", "task", "step", "steps", "warnings"}
    assert set(found["provenance"]) >= {"path", "sha256", "format", "layout", "notes", "versions"}
    assert set(found["provenance"]["versions"]) >= {"interp-suite", "python", "torch", "transformer-lens"}


def test_subject_and_provenance(demo_report: Path) -> None:
    """They are the facts of the file: its hash, its steps, its parameters."""
    _, found = read(demo_report)
    last = DEMO / "checkpoints" / "step_00008000.safetensors"
    assert found["provenance"]["sha256"] == hashlib.sha256(last.read_bytes()).hexdigest()
    assert (found["subject"]["step"], len(found["subject"]["steps"])) == (8000, 12)
    assert found["subject"]["task"].startswith("modular:p=53,operation=add,train_fraction=0.46,seed=2")
    embedded, heads, mlp = 54 * 48 + 3 * 48, 4 * 48 * 12 * 4, 2 * 48 * 192 + 192 + 48
    assert found["subject"]["parameters"] == embedded + heads + mlp + 48 * 53


def test_metrics_of_the_demo(demo_report: Path) -> None:
    """What the verdict is made of is there by name, finite, and tells of a network that has grokked."""
    _, found = read(demo_report)
    metrics = {k: v for part in found["analyses"].values() for k, v in part["metrics"].items()}
    assert set(METRICS) <= set(metrics)
    assert all(math.isfinite(metrics[name]) for name in METRICS if name != "key_frequencies")
    assert metrics["correct"] == metrics["total"] == 53 * 53
    assert metrics["key_frequencies"]
    assert all(1 <= k <= 26 for k in metrics["key_frequencies"])
    assert metrics["excluded_loss"] > 1 > metrics["test_loss"] > metrics["restricted_loss"]
    assert metrics["logit_variance_explained"] > 0.9


def test_every_analysis_has_a_status(demo_report: Path, demo_outcomes: Outcomes) -> None:
    """``ok``, and then with the context that the host fills in; metrics are the results' own."""
    _, found = read(demo_report)
    assert list(found["analyses"]) == list(demo_outcomes)
    for name, part in found["analyses"].items():
        if name in OTHERS:
            assert part["status"] == "skipped"
            continue
        assert part["status"] == "ok", (name, part)
        assert set(part["context"]) >= set(CONTEXT)
        assert part["context"]["checkpoint"] == found["provenance"]["sha256"]
        result = demo_outcomes[name].result
        assert result is not None
        assert set(part["metrics"]) == set(result.metrics)
        numbers = [n for n, v in result.metrics.items() if isinstance(v, int | float) and math.isfinite(v)]
        assert all(part["metrics"][n] == result.metrics[n] for n in numbers)


def test_tables(demo_report: Path, demo_outcomes: Outcomes) -> None:
    """Every table is one CSV file, named in ``result.json``, linked from the page, and as long as the result's."""
    page, found = read(demo_report)
    listed = [file for part in found["analyses"].values() for file in part.get("tables", [])]
    lengths = [len(t) for o in demo_outcomes.values() if o.result for t in o.result.tables.values()]
    assert sorted(listed) == sorted(f"tables/{p.name}" for p in (demo_report / "tables").iterdir())
    assert [len(pd.read_csv(demo_report / file)) for file in listed] == lengths
    assert set(listed) <= set(page.addresses)


def test_strict_json(small: interp.Subject, tmp_path: Path) -> None:
    """NaN and infinity are null, numpy's numbers are numbers, and what JSON has no form for is text."""
    metrics = {"nan": math.nan, "inf": [-math.inf, np.float32("nan")], "one": np.int64(1), "half": np.float32(0.5),
               "deep": {"nan": np.nan, 3: (1, True)}, "tensor": torch.ones(2)}  # fmt: skip
    write(small, outcome(metrics=metrics), tmp_path / "out")
    found = read(tmp_path / "out")[1]["analyses"]["one"]["metrics"]
    assert found.pop("tensor").startswith("tensor(")
    assert found == {"nan": None, "inf": [None, None], "one": 1, "half": 0.5, "deep": {"nan": None, "3": [1, True]}}


def test_the_page_stands_alone(demo_report: Path) -> None:
    """Every address in it is a place in the page or a file beside it; the anchors and files exist."""
    page, _ = read(demo_report)
    ids = {a["id"] for _, a in page.elements if "id" in a}
    addresses = [a for a in page.addresses if a != "data:,"]
    addresses = [a for a in addresses if not a.startswith("data:image/")]  # films, whole in the page
    assert "result.json" in addresses
    for address in addresses:
        known = address[1:] in ids if address.startswith("#") else (demo_report / address).is_file()
        assert known, address


def test_the_verdict_is_on_the_page(demo_report: Path) -> None:
    """The first thing to read is how many answers are correct; every analysis has its section."""
    page, found = read(demo_report)
    assert page.text.index("2,809 of 2,809") < page.text.rindex("Provenance")
    lines = [label for part in found["analyses"].values() for label, _ in part.get("verdict", [])]
    assert lines == [
        "correct answers", "train loss", "test loss", "key frequencies", "logits explained by a + b", "clock or pizza",
        "restricted loss", "excluded loss", "frequencies touched by a random move",
        "frequencies carried by a unit",
    ]  # fmt: skip
    assert all(0 < page.text.index(label) < page.text.rindex("Provenance") for label in lines)
    sections = [a["id"] for tag, a in page.elements if tag == "section"]
    assert sections[0] == "argument"
    assert sorted(sections[1:-2]) == sorted(n for n in found["analyses"] if n not in OTHERS)
    assert sections[-2:] == ["skipped", "provenance"]
    assert page.red == []


def test_skipped_analyses(small: interp.Subject, tmp_path: Path) -> None:
    """A subject without a task: what needs one is skipped, and the reason stands in the JSON and on the page."""
    small.task = None
    outcomes = interp.analyze(small, ["fourier", "densities", "weights"])
    write(small, outcomes, tmp_path / "out")
    page, found = read(tmp_path / "out")
    assert {n: p["status"] for n, p in found["analyses"].items()} == {
        "densities": "skipped", "fourier": "skipped", "weights": "ok"
    }  # fmt: skip
    for name in ("fourier", "densities"):
        reason = found["analyses"][name]["reason"]
        assert reason
        assert f"{name} was skipped: {reason}." in page.text


def test_failed_analyses(small: interp.Subject, tmp_path: Path, register: Callable[..., None]) -> None:
    """One red line on top with the error, the traceback below, and the others run."""

    @analysis("bad", summary="raises")
    def bad(subject: interp.Subject) -> Result:
        raise RuntimeError("the dog ate it")

    @analysis("good", summary="runs")
    def good(subject: interp.Subject) -> Result:
        return Result({"answer": 42})

    register(bad, good, broken="module:thing failed to import: ImportError: no cake")
    write(small, interp.analyze(small), tmp_path / "out")
    page, found = read(tmp_path / "out")
    assert {n: p["status"] for n, p in found["analyses"].items()} == {"bad": "failed", "good": "ok", "broken": "failed"}
    assert found["analyses"]["bad"]["error"] == "RuntimeError: the dog ate it"
    assert found["analyses"]["good"]["metrics"] == {"answer": 42}
    assert page.red[:2] == [
        "bad failed: RuntimeError: the dog ate it",
        "broken failed: module:thing failed to import: ImportError: no cake",
    ]
    assert 'raise RuntimeError("the dog ate it")' in page.red[2]


def test_nan_in_the_weights(small: interp.Subject, tmp_path: Path) -> None:
    """The warning is the first red block of the page, and stands in the JSON; every metric stays strict JSON."""
    with torch.no_grad():
        small.model.get_parameter("layers.0.W")[0, :3] = math.nan
    interp.save(small.model, tmp_path / "nan.safetensors", task=small.task)
    subject = interp.load(tmp_path / "nan.safetensors", device="cpu")
    write(subject, interp.analyze(subject), tmp_path / "out")
    page, found = read(tmp_path / "out")
    assert found["subject"]["warnings"] == ["layers.0.W has 3 entries that are NaN or infinite"]
    assert page.red[0].startswith("Warning: layers.0.W has 3 entries that are NaN or infinite.")


def test_a_report_replaces_a_report(small: interp.Subject, tmp_path: Path) -> None:
    """Its parts are new, the tables of the old one are gone, and what others put beside it stays."""
    out = tmp_path / "out"
    write(small, outcome("old", tables={"t": pd.DataFrame({"x": [1]})}), out)
    (out / "notes").mkdir()
    (out / "notes" / "mine.txt").write_text("mine")
    write(small, outcome("new", tables={"t": pd.DataFrame({"x": [2]})}), out)
    assert [p.name for p in (out / "tables").iterdir()] == ["new.t.csv"]
    assert list(read(out)[1]["analyses"]) == ["new"]
    assert (out / "notes" / "mine.txt").read_text() == "mine"
    assert {p.name for p in out.iterdir()} == {"index.html", "result.json", "tables", "notes"}
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("force", [False, True])
def test_a_strangers_file_among_the_tables(small: interp.Subject, tmp_path: Path, force: bool) -> None:
    """It survives a new report, too."""
    out = tmp_path / "out"
    if force:
        (out / "tables").mkdir(parents=True)
    else:
        write(small, outcome(), out)
    (out / "tables" / "mine.csv").write_text("mine")
    write(small, outcome(), out, force=force)
    assert (out / "tables" / "mine.csv").is_file()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("a bug of ours")])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_failed_write(
    small: interp.Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, earlier: bool
) -> None:
    """Nothing is left behind, and an earlier report is as it was."""
    out = tmp_path / "out"
    if earlier:
        write(small, outcome("old", tables={"t": pd.DataFrame({"x": [1]})}), out)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(pd.DataFrame, "to_csv", fail)
    with pytest.raises(interp.InterpError if isinstance(error, OSError) else RuntimeError, match=str(error.args[-1])):
        write(small, outcome("new", tables={"t": pd.DataFrame({"x": [2]})}), out)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before
    assert [p.name for p in tmp_path.iterdir()] == (["out"] if earlier else [])


def test_a_mount_point(small: interp.Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder on another file system (a mounted volume) takes a report like any other."""
    out, real = tmp_path / "volume", os.replace
    out.mkdir()

    def replace(source: str | Path, target: str | Path) -> None:
        if Path(source).is_relative_to(out) != Path(target).is_relative_to(out):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    write(small, outcome(), out)
    assert read(out)[1]["interp_report"] == 1


@pytest.mark.parametrize("given", [None, {}, Result(), []])
def test_outcomes_of_another_kind(small: interp.Subject, tmp_path: Path, given: Any) -> None:
    """What is not the outcomes of analyses is refused, with the way to them, and nothing is written."""
    for write_it in (lambda out: write(small, given, out), lambda out: write_comparison(given, out)):
        with pytest.raises(interp.InterpError, match=r"as interp\.(analyze|compare) returns"):
            write_it(tmp_path / "out")
    with pytest.raises(interp.InterpError, match=r"interp\.load\('a\.pt'\)"):
        write("a.pt", outcome(), tmp_path / "out")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_model_and_a_path_as_text(small: interp.Subject, tmp_path: Path) -> None:
    """A model is a subject without a task, and a folder may be given as text."""
    page = write(small.model, interp.analyze(small.model, "weights"), str(tmp_path / "out"))
    assert read(page.parent)[1]["subject"]["task"] is None


def test_a_folder_of_something_else(small: interp.Subject, tmp_path: Path) -> None:
    """It is refused, the message names what it holds, and nothing changes."""
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(OutputExists, match=r"thesis\.tex.*--force"):
        write(small, outcome(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_report_on_examples_that_the_user_brought(tmp_path: Path) -> None:
    """Tensors have no spec; the report says what they are instead."""
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    inputs = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    task = interp.Examples(inputs, torch.tensor([0, 1, 0, 1, 0, 1]))
    mine = interp.Subject("mine", interp.wrap(net, inputs), task)
    write(mine, interp.analyze(mine, only=["performance", "weights"]), tmp_path / "report")
    assert read(tmp_path / "report")[1]["subject"]["task"] == str(task)


def test_sections_stand_under_their_questions(demo_report: Path) -> None:
    """In the order of the questions, each section once, and the contents name them in the same order."""
    page, _ = read(demo_report)
    known = analyses()[0]
    order = [k for k, a in page.elements if k == "section" or (k == "h2" and a["id"].startswith("question-"))]
    assert order.count("h2") > 3
    ids = [a["id"] for tag, a in page.elements if tag == "section" or (tag == "h2" and "id" in a)][1:-2]
    question, seen = "", []
    for one in ids:
        if one.startswith("question-"):
            question = one.removeprefix("question-")
            seen.append(question)
        else:
            assert known[one].question == question, one
    assert seen == [q for q in QUESTIONS if q in seen]
    links = [a["href"][1:] for tag, a in page.elements if tag == "a" and a.get("href", "").startswith("#")]
    assert [link for link in links[: len(ids) + 3] if link in ids] == ids


def test_how_it_was_made(demo: interp.Subject, demo_report: Path, tmp_path: Path) -> None:
    """The call and the line give the section again, options that were set included; what has no file has no line."""
    page, found = read(demo_report)
    code = [text for text in page.codes if "'weights'" in text or "--only weights" in text]
    names: dict[str, Any] = {"interp": interp}
    exec(code[0].replace("interp.analyze(", "again = interp.analyze("), names)
    assert names["again"].metrics == found["analyses"]["weights"]["metrics"]
    assert shlex.split(code[1]) == ["interp", "analyze", str(demo.origin["source"]), "--only", "weights"]
    outcomes = interp.analyze(demo, ["fourier"], {"fourier": {"top": 3}}, dtype=torch.float32, seed=7)
    code = read(write(demo, outcomes, tmp_path / "out").parent)[0].codes
    assert code[0].endswith(
        "interp.analyze(subject, 'fourier', {'fourier': {'top': 3}}, dtype=torch.float32, seed=7)['fourier']"
    )
    assert code[1].endswith("--only fourier --set fourier.top=3 --dtype float32 --seed 7")
    bare = interp.Subject("bare", demo.model, demo.task)
    code = read(write(bare, outcomes, tmp_path / "bare").parent)[0].codes
    assert len(code) == 1
    assert code[0].startswith("subject = ...  # bare")


def shown(outcomes: Outcomes) -> Iterator[tuple[tuple[str, str], go.Figure]]:
    """All figures, by analysis and label."""
    for name, one in outcomes.items():
        for label, figure in (one.result.figures if one.result else {}).items():
            yield (name, label), figure


def test_nothing_stands_twice(demo_outcomes: Outcomes) -> None:
    """No two figures of the demo draw the same curves."""
    drawn: dict[str, tuple[str, str]] = {}
    for where, figure in shown(demo_outcomes):
        curves = [(t["x"], t["y"]) for t in figure_data(figure)["data"] if t["type"] == "scatter"]
        if curves:
            assert drawn.setdefault(str(curves), where) == where


def test_no_two_curves_look_alike(demo_outcomes: Outcomes) -> None:
    """No two curves of a figure's legend share colour, dash and symbol; every scale of colours has its title."""
    for where, figure in shown(demo_outcomes):
        curves = [t for t in figure.data if t.type == "scatter" and t.showlegend is not False]
        looks = [(t.line.color or t.marker.color, t.line.dash, t.marker.symbol) for t in curves]
        assert len(set(looks)) == len(looks), where
        for trace in figure.data:
            if trace.type == "heatmap" or (trace.type == "scatter" and trace.marker.showscale):
                bar = trace.colorbar if trace.type == "heatmap" else trace.marker.colorbar
                assert bar.title.text, where
