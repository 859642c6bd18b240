"""Tables in files: every cell as it stands there, and an error for what could be read in two ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interp.verification.tables import replay

NUMBERS = "seed,phase,loss,ok\n0,memorise,0.1234567891,true\n1,grok,2e-7,false\n2,grok,,true\n3,None,NA,true\n"

AGREE = {
    "None is a text among texts": (NUMBERS, "table.rows", 'row = { phase = "None" }\npublished = 1'),
    "NA is missing among numbers": (NUMBERS, "table.statistic", 'column = "loss"\npublished = 0.0617'),
    "different texts": (NUMBERS, "table.statistic", 'column = "phase"\nstatistic = "unique"\npublished = 3'),
    "true and false": (NUMBERS, "table.rows", "row = { ok = true }\npublished = 3"),
    "largest of true and false": (NUMBERS, "table.statistic", 'column = "ok"\nstatistic = "max"\npublished = 1'),
    "two conditions": (NUMBERS, "table.rows", "row = { seed = { above = 0, at_most = 2 } }\npublished = 2"),
    "not one": (NUMBERS, "table.rows", 'row = { phase = { is_not = "grok" } }\npublished = 2'),
    "a sum beyond 64 bits": (
        f"n\n{2**62}\n{2**62}\n{2**62}\n", "table.statistic", f'column = "n"\nstatistic = "sum"\npublished = {3 * 2**62}',
    ),
    "numbers beyond 64 bits": (
        f"n\n{10**24}\n1\n", "table.statistic", f'column = "n"\nstatistic = "max"\npublished = {10**24}',
    ),
    "columns of one name": ("x,x\n1,10\n", "table.columns", 'published = ["x", "x"]'),
    "a mark, and Windows's line ends": ("\ufeffx,y\r\n1,2\r\n", "table.value", 'column = "x"\npublished = 1'),
}  # fmt: skip


@pytest.mark.parametrize("name", AGREE)
def test_what_stands_there(name: str, tmp_path: Path) -> None:
    """By hand, and as a reader of the file counts."""
    text, quantity, fields = AGREE[name]
    (tmp_path / "t.csv").write_text(text, "utf8", newline="")
    row = replay(tmp_path, "t.csv", quantity, fields)
    assert row.verdict.agreement == "agrees", row.verdict


REFUSED = {
    "a comma behind every row": ("x,y\n1,2,\n3,4,\n", "table.rows", "", "line 2 has 3 values, the first one 2"),
    "a row that was cut off": ("x,y,z\n1,2,3\n4,5\n", "table.rows", "", "line 3 has 2 values, the first one 3"),
    "a quote that does not end": ('x\n"1\n2\n', "table.rows", "", "unexpected end of data"),
    "two columns of the name": ("x,x\n1,10\n", "table.value", 'column = "x"', "2 columns are called x"),
    "an empty name": (NUMBERS, "table.value", 'column = ""', "no column is named"),
    "no value": (NUMBERS, "table.value", 'column = "loss"\nrow = { seed = 2 }', "loss has no value in that row"),
    "a text for numbers": (NUMBERS, "table.rows", 'row = { seed = "1" }', "write the value without quotes"),
    "a number for texts": (NUMBERS, "table.rows", "row = { phase = 1 }", "write the value in quotes"),
    "a number for true and false": (NUMBERS, "table.rows", "row = { ok = 1 }", "the column ok holds true or false"),
    "no text of a number": (
        NUMBERS,
        "table.rows",
        'row = { seed = { is_not = "1" } }',
        "the column seed holds numbers",
    ),
    "a list": (NUMBERS, "table.rows", 'row = { phase = ["grok", "a", "b", "c"] }', "not by a list"),
    "a date": (NUMBERS, "table.rows", "row = { phase = 2024-01-01 }", "not by a date"),
    "no condition": (NUMBERS, "table.rows", "row = { phase = {} }", "has no condition"),
    "another case": (NUMBERS, "table.value", 'column = "loss"\nrow = { phase = "Grok" }', 'did you mean "grok"'),
    "a percent sign": ("p\n99.5\n98%\n", "table.statistic", 'column = "p"', 'holds "98%", which is not a number'),
    "empty": ("", "table.rows", "", "it is empty"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_be_read_in_two_ways(name: str, tmp_path: Path) -> None:
    """Never another row, another column, or none: one line that says what to do."""
    text, quantity, fields, said = REFUSED[name]
    (tmp_path / "t.csv").write_text(text, "utf8")
    verdict = replay(tmp_path, "t.csv", quantity, f"{fields}\npublished = 1").verdict
    assert verdict.agreement == "cannot be replayed"
    assert said in verdict.reason


JSON = {
    '[{"x": 1}, {"x": 2}]': "",
    '{"x": [1, 2]}': "",
    '{"a": {"x": 1}, "b": {"x": 2}}': "a list of objects, or an object of lists",
    "[1, 2]": "a list of objects, or an object of lists",
    '{"x": [1, 2], "y": [1]}': "different lengths",
    '[{"x": 1, "x": 2}]': "'x' stands twice",
}


@pytest.mark.parametrize("text", JSON)
def test_tables_in_json(text: str, tmp_path: Path) -> None:
    """A list of objects or an object of lists; no other form is turned into one."""
    (tmp_path / "t.json").write_text(text)
    verdict = replay(tmp_path, "t.json", "table.rows", "published = 2").verdict
    assert verdict.agreement == ("cannot be replayed" if JSON[text] else "agrees")
    assert JSON[text] in verdict.reason


def test_a_folder_or_an_absent_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "dir.csv").mkdir()
    (tmp_path / "Results.csv").write_text("x\n1\n")
    assert "is a folder" in replay(tmp_path, "dir.csv", "table.rows", "published = 1").verdict.reason
    assert "did you mean 'Results.csv'" in replay(tmp_path, "results.csv", "table.rows", "published = 1").verdict.reason
