"""The report of a comparison: a result.json to rely on, files that are named and there, text that is text."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from PIL import Image

from interp import CPPNConfig, HookedCPPN, InterpError, Subject
from interp.errors import OutputExists
from interp.plugins.analysis import Outcome, Outcomes, Result, analyze
from interp.report import check_output, write, write_comparison
from interp.report.comparison import Comparison, compare
from tests.interp.picbreeder.genomes import small
from tests.interp.report import hostile
from tests.interp.report.pages import Page, read

UNITS = ("active_units", "distinct_units", "copy_units", "total_units", "symmetric_share", "effective_rank")
SWEEPS = tuple(
    f"{kind}_{name}" for kind in ("single", "random") for name in ("antisymmetric_share", "change_rank_share")
)
OPTIONS = {"feature_maps": {"size": 8}, "sweeps": {"n": 10, "directions": 12, "n_random": 0, "size": 16}}


def cppn(name: str, seed: int = 0, scale: float = 2.0) -> Subject:
    model = HookedCPPN(CPPNConfig("2;cache:1,gaussian:2,sin:1")).double().init_weights(seed, scale)
    return Subject(name, model)


def evolved(name: str = "evolved") -> Subject:
    graph = small().genome()
    return Subject(name, graph.layered(), genome=graph)


def compared(*subjects: Subject, only: tuple[str, ...] = ("feature_maps",)) -> Comparison:
    return compare(list(subjects), only, {n: OPTIONS[n] for n in only if n in OPTIONS})


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evolved and a random network by both analyses of images, and one that draws nothing but black."""
    found = compared(evolved(), cppn("random"), cppn("black", scale=0.0), only=("feature_maps", "sweeps"))
    return write_comparison(found, tmp_path_factory.mktemp("compared") / "report").parent


@pytest.fixture(scope="module")
def pair() -> Comparison:
    """An evolved and a random network, by their feature maps."""
    return compared(evolved(), cppn("a"))


@pytest.fixture(scope="module")
def result(report: Path) -> dict[str, Any]:
    return read(report)[1]


def named(data: Any) -> set[str]:
    if isinstance(data, str):
        return {data} if data.startswith(("tables/", "pictures/")) else set()
    inside = data.values() if isinstance(data, Mapping) else data if isinstance(data, list) else ()
    return {name for part in inside for name in named(part)}


def there(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for kind in ("tables", "pictures") for p in (folder / kind).glob("*")}


def test_every_subject_has_its_measures(result: dict[str, Any]) -> None:
    """By name, at the subject itself, in the order given; an interval holds its value."""
    assert (result["interp_comparison"], list(result["subjects"])) == (1, ["evolved", "random", "black"])
    for name, own in result["subjects"].items():
        assert set(UNITS) | set(SWEEPS) | {f"{s}_interval" for s in SWEEPS} <= set(own), name
        for analysis, part in own["analyses"].items():
            assert part["status"] == "ok", (name, analysis)
            assert {k: own[k] for k in part["metrics"]} == part["metrics"]
        for measure in SWEEPS:
            value, interval = own[measure], own[f"{measure}_interval"]
            assert (value is None) == (interval is None)
            if value is not None:
                assert interval[0] <= value <= interval[1]
    evolved, random, black = result["subjects"].values()
    assert (evolved["copy_units"], random["copy_units"], black["active_units"]) == (0, 0, 0)
    assert (evolved["total_units"], random["total_units"]) == (
        evolved["analyses"]["feature_maps"]["metrics"]["total_units"],
        8,
    )
    assert black["symmetric_share"] is None
    assert random["single_antisymmetric_share"] is not None


def test_an_interval_of_a_share_is_one_of_shares(result: dict[str, Any]) -> None:
    """Few directions make wide intervals, and none may say that more than all of a change is possible."""
    found = {(n, m): own[f"{m}_interval"] for n, own in result["subjects"].items() for m in SWEEPS}
    outside = {key: ends for key, ends in found.items() if ends and not 0 <= ends[0] <= ends[1] <= 1}
    assert not outside


def test_named_files_are_there_and_no_others(report: Path, result: dict[str, Any]) -> None:
    """Tables read back with their columns; pictures are PNGs of more than one pixel."""
    assert named(result) == there(report)
    for name in named(result):
        if name.endswith(".csv"):
            assert len(pd.read_csv(report / name).columns) > 1
        else:
            with Image.open(report / name) as picture:
                assert min(picture.size) > 1
    assert any(n.startswith("pictures/1.feature_maps.") for n in named(result))


def test_the_page_shows_what_was_found(report: Path, result: dict[str, Any]) -> None:
    """Headlines, every subject's pictures beside each other, every metric; nothing is fetched."""
    page, _ = read(report)
    text = " ".join(page.text.split())
    for found in result["comparisons"].values():
        assert found["headline"] in text
    for name in result["subjects"]:
        assert f"{name}: feature maps" in text
    for metric in (*UNITS, *SWEEPS):
        assert metric in text
    assert {a for a in page.addresses if not a.startswith(("data:", "#"))} <= named(result) | {"result.json"}
    assert not page.red


def test_a_smaller_comparison_replaces_a_larger(tmp_path: Path, pair: Comparison) -> None:
    """Files of the earlier report go, those of others stay."""
    out = tmp_path / "report"
    write_comparison(compared(evolved(), cppn("a"), cppn("b")), out)
    before = there(out)
    for name in ("tables/mine.csv", "notes.txt"):
        (out / name).touch()
    write_comparison(pair, out)
    _, data = read(out)
    assert there(out) == named(data) | {"tables/mine.csv"}
    assert named(data) < before
    assert {p.name for p in out.iterdir()} == {"notes.txt", "index.html", "result.json", "tables", "pictures"}


def test_reports_of_both_kinds_replace_each_other(tmp_path: Path, pair: Comparison) -> None:
    """A report on one network over a comparison, and back."""
    out = tmp_path / "report"
    for _ in range(2):
        write_comparison(pair, out)
        assert there(out) == named(read(out)[1])
        write(pair.subjects["evolved"], pair.outcomes["evolved"], out)
        assert there(out) == named(read(out)[1])


def test_pictures_of_a_single_report(tmp_path: Path) -> None:
    """Each is written, named, and the picture that the result holds; the page shows it without a file."""
    outcomes = analyze(evolved(), ["feature_maps"], OPTIONS)
    folder = write(evolved(), outcomes, tmp_path / "report").parent
    page, data = read(folder)
    found = outcomes["feature_maps"].result
    assert found is not None
    paths = data["analyses"]["feature_maps"]["pictures"]
    assert len(paths) == len(found.pictures) == 3
    for path, picture in zip(paths, found.pictures.values(), strict=True):
        with Image.open(folder / path) as written:
            np.testing.assert_array_equal(np.asarray(written), picture.bytes())
        shown = [Image.open(io.BytesIO(base64.b64decode(a.partition(",")[2]))) for a in page.addresses if "base64" in a]
        assert any(np.array_equal(np.asarray(one.convert("RGB")), picture.bytes()) for one in shown)


def test_a_name_that_is_a_script(tmp_path: Path) -> None:
    """Names of subjects come from folders: they are text on the page, in file names they do not appear at all."""
    evil = hostile.subject().name
    page, data = read(write_comparison(compared(evolved(evil), cppn("../../b")), tmp_path / "report").parent)
    assert list(data["subjects"]) == [evil, "../../b"]
    assert page.text.count(evil) > 3
    check_harmless(page)
    assert {p.name for p in tmp_path.iterdir()} == {"report"}


def test_everything_evil(tmp_path: Path) -> None:
    """All text of a file or a plugin, in results, comparisons, failures and warnings."""
    evil, one = hostile.EVIL, hostile.subject()
    two = Subject(f"{evil}2", one.model, provenance=one.provenance)
    figure = go.Figure(go.Scatter(x=[1], y=[1], name=evil, text=[evil])).update_layout(title=evil)
    good = Result(
        metrics={evil: evil}, tables={evil: pd.DataFrame({evil: [evil]})}, figures={evil: figure}, notes=[evil],
        pictures={evil: cppn("a").model.draw(2)}, headline=evil, lead=evil,
    )  # fmt: skip
    outcomes = Outcomes(
        good=Outcome("good", "ok", evil, good), bad=Outcome("bad", "failed", evil, error=evil, detail=evil),
        idle=Outcome("idle", "skipped", evil, reason=evil),
    )  # fmt: skip
    subjects = {s.name: s for s in (one, two)}
    found = Comparison(subjects, dict.fromkeys(subjects, outcomes), {"good": good}, {"bad": evil})
    page, _ = read(write_comparison(found, tmp_path / "report").parent)
    check_harmless(page)
    assert len(page.red) >= 4  # two failures, a failed comparison, a warning


def check_harmless(page: Page) -> None:
    assert not [a for _, a in page.elements if any(k.startswith("on") for k in a) or a.get("src") == "x"]
    assert hostile.CALL not in "".join(body for kind, body in page.scripts if kind != "application/json")
    assert "</script><script>" + hostile.CALL not in page.source


def test_numbers_that_are_none_are_strict_json(tmp_path: Path) -> None:
    """NaN and infinity in metrics, of subjects and of the comparison, are null."""
    bad = Result({"x": math.nan, "y": [math.inf, 1.0], "z": np.float32("nan")}, headline="none")
    subjects = {n: cppn(n) for n in ("a", "b")}
    outcomes = {n: Outcomes(one=Outcome("one", "ok", "", bad)) for n in subjects}
    _, data = read(write_comparison(Comparison(subjects, outcomes, {"one": bad}, {}), tmp_path / "r").parent)
    for part in (data["subjects"]["a"], data["subjects"]["b"], data["comparisons"]["one"]["metrics"]):
        assert (part["x"], part["y"], part["z"]) == (None, [None, 1.0], None)


def test_a_failed_comparison_is_in_result_json(tmp_path: Path, pair: Comparison) -> None:
    """A script must learn of it as a reader of the page does."""
    found = replace(pair, together={}, failed={"feature_maps": "ValueError: no reason"})
    page, data = read(write_comparison(found, tmp_path / "r").parent)
    assert any("no reason" in text for text in page.red)
    assert "no reason" in str(data["comparisons"]) + str(data.get("failed"))


@pytest.mark.parametrize("content", [None, "[]", "{", '{"interp_report": "1"}', '{"other": 1}', "\xff"])
def test_foreign_folders_are_refused(tmp_path: Path, pair: Comparison, content: str | None) -> None:
    """What holds anything but a report of ours, a strange result.json included, is left as it is."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("mine")
    if content is not None:
        (out / "result.json").write_text(content, encoding="latin-1")
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    with pytest.raises(OutputExists, match="choose another folder"):
        write_comparison(pair, out)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    check_output(out, force=True)


def test_what_is_in_the_way(tmp_path: Path) -> None:
    """A file for a folder, a folder for a file, whatever --force says; and a place that cannot be written."""
    for name, kind in (("tables", "file"), ("pictures", "file"), ("index.html", "folder"), ("result.json", "folder")):
        out = tmp_path / name
        out.mkdir()
        (out / name).touch() if kind == "file" else (out / name).mkdir()
        with pytest.raises(OutputExists, match="in the way"):
            check_output(out, force=True)
    (tmp_path / "file").touch()
    with pytest.raises(OutputExists, match="not a folder"):
        check_output(tmp_path / "file", force=True)
    with pytest.raises(InterpError, match="cannot write"):
        check_output(tmp_path / "file" / "report", force=True)
