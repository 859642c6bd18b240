"""CSV for spreadsheets: formulas become texts, numbers and everything else stay."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from circuits.findings import Findings
from interp._util.csv_text import csv_text

FORMULAS = [
    '=HYPERLINK("http://x","y")',
    "=1+1",
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "-x",
    "--1",
    "+",
    "-",
]
NUMBERS = ["-1", "+2.5", "-1e-3", "1e5", "-inf", "+.5", "-7%", "0", ""]
TEXTS = ["L0H1", "a=b", "e-mail@x", " =1", "'", "é", "a,b", 'a"b', "a\nb"]


class Tidy(Findings):
    """A finding that is only its table."""

    def __init__(self, table: pd.DataFrame):
        self._table = table

    @property
    def table(self) -> pd.DataFrame:
        return self._table

    @property
    def summary(self) -> dict[str, Any]:
        return {}

    def figure(self) -> Any:
        raise NotImplementedError


def cells(table: pd.DataFrame) -> list[list[str]]:
    return list(csv.reader(io.StringIO(csv_text(table), newline="")))


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas(text: str) -> None:
    """Cells and headings have an apostrophe before them, and nothing is lost."""
    assert cells(pd.DataFrame({text: [text, "a"]})) == [["'" + text], ["'" + text], ["a"]]


def test_carriage_returns() -> None:
    """They begin no row of their own, in which another formula could stand."""
    assert cells(pd.DataFrame({"x": ["\r=1", "a\r=1", "a\r\n=1"]})) == [["x"], ["'\n=1"], ["a\n=1"], ["a\n=1"]]


@pytest.mark.parametrize("text", [*NUMBERS, *TEXTS])
def test_everything_else(text: str) -> None:
    assert cells(pd.DataFrame({"x": [text], "y": [1]}))[1] == [text, "1"]


def test_numbers_are_as_pandas_writes_them() -> None:
    """A table without texts is the very CSV of pandas, in every dtype, with repeated names and another index."""
    table = pd.DataFrame(
        {"a": [-1, 2], "b": [-0.1, float("nan")], "c": [True, False], "d": [None, -3.5], "e": [1e-300, -1e300]},
        index=[5, 5],
    )
    table["f"] = pd.to_datetime(["2020-01-01", "2021-01-01"])
    table["g"] = pd.Categorical(["x", "y"])
    assert csv_text(table) == table.to_csv(index=False)
    twice = pd.DataFrame([[1, "=a"], [2, "b"]], columns=["n", "n"])
    assert cells(twice) == [["n", "n"], ["1", "'=a"], ["2", "b"]]
    assert csv_text(pd.DataFrame(columns=["a", "b"])) == "a,b\n"


def test_findings_too(tmp_path: Path) -> None:
    """An experiment's table is written the same way."""
    columns = {
        "component": "=1",
        "site": "a",
        "index": 0,
        "metric": "loss",
        "clean": -1.0,
        "changed": 2.0,
        "change": 3.0,
    }
    found = Tidy(pd.DataFrame([columns]))
    assert found.save(tmp_path / "a.csv").read_text().splitlines()[1] == "'=1,a,0,loss,-1.0,2.0,3.0"
