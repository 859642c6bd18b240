"""The rules by which tables of long runs answer the claims of Liu et al., on tables made by hand."""

from __future__ import annotations

import importlib
import itertools
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
    assert answers.settled(answers.by_choice(table, answers.between())) == {"holds": True}
    table.loc[table["above"] == "grokking", "at_least"] = "comprehension"
    found = answers.settled(answers.by_choice(table, answers.between()))
    assert found == {"holds": "undecided", "note": "Of 4 choices of train set and side: holds 2, does not hold 2"}


def test_batches_scales_and_decays_are_compared(answers: Any) -> None:
    rates = itertools.product([1e-4, 1e-2], [5, 45])
    table = pd.DataFrame(rates, columns=["decoder_lr", "batch_size"])
    table["above"] = ["memorization", "comprehension", "comprehension", "confusion"]
    slow = answers.compared("batch_size", lambda b: b == 45, lambda b: b == 5, True)
    every = answers.compared("batch_size", lambda b: b == 45, lambda b: b == 5, False)
    assert (slow(table, "above"), every(table, "above")) == (True, "in part")
    decays = pd.DataFrame({"embedding_weight_decay": [0.0, 0.0, 1.0, 1.0], "above": ["grokking", "memorization"] * 2})
    assert answers.decay(decays, "above")
    assert not answers.decay(decays.assign(above=["grokking", "grokking", "memorization", "confusion"]), "above")
