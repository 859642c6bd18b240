"""What a user writes in a claim means what it says: bounds, words of a text file, a run's own folder, rounded numbers."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import interp
from interp.verification.bounds import Bounds
from interp.verification.material import Material
from interp.verification.row import apart
from interp.verification.shown import shown_beside
from interp.verification.verdict import judge
from interp.verification.written import Written
from tests.interp.verification.tables import CLAIMS, added, replay, written

MEAN = 'column = "x"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path)


@pytest.mark.parametrize(
    ("bounds", "verdict"),
    [
        ("at_least = 2", "agrees"), ("above = 2", "disagrees"), ("above = 1.9, below = 2.1", "agrees"),
        ("at_most = 1", "disagrees"),
    ],
)  # fmt: skip
def test_bounds_in_place_of_a_number(bounds: str, verdict: str, folder: Path) -> None:
    """*Over 1.9*, as papers say; the mean of the table is 2."""
    found = replay(folder, "t.csv", "table.statistic", f"{MEAN}within = {{ {bounds} }}")
    assert found.verdict.agreement == verdict
    assert bounds.replace("_", " ").replace(" =", "").replace(",", " and") in interp.verify(folder).as_text()


def test_numbers_that_no_float_holds(folder: Path) -> None:
    (folder / "m.json").write_text(f'{{"x": {10**400}}}')
    assert replay(folder, "m.json", "recorded", 'path = "x"\nwithin = { above = 1 }').verdict.agreement == "agrees"
    assert replay(folder, "m.json", "recorded", 'path = "x"\npublished = 1e-999999999').verdict.agreement == "disagrees"


def test_whole_numbers_of_64_bits(folder: Path) -> None:
    """Differ by what they differ, signed or not."""
    for one, other, distance in (
        (torch.tensor([2**63 - 1]), torch.tensor([-(2**63)]), float(2**64 - 1)),
        (torch.tensor([2**63 + 1], dtype=torch.uint64), torch.tensor([2**63], dtype=torch.uint64), 1.0),
        (torch.tensor([2**53]), torch.tensor([2**53 + 1], dtype=torch.uint64), 1.0),
        (torch.tensor([2**62]), torch.tensor([2**62 + 1]), 1.0),
    ):
        torch.save({"a": one, "b": other}, folder / "w.pt")
        found = replay(
            folder, "w.pt", "tensor.difference", f'tensor = "a"\nother = "b"\npublished = {distance}'
        ).verdict
        assert found.found == distance


def test_bounds_of_what_is_no_number() -> None:
    assert judge(Bounds(above=1), "2").reason == "a number was published, and here is a text"
    assert judge(Bounds(above=1), [2]).agreement == "disagrees"
    assert judge(Bounds(above=1), float("inf")).agreement == "agrees"


def test_a_number_among_words(folder: Path) -> None:
    """Published in a text file: a number as precise as it is written there."""
    (folder / "n.txt").write_text("mean 2.0 of 3 rows\n")
    for place, quantity, fields in ((1, "table.statistic", MEAN), (3, "table.rows", "")):
        found = replay(
            folder, "t.csv", quantity, f'{fields}published_in = {{ file = "n.txt", key = "{place}" }}'
        ).verdict
        assert found.agreement == "agrees", found.reason


@pytest.mark.parametrize("text", ['{"x": NaN}', '{"x": [1.0, Infinity]}'])
def test_no_number_was_published(text: str, folder: Path) -> None:
    """NaN agrees with nothing, and disagrees with nothing."""
    (folder / "m.json").write_text(text)
    found = replay(folder, "m.json", "recorded", 'path = "x"\npublished_in = { file = "m.json", key = "x" }').verdict
    assert found.agreement == "cannot be replayed"
    assert "the published number is missing or infinite in m.json: x" in found.reason


def test_a_disagreement_is_never_shown_as_agreement() -> None:
    """Just beyond half of the last digit, or a tolerance."""
    verdict = judge(Written("0.805"), 0.80449999)
    assert (verdict.agreement, apart(verdict)) == ("disagrees", "1.00002 of the tolerance")
    assert shown_beside(0.80449999, Written("0.805")) == "0.80449999"
    assert shown_beside(0.8045, Written("0.805")) == "0.8045"


def test_the_folder_itself(folder: Path) -> None:
    """Where the claims lie beside a run's own files."""
    shutil.copytree(Path(interp.__path__[0]) / "demo" / "run", folder / "run")
    found = replay(
        folder / "run", ".", "curve.first", 'curve = "test_accuracy"\nabove = 0.999\npublished = 3500'
    ).verdict
    assert found.agreement == "agrees", found.reason


def test_which_task(folder: Path) -> None:
    """As a claim says it, not as a command does."""
    torch.save({"a.weight": torch.ones(4, 3), "c.weight": torch.ones(2, 4)}, folder / "net.pt")
    found = replay(folder, "net.pt", "task.accuracy", "published = 1").verdict
    assert (
        'task = "modular:p=113" in the claim, or for all claims about the file under [files."net.pt"]' in found.reason
    )
    assert "--task" not in found.reason


def test_the_names_in_a_torch_zip(folder: Path) -> None:
    """Of its data.pkl."""
    torch.save({"a": torch.ones(1)}, folder / "net.pt")
    found = replay(folder, "net.pt", "file.pickled_names", 'published = ["x"]').verdict.found
    assert "torch._utils._rebuild_tensor_v2" in found


def test_one_value_of_a_table_is_named(folder: Path) -> None:
    (folder / "m.json").write_text('{"train": 1, "test": 2}')
    found = replay(folder, "m.json", "recorded", "published = 1").verdict
    assert found.reason == "the value is a table of 2 here (train, test), and one value was published"


def test_the_key_of_a_checkpoint_is_no_path(folder: Path) -> None:
    (folder / "m.json").write_text('{"x": 1}')
    found = replay(folder, "m.json", "recorded", 'key = "x"\npublished = 1').verdict
    assert "a place in this file is path = ..." in found.reason


def test_a_column_of_texts_says_which(folder: Path) -> None:
    (folder / "u.csv").write_text("name,x\na,1\nb,abc\n")
    found = replay(folder, "u.csv", "table.statistic", f'{MEAN}row = {{ name = "a" }}\npublished = 1').verdict
    assert found.reason == 'the column x holds "abc", which is not a number'


def test_a_collection_by_its_title(folder: Path) -> None:
    assert len(interp.verify(folder, only="A table").rows) == 2
    (folder / "claims.toml").write_text(CLAIMS.replace("A table", "A, B [2026]"))
    assert len(interp.verify(folder, only="A, B [2026]").rows) == 2


def test_a_name_that_is_nearly_there(folder: Path) -> None:
    """With its folder, and with blanks that are seen."""
    (folder / "s5").mkdir()
    (folder / "s5" / "model.csv").write_text("x\n1\n")
    added(folder, '[claims.a]\nclaim = "c"\nfile = "s5/modle.csv"\nquantity = "table.rows"\npublished = 1\n')
    assert "did you mean 's5/model.csv'?" in interp.verify(folder, only="a").rows["reason"][0]
    assert 'no " t.csv" in' in replay(folder, " t.csv", "table.rows", "published = 1").verdict.reason


def test_options_that_every_claim_has() -> None:
    """A quantity's own ``step`` would be that of the checkpoint."""

    def with_step(material: Material, *, step: int = 0) -> int:
        return step

    def with_where(material: Material, *, where: str = "") -> str:
        return where

    taken: dict[str, Callable[..., Any]] = {"step": with_step, "where": with_where}
    for name in taken:
        with pytest.raises(TypeError, match=f"every claim has a field {name}"):
            interp.quantity("mine", summary="")(taken[name])
    with pytest.raises(TypeError, match="reads is one of network, contents, file"):
        interp.quantity("mine", summary="", reads="disk")  # type: ignore[arg-type]


def test_an_option_without_a_default_is_needed(folder: Path) -> None:
    @interp.quantity("mine", summary="", reads="file")
    def mine(material: Material, *, at: int) -> int:
        return at

    assert mine(Material(folder, "t.csv"), at=3) == 3
    with pytest.raises(interp.InterpError, match="at is missing: write at = ..., which mine needs"):
        mine(Material(folder, "t.csv"))
