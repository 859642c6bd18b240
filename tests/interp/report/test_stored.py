"""Results as text and back: what an interrupted report keeps."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from PIL import Image

import interp
from interp._util.csv_text import csv_text
from interp.errors import UnreadableFile
from interp.plugins.outcome import Outcomes
from interp.plugins.result import Result
from interp.report.data import result_data
from interp.report.stored import Unstorable, from_json, to_json


def test_every_analysis_of_the_demo(demo: interp.Subject, demo_outcomes: Outcomes) -> None:
    """Text and back is the same report: result.json, the claims in it, CSV files, figures."""
    done = {name: one for name, one in demo_outcomes.items() if one.result is not None}
    back = {name: replace(one, result=from_json(to_json(one.result))) for name, one in done.items()}
    assert result_data(demo, Outcomes(done)) == result_data(demo, Outcomes(back))
    for name, one in done.items():
        assert {n: csv_text(t) for n, t in one.tables.items()} == {n: csv_text(t) for n, t in back[name].tables.items()}
        assert [str(t.dtypes.to_list()) for t in one.tables.values()] == [
            str(t.dtypes.to_list()) for t in back[name].tables.values()
        ]
        for label, figure in one.figures.items():
            assert json.loads(figure.to_json()) == json.loads(back[name].figures[label].to_json())


def test_what_tables_hold() -> None:
    """Numbers of every kind, what is missing, and texts of any alphabet; a picture as its PNG."""
    table = pd.DataFrame({
        "whole": [1, 2, 3], "single": np.array([0.1, np.nan, np.inf], dtype=np.float32), "on": [True, False, True],
        "text": ["", "ä=1,\n", None], "mixed": [1, "a", 0.5], "missing": pd.array([1, None, 3], dtype="Int64"),
    }, index=[5, 6, 7])  # fmt: skip
    picture = interp.Picture(np.random.default_rng(0).integers(0, 256, (3, 4, 3)) / 255)
    given = Result(
        metrics={"a": np.float32(0.5), "nan": float("nan"), "list": (1, None)}, tables={"t": table, "none": pd.DataFrame()},
        figures={"f": go.Figure(go.Scatter(x=np.arange(3.0), y=[1, None, 2]))}, pictures={"p": picture}, lead="p",
        verdict=[("label", "text")], headline="<b>", context={"options": {"top": 3}},
    )  # fmt: skip
    back = from_json(to_json(given))
    pd.testing.assert_frame_equal(back.tables["t"], table.reset_index(drop=True))
    assert back.tables["none"].shape == (0, 0)
    assert back.pictures["p"].png() == picture.png()
    assert back.figures["f"].data[0].x[2] == 2.0
    assert (back.verdict, back.lead, back.headline) == ([("label", "text")], "p", "<b>")
    assert json.loads(to_json(back).replace("NaN", "0")) == json.loads(to_json(given).replace("NaN", "0"))


@pytest.mark.parametrize(
    "given",
    [Result(metrics={"a": object()}), Result(metrics={"a": {1: 2}}), Result(tables={"t": pd.DataFrame({"a": [(1, 2)]})}),
     Result(tables={"t": pd.DataFrame({"a": pd.to_datetime(["2020-01-01"])})}),
     Result(tables={"t": pd.DataFrame({1: [2]})})],
)  # fmt: skip
def test_what_is_not_stored(given: Result) -> None:
    """What would come back as something else is refused, and so computed again."""
    with pytest.raises(Unstorable):
        to_json(given)


def png(mode: str, size: tuple[int, int]) -> str:
    stream = io.BytesIO()
    Image.new(mode, size).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


@pytest.mark.parametrize(
    ("field", "value"),
    [("metrics", []), ("metrics", {"a": "x" * 3}), ("notes", "text"), ("notes", [1]), ("headline", 3), ("lead", "none"),
     ("verdict", [["a"]]), ("verdict", [["a", 1]]), ("verdict", 3), ("context", None),
     ("figures", {"f": {"data": [{"type": "no"}]}}),
     ("figures", {"f": {"data": [{"x": {"dtype": "O", "bdata": "AAAA"}}]}}),
     ("figures", {"f": {"data": [{"x": {"dtype": "f8", "bdata": "AAA"}}]}}),
     ("figures", {"f": {"frames": 3}}), ("figures", {"f": 3}), ("pictures", {"p": "AAAA"}), ("pictures", {"p": png("L", (3, 3))}),
     ("pictures", {"p": png("RGB", (20_000, 4_000))}), ("tables", {"t": {}}), ("tables", {"t": []}),
     ("tables", {"t": {"columns": ["a"], "rows": 10**12, "dtypes": ["int64"], "values": [[1]]}}),
     ("tables", {"t": {"columns": ["a"], "rows": 1, "dtypes": ["O"], "values": [[1]]}}),
     ("tables", {"t": {"columns": ["a"], "rows": 1, "dtypes": ["int8"], "values": [[10**30]]}}),
     ("tables", {"t": {"columns": ["a", "b"], "rows": 1, "dtypes": ["int8"], "values": [[1]]}})],
)  # fmt: skip
def test_a_text_that_somebody_changed(field: str, value: object) -> None:
    """Is either a result that a report can show, or unreadable; never another error."""
    data = json.loads(to_json(Result()))
    data["result"][field] = value
    try:
        assert isinstance(from_json(json.dumps(data)), Result)
    except UnreadableFile:
        return
    assert (field, value) == ("metrics", {"a": "xxx"})
