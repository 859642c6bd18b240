"""Rows of the cache that somebody has changed: each is a miss and is computed again, and everything else goes on."""
# ruff: noqa: F811  (fixtures of other files)

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import interp
from interp.history.cache import cache_path
from interp.history.progress import track
from interp.history.stored_results import is_settled
from interp.plugins.measure import choose
from tests.interp.history.test_progress import fresh, same, trained  # noqa: F401

NAMES = ["loss", "weight_norm", "restricted_loss"]
ROWS: list[Any] = [
    "", "null", "3", "[]", "[1]", '"text"', "{}", "[" * 100_000, "9" * 5000, '{"values": ' + "9" * 400 + "}", "{",
    '{"values": null}', '{"values": [1]}', '{"values": {"": "half"}}', '{"values": {"": true}}', '{"values": {"": [1]}}',
    '{"values": {"": null}}', '{"skipped": 3}', '{"error": "no"}', '{"nonfinite": 3}', '{"nonfinite": false}',
    '{"values": {"frequencies": "many"}}', '{"values": {"frequencies": [[1]]}}',
    '{"values": {"frequencies": null}}', None, 3, 1.5, b"\xff\x00",
]  # fmt: skip


def altered(change: Callable[[str], Any]) -> int:
    """Put another text into every row; returns how many there are."""
    with sqlite3.connect(cache_path()) as connection:
        rows = connection.execute("SELECT key, value FROM measured").fetchall()
        connection.executemany("UPDATE measured SET value = ? WHERE key = ?", [(change(v), k) for k, v in rows])
    connection.close()
    return len(rows)


@pytest.mark.parametrize("row", ROWS, ids=lambda r: repr(r)[:28])
@pytest.mark.usefixtures("fresh")
def test_every_row(trained: Path, row: Any) -> None:
    """The numbers are those of an empty cache, nothing is said to be wrong, and the rows are good again afterwards."""
    subject = interp.load(trained)
    first = track(subject, NAMES)
    assert first.computed
    assert altered(lambda _: row)
    second = track(subject, NAMES)
    assert same(second.frame, first.frame)
    assert (second.errors, second.skipped, second.notes, second.cached) == (first.errors, first.skipped, first.notes, 0)
    third = track(subject, NAMES)
    assert same(third.frame, first.frame)
    assert (third.computed, third.cached) == (0, first.computed)


@pytest.mark.parametrize(
    ("values", "right"),
    [
        ({"frequencies": [1, 2]}, True), ({"frequencies": [1, "2"]}, False), ({"frequencies": None}, False), ({}, False),
        ({"frequencies": "1"}, False), ({"frequencies": [True]}, False), ({"frequencies": [1], "more": 1}, False),
    ],
)  # fmt: skip
def test_what_an_anchor_settled(values: dict[str, Any], right: bool) -> None:
    """All options of the measure, each of its kind; what the user has given stays as it is."""
    one = choose(["restricted_loss"])["restricted_loss"]
    given = one.parse({})
    others = {name: value for name, value in given.items() if name != "frequencies"}
    assert is_settled({"values": {**others, **values}}, one, given) == right
    assert is_settled({"values": {**others, "frequencies": [1]}}, one, {**given, "frequencies": [2]}) is False
    assert is_settled({"skipped": "no key frequency"}, one, given)
