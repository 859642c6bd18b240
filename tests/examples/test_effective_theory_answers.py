"""The rules by which tables of long runs answer the claims of Liu et al., on tables made by hand."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
LETTERS = {"C": "comprehension", "G": "grokking", "M": "memorization", "X": "confusion"}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("answers.effective_theory")


def grid(*rows: str, seed: int = 1) -> pd.DataFrame:
    """A diagram: a row per decay, a letter per rate; both sides of the threshold alike."""
    cells = [(x, y, LETTERS[c]) for y, row in enumerate(rows) for x, c in enumerate(row)]
    table = pd.DataFrame(cells, columns=["decoder_lr", "decoder_weight_decay", "above"])
    return table.assign(at_least=table["above"], seed=seed, steps=100_000)


def test_four_phases_and_what_grokking_lies_beside(answers: Any) -> None:
    """A grokking cell touches others along an edge, not at a corner."""
    rule = answers.between()
    assert rule(grid("CGM", "CGX"), "above") is True
    assert rule(grid("CXM", "XGX"), "above") == "in part"
    assert rule(grid("CCM", "CXM"), "above") is False


def test_sides_that_differ_leave_a_diagram_undecided(answers: Any) -> None:
    table = pd.concat([grid("CGM", "CGX"), grid("CGM", "CGX", seed=7)])
    assert answers.settled(answers.by_choice(table, answers.between(), pooled=False)) == {"holds": True}
    table.loc[table["above"] == "grokking", "at_least"] = "comprehension"
    found = answers.settled(answers.by_choice(table, answers.between(), pooled=False))
    assert found == {"holds": "undecided", "note": "Of 4 choices of train set and side: holds 2, does not hold 2"}


def test_batches_scales_and_decays_are_compared(answers: Any) -> None:
    """By the interval of the difference of the shares, over networks of all train sets."""

    def of(column: str, counts: dict[float, int], n: int) -> pd.DataFrame:
        rows = [
            (value, "comprehension" if k < hits else "confusion") for value, hits in counts.items() for k in range(n)
        ]
        return pd.DataFrame(rows, columns=[column, "above"]).assign(at_least="confusion", seed=1)

    rule = answers.compared("batch_size", lambda b: b == 45, lambda b: b == 5)
    assert rule(of("batch_size", {5: 1, 45: 9}, 10), "above") is True
    assert rule(of("batch_size", {5: 9, 45: 1}, 10), "above") is False
    few = of("batch_size", {5: 0, 45: 1}, 4)
    assert answers.by_choice(few, rule, pooled=True) == {"above": "undecided", "at least": "undecided"}
    assert answers.shares(few, "batch_size", {"comprehension"}).endswith("5: 0 and 0 of 4, 45: 1 and 0 of 4")
    assert answers.decay(of("embedding_weight_decay", {0.0: 200, 1.0: 205}, 400), "above") is True
    assert answers.decay(of("embedding_weight_decay", {0.0: 200, 1.0: 300}, 400), "above") is False
    assert answers.decay(of("embedding_weight_decay", {0.0: 3, 1.0: 4}, 7), "above") == "undecided"
