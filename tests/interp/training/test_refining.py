"""Refined phase diagrams: networks are spent where phases meet, round by round, and the same call goes on."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import interp
from interp.errors import InterpError
from interp.training import Round
from interp.training.refinement import first_squares, meeting
from tests.interp.training.ensembles import files
from tests.interp.training.test_same_bits import press_at

RATES = {"lr": (1e-6, 1e-1, "log")}
COMMON: dict[str, Any] = {
    "cells": 3,
    "seeds": 2,
    "steps": 30,
    "metrics": "every:5",
    "checkpoints": "30",
    "device": "cpu",
    "phases": {"gap": 5},
}


def refine(out: Path | None, rounds: int = 2, **own: Any) -> interp.PhaseDiagram:
    given = {"axes": RATES, **COMMON, **own}
    return interp.refine("addition:p=4,loss=cross_entropy", "mlp:hidden=20", rounds=rounds, out=out, **given)


def members(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "run.json").read_text())["members"]


@pytest.fixture(scope="module")
def refined(tmp_path_factory: pytest.TempPathFactory) -> tuple[interp.PhaseDiagram, Path, list[Round]]:
    """Rates from none to enough: confusion at the lowest, memorised at the highest."""
    told: list[Round] = []
    folder = tmp_path_factory.mktemp("refined") / "diagram"
    return refine(folder, round_done=told.append), folder, told


def test_cells_are_where_phases_meet(refined: tuple[interp.PhaseDiagram, Path, list[Round]]) -> None:
    """Both ends and the middle first; then only between cells whose phases differ."""
    found, folder, told = refined
    table = found.table.sort_values("lr").reset_index(drop=True)
    assert table["phase"].iloc[0] == "confusion" != table["phase"].iloc[-1]
    assert {1e-6, 0.000316227766017, 0.1} <= set(table["lr"])
    assert sorted({m["lr"] for m in members(folder / "round_0")}) == [1e-6, 0.000316227766017, 0.1]
    coarse = table[table["lr"].isin([m["lr"] for m in members(folder / "round_0")])]
    new = {m["lr"] for m in members(folder / "round_1")}
    for low, high in zip(coarse.index[:-1], coarse.index[1:], strict=True):
        differ = coarse.loc[[low, high], ["comprehension", "confusion"]].clip(upper=1).sum().sum() > 1 if (
            "comprehension" in coarse
        ) else coarse.loc[low, "phase"] != coarse.loc[high, "phase"]  # fmt: skip
        between = {lr for lr in new if table["lr"][low] < lr < table["lr"][high]}
        assert bool(between) is bool(differ)
    assert [r.number for r in told] == [0, 1, 2]
    assert (told[-1].cells, told[-1].networks) == (len(table), 2 * len(table)) == (len(table), len(found.networks))


def test_the_same_call_goes_on(refined: tuple[interp.PhaseDiagram, Path, list[Round]], tmp_path: Path) -> None:
    """After Ctrl-C, and with more rounds: the same cells, to the byte, and nothing is trained twice."""
    found, folder, _ = refined
    with pytest.raises(KeyboardInterrupt, match=r"round 0 in .*; the same call goes on"):
        refine(tmp_path / "diagram", rounds=1, progress=press_at(12))
    refine(tmp_path / "diagram", rounds=1)
    before = (tmp_path / "diagram" / "round_0" / "metrics.jsonl").stat().st_mtime_ns
    again = refine(tmp_path / "diagram")
    assert (tmp_path / "diagram" / "round_0" / "metrics.jsonl").stat().st_mtime_ns == before
    assert again.table.equals(found.table)
    for number in range(3):
        assert files(tmp_path / "diagram" / f"round_{number}") == files(folder / f"round_{number}")
    with pytest.raises(InterpError, match="belongs to a refinement with other settings"):
        refine(folder, seeds=3)


def test_squares_are_halved() -> None:
    """In two dimensions: of four squares, those at the corner that differs; a split of seeds counts as a difference."""
    squares, half = first_squares(2, 3), Fraction(1, 2)
    phases = {p: ["a", "a"] for s in squares for p in s.corners()}
    assert meeting(squares, phases) == []
    assert len(meeting(squares, {**phases, (Fraction(1), Fraction(1)): ["b", "b"]})) == 1
    assert len(meeting(squares, {**phases, (half, half): ["a", "b"]})) == 4
    mostly = {**phases, (half, half): ["a", "a", "b"]}
    assert [len(meeting(squares, mostly, w)) for w in ("networks", "majorities")] == [4, 0]
    assert len(meeting(squares, {**phases, (half, half): ["a", "b"]}, "majorities")) == 4
    assert [s.low for s in squares[0].halves()] == [(a, b) for a in (0, half / 2) for b in (0, half / 2)]


def test_whole_numbers(tmp_path: Path) -> None:
    """Widths and batch sizes are rounded, and no cell is trained twice."""
    found = refine(tmp_path / "run", axes={"width": (2, 4), "lr": (1e-6, 0.1, "log")}, cells=2, rounds=2, seeds=1)
    assert set(found.table["width"]) == {2, 3, 4}
    assert not found.table.duplicated(["width", "lr"]).any()


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"axes": {}}, "one or two settings"),
        ({"axes": {"lr": (1, 2), "l1": (0, 1), "width": (1, 2)}}, "one or two settings"),
        ({"axes": {"lr": (0, 1, "log")}}, "both above 0"),
        ({"axes": {"lr": (2, 1)}}, "low < high"),
        ({"axes": {"lr": [1]}}, r"the axis lr is \(low, high\)"),
        ({"axes": {"leaning": (0, 1)}}, "leaning"),
        ({"cells": 1}, "cells must be at least 2"),
        ({"seeds": 0}, "seeds must be at least 1"),
        ({"where": "seeds"}, "unknown value of where"),
        ({"members": 3}, "not a setting of a refinement"),
        ({"weight_dcay": 3}, "weight_decay"),
    ],
)
def test_wrong_refinements(tmp_path: Path, own: dict[str, Any], message: str) -> None:
    """Refused before anything is written."""
    with pytest.raises(InterpError, match=message):
        refine(tmp_path / "run", **own)
    assert not (tmp_path / "run").exists()
