"""Files of claims: what is read, and what is refused, with its place and the way on."""

from __future__ import annotations

from pathlib import Path

import pytest

import interp
from interp.verification.elsewhere import Elsewhere
from interp.verification.facts import MOST_BYTES, read_facts
from interp.verification.shipped import DEMO, shipped

TOP = 'title = "T"\nsource = "S"\n'
CLAIM = 'claim = "c"\nfile = "a.csv"\nquantity = "table.rows"\npublished = 3\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "claims.toml"
    path.write_text(text, "utf8")
    return path


def test_a_claim_has_what_the_file_says(tmp_path: Path) -> None:
    """Options go to the quantity; how the file is read is stated once for all claims about it."""
    text = f"""{TOP}[files."a.csv"]\ntask = "modular:p=5"\n[claims.one]\n{CLAIM}row = {{ x = {{ above = 0 }} }}\nwhere = "Table 1"
    [claims.two]\nclaim = "d"\nfile = "a.csv"\nquantity = "task.loss"\nsplit = "test"
    published_in = {{ file = "m.json", key = "x" }}
    step = 4\ntolerance = {{ relative = 1e-3 }}\n"""
    one, two = read_facts(written(tmp_path, text)).facts
    assert one.options == {"row": {"x": {"above": 0}}, "header": True}
    assert one.how == {"task": "modular:p=5"}
    assert two.how == {"task": "modular:p=5", "step": 4}
    assert two.published == Elsewhere("m.json", "x")
    assert two.options == {"split": "test"}


ONE = f"{TOP}[claims.a]\n{CLAIM}"
REFUSED = {
    "no title": ('source = "S"\n[claims.a]\n' + CLAIM, "title is missing"),
    "no claims": (TOP, "0 claims"),
    "unknown at the top": (TOP + 'tittle = "x"\n[claims.a]\n' + CLAIM, "did you mean 'title'"),
    "unknown field": (ONE + 'hedaer = false\n', "claims.a (table.rows): unknown field 'hedaer'; did you mean 'header'"),
    "missing field": (TOP + '[claims.a]\nclaim = "c"\nquantity = "table.rows"\npublished = 1\n', "claims.a: file is missing"),
    "unknown quantity": (ONE.replace("table.rows", "table.row"), "quantity 'table.row'; did you mean 'table.rows'"),
    "wrong type": (ONE.replace('"c"', "3"), "claims.a: claim must be a text, got 3"),
    "wrong option": (ONE + 'header = "yes"\n', "claims.a: header must be true or false, got \"yes\""),
    "published twice": (ONE + 'published_in = { file = "x.json" }\n', "one of the three"),
    "not published": (ONE.replace("published = 3", ""), "one of the three"),
    "published a date": (ONE.replace("= 3", "= 1979-05-27"), "published must be a number"),
    "published nan": (ONE.replace("= 3", "= nan"), "must be finite"),
    "negative tolerance": (ONE + "tolerance = { absolute = -1.0 }\n", "at least 0"),
    "empty tolerance": (ONE + "tolerance = {}\n", "tolerance is empty"),
    "huge tolerance": (ONE + f"tolerance = {{ absolute = {10**400} }}\n", "tolerance.absolute must be a number"),
    "huge seconds": (ONE + f"seconds = {10**400}\n", "seconds, how long it takes, must be a number"),
    "one value in any order": (ONE + "any_order = true\n", "any_order is for lists, and 3 was published"),
    "a field misspelt": (ONE.replace("file =", "fiel ="), "file is missing; is 'fiel' meant for it?"),
    "a list with another": (ONE.replace("table.rows", "tensor.entry") + "index = [0, true]\n", "index must be a list"),
    "unknown tolerance": (ONE + "tolerance = { abs = 1.0 }\n", "did you mean 'absolute'"),
    "twice": (TOP + f"[claims.a]\n{CLAIM}[claims.a]\n{CLAIM}", "not TOML"),
    "up": (ONE.replace("a.csv", "../a.csv"), "inside the folder"),
    "absolute": (ONE.replace("a.csv", "/etc/passwd"), "inside the folder"),
    "drive": (ONE.replace('"a.csv"', "'C:\\a.csv'"), "inside the folder"),
    "numbers elsewhere": (ONE.replace("published = 3", 'published_in = { file = "../x.json" }'), "inside the folder"),
    "a table without a column": (
        ONE.replace("published = 3", 'published_in = { file = "r.CSV" }'), "published_in: column is missing",
    ),
    "a row without a column": (
        ONE.replace("published = 3", 'published_in = { file = "r.json", row = { step = 1 } }'), "column is missing",
    ),
    "a key and a column": (
        ONE.replace("published = 3", 'published_in = { file = "r.json", key = "a", column = "b" }'), "give one of the two",
    ),
    "a row that is none": (
        ONE.replace("published = 3", 'published_in = { file = "r.csv", column = "b", row = 3 }'), "row must be { step = 4000 }",
    ),
    "a header that is none": (
        ONE.replace("published = 3", 'published_in = { file = "r.csv", column = "b", header = 3 }'), "header must be true",
    ),
    "columns misspelt": (ONE.replace("published = 3", 'published_in = { file = "r.csv", colum = "b" }'), "did you mean 'column'"),
    "beside elsewhere": (
        ONE.replace("table.rows", "picture.difference") + 'beside = "../b.png"\n', "inside the folder",
    ),
    "a file that no claim is about": (TOP + '[files."b.csv"]\nstep = 1\n[claims.a]\n' + CLAIM, "did you mean 'a.csv'"),
    "a step that is none": (ONE.replace("table.rows", "network.parameters") + "step = -1\n", "step must be a whole number"),
    "a name with a blank": (TOP + '[claims."a b"]\n' + CLAIM, "1 to 80 letters"),
    "deep": (TOP + "x = " + "[" * 5000 + "]" * 5000, "not TOML"),
    "a huge number": (ONE.replace("= 3", "= " + "9" * 5000), "not TOML"),
    "a text for a number": (
        ONE.replace("table.rows", "curve.first") + 'curve = "x"\nabove = "0.9"\n', 'above must be a finite number, got "0.9"',
    ),
    "no option that is needed": (ONE.replace("table.rows", "table.value"), "claims.a: column is missing: write column = ..."),
    "how a table is loaded": (ONE + "member = 7\n", "unknown field 'member'"),
    "a step for what was recorded": (
        ONE.replace("table.rows", "curve.at") + 'curve = "x"\nstep = 3400\n', "at_step is missing",
    ),
    "a tolerance of a text": (
        ONE.replace("= 3", '= "x"') + "tolerance = { absolute = 0.1 }\n", 'a tolerance is for numbers, and "x" has none',
    ),
    "bounds of nothing": (ONE.replace("published = 3", "within = {}"), "within: it is empty"),
    "bounds that leave nothing": (
        ONE.replace("published = 3", "within = { above = 2, below = 2 }"), "no number is above 2 and below 2",
    ),
    "bounds in any order": (
        ONE.replace("published = 3", "within = { below = 2 }") + "any_order = true\n", "within is for one number",
    ),
    "unknown bounds": (ONE.replace("published = 3", "within = { atleast = 2 }"), "did you mean 'at_least'"),
    "bounds with a tolerance": (
        ONE.replace("published = 3", "within = { below = 2 }") + "tolerance = { absolute = 1 }\n", "within has none",
    ),
    "no TOML": ("{", "not TOML"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(name: str, tmp_path: Path) -> None:
    """With the file's path; never a traceback of another kind."""
    text, said = REFUSED[name]
    with pytest.raises(interp.InterpError) as caught:
        read_facts(written(tmp_path, text))
    assert said in str(caught.value)
    assert str(tmp_path / "claims.toml") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_too_large_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(interp.UnreadableFile, match="may have 1,048,576"):
        read_facts(written(tmp_path, "#" * (MOST_BYTES + 1)))
    (tmp_path / "claims.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(interp.UnreadableFile, match="not UTF-8"):
        read_facts(tmp_path / "claims.toml")
    with pytest.raises(interp.UnreadableFile, match="cannot be read"):
        read_facts(tmp_path / "none.toml")


def test_a_byte_order_mark_is_no_part_of_it(tmp_path: Path) -> None:
    """Windows's editors write one, and end lines in two characters."""
    path = tmp_path / "claims.toml"
    path.write_text(ONE.replace("\n", "\r\n"), "utf-8-sig", newline="")
    assert read_facts(path).facts[0].published == 3


def test_all_that_ship_can_be_read() -> None:
    """Each with its source; no name twice in a collection, which TOML itself refuses."""
    collections = [*shipped(), read_facts(DEMO)]
    assert len(collections) == 9
    assert sum(len(c.facts) for c in collections) > 400
    for collection in collections:
        assert collection.link.startswith("http")
