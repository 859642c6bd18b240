"""`interp.verify`: on small files, and on what others published."""

from __future__ import annotations

from pathlib import Path

import pytest

import interp
from interp.verification import quantity as registry
from interp.verification.quantities import tables
from tests.interp.verification.tables import added, written


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


def test_a_number_of_the_authors_own_file(folder: Path) -> None:
    """Read from JSON, with the digits in which it stands there."""
    (folder / "m.json").write_text('{"final": {"mean": 2.00, "wrong": 2.02}}')
    claim = 'claim = "c"\nfile = "t.csv"\nquantity = "table.statistic"\ncolumn = "x"\n'
    names = ("mean", "wrong", "nothing")
    text = "".join(f'[claims.{n}_]\n{claim}published_in = {{ file = "m.json", key = "final.{n}" }}\n' for n in names)
    added(folder, text)
    rows = interp.verify(folder).rows.set_index("name")
    assert rows["verdict"].tolist() == ["agrees", "agrees", "agrees", "disagrees", "cannot be replayed"]
    assert rows["tolerance"]["mean_"] == "0.005"
    assert "unknown key 'nothing'" in rows["reason"]["nothing_"]


CELLS = {
    "a cell": ("r.csv", 'column = "mean", row = { step = 4000 }', "agrees", "0.005"),
    "a cell that rounds otherwise": ("r.csv", 'column = "mean", row = { step = 10 }', "disagrees", "0.005"),
    "a whole number among decimals": ("r.csv", 'column = "mean", row = { step = 20 }', "agrees", "exact"),
    "a row by a decimal": ("r.csv", 'column = "step", row = { mean = { above = 2.0, below = 2.02 } }', "disagrees", "exact"),
    "a missing cell": ("r.csv", 'column = "mean", row = { step = 30 }', "cannot be replayed", ""),
    "no such row": ("r.csv", 'column = "mean", row = { step = 7 }', "cannot be replayed", ""),
    "several rows": ("r.csv", 'column = "mean", row = { mean = { above = 0 } }', "disagrees", ""),
    "several rows and a gap": ("r.csv", 'column = "mean"', "cannot be replayed", ""),
    "tabs": ("r.tsv", 'column = "mean"', "agrees", "0.05"),
    "no header": ("bare.csv", 'column = "2", header = false', "agrees", "0.05"),
    "a table of JSON": ("r.json", 'column = "mean", row = { step = 1 }', "agrees", "0.0005"),
}  # fmt: skip


@pytest.mark.parametrize("name", CELLS)
def test_a_number_of_the_authors_own_table(name: str, folder: Path) -> None:
    """A cell, with the digits in which it stands there."""
    (folder / "r.csv").write_text("step,mean\n4000,2.00\n10,2.01\n20,2\n30,NA\n")
    (folder / "r.tsv").write_text("step\tmean\n4000\t2.0\n")
    (folder / "bare.csv").write_text("a,2.0\n")
    (folder / "r.json").write_text('[{"step": 1, "mean": 2.000}, {"step": 2, "mean": 2.5}]')
    file, place, agreement, tolerance = CELLS[name]
    claim = 'claim = "c"\nfile = "t.csv"\nquantity = "table.statistic"\ncolumn = "x"\n'
    added(folder, f'[claims.cell]\n{claim}published_in = {{ file = "{file}", {place} }}\n')
    found = interp.verify(folder, only="cell").rows.iloc[0]
    assert found["verdict"] == agreement, found["reason"]
    if tolerance:
        assert found["tolerance"] == tolerance


def test_long_claims_wait_until_they_are_asked_for(folder: Path) -> None:
    added(folder, '[claims.long]\nclaim = "c"\nfile = "t.csv"\nquantity = "table.rows"\npublished = 3\nseconds = 90\n')
    found = interp.verify(folder)
    assert found.rows["name"].tolist() == ["rows", "mean"]
    assert "take minutes" in found.notes[0]
    assert interp.verify(folder, slow=True).rows["name"].tolist() == ["rows", "mean", "long"]


def test_a_quantity_that_raises_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a stranger's plugin may; the others are replayed."""

    def by_zero(material: object, *, row: dict | None = None, header: bool = True) -> float:
        return 1 / 0

    known = {"table.rows": interp.quantity("table.rows", summary="")(by_zero), "table.statistic": tables.statistic}
    monkeypatch.setattr(registry, "quantities", lambda: (known, {}))
    rows = interp.verify(folder).rows.set_index("name")
    assert rows["reason"]["rows"] == "ZeroDivisionError: division by zero"
    assert rows["verdict"]["mean"] == "agrees"


def test_a_quantity_is_checked_when_it_is_made() -> None:
    with pytest.raises(TypeError, match="keyword-only"):
        interp.quantity("mine", summary="")(lambda material, x: 1)
    with pytest.raises(TypeError, match="a name consists of"):
        interp.quantity("my own", summary="")


@pytest.mark.real_data
def test_published_files_by_their_facts(data: Path) -> None:
    """The quick part: found in folders below; two collections at once draw the same pictures."""
    found = interp.verify(data, only=["picbreeder_cppnx", "two_dialects", "reviews"])
    assert found.agrees, found
    assert len(found.rows) > 40


@pytest.mark.real_data
def test_a_collection_is_found_from_its_own_folder(data: Path) -> None:
    found = interp.verify(data / "picbreeder_cppnx", only="nodes_*")
    assert found.agrees
    assert any("Grokking checkpoints" in note for note in found.notes)


@pytest.mark.slow
@pytest.mark.real_data
def test_every_fact_of_the_readme(data: Path) -> None:
    found = interp.verify(data, slow=True)
    assert found.agrees, found
    assert len(found.rows) > 400
    assert not found.notes
