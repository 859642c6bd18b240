"""Phases of learning of tables that were worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import pytest

from interp import InterpError
from interp.training.phases import phases
from interp.training.thresholds import Threshold

Rows = Sequence[tuple[int, float, float]]  # step, train and test accuracy


def table(*members: Rows) -> pd.DataFrame:
    rows = [(step, i, train, test) for i, own in enumerate(members) for step, train, test in own]
    return pd.DataFrame(rows, columns=["step", "member", "train_accuracy", "test_accuracy"])


def counts(n: int, reachable: int | None = None, members: int = 1) -> pd.DataFrame:
    own = {"train_n": 45, "test_n": n, "test_reachable": n if reachable is None else reachable}
    return pd.DataFrame([own] * members)


def verdict(*members: Rows, **options: object) -> list[tuple[str, str]]:
    found = phases(table(*members), **options)  # type: ignore[arg-type]
    return list(zip(found["phase"], found["why"], strict=True))


LEARNS = [(0, 0.1, 0.1), (100, 1.0, 0.2), (500, 1.0, 1.0), (3000, 1.0, 1.0)]
GROKS = [(0, 0.1, 0.1), (100, 1.0, 0.2), (1100, 1.0, 1.0), (3000, 1.0, 1.0)]
MEMORISES = [(0, 0.1, 0.1), (100, 1.0, 0.2), (3000, 1.0, 0.8)]
NOTHING = [(0, 0.1, 0.1), (3000, 0.3, 0.2)]
NAMES = ["comprehension", "grokking", "memorization", "confusion"]


def test_the_four_phases() -> None:
    """999 steps apart are comprehension, 1,000 are grokking; what a run of 3,000 steps did not see, it did not see."""
    found = phases(table(LEARNS, GROKS, MEMORISES, NOTHING))
    assert found["phase"].tolist() == NAMES == found["above"].tolist() == found["at_least"].tolist()
    assert found["train_at"].tolist()[:3] == [100] * 3
    assert math.isnan(found["train_at"][3])
    assert found["test_at"].tolist()[:2] == [500, 1100]
    assert (found["why"] == "").all()
    assert found.attrs == {
        "threshold": 0.9, "side": "both", "reached": "first", "limit": None, "gap": 1000, "steps": 3000
    }  # fmt: skip
    assert verdict(GROKS, gap=1001) == [("comprehension", "")]


TIED = [(0, 0.1, 0.1), (100, 1.0, 0.2), (500, 1.0, 0.9), (3000, 1.0, 0.9)]
LATE = [(0, 0.1, 0.1), (100, 1.0, 0.2), (500, 1.0, 0.9), (2000, 1.0, 1.0), (3000, 1.0, 1.0)]


def test_nine_of_ten() -> None:
    """At 0.9, it is at least 0.9 and not above it: undecided by default, and what each side says when it is chosen."""
    for rows, above in ((TIED, "memorization"), (LATE, "grokking")):
        assert verdict(rows) == [("undecided", "tie")]
        assert verdict(rows, side=">=") == [("comprehension", "")]
        assert verdict(rows, side=">") == [(above, "")]
        found = phases(table(rows))
        assert found[["above", "at_least"]].to_numpy().tolist() == [[above, "comprehension"]]
        assert found["test_at"][0] == 500
        assert "above" not in phases(table(rows), side=">")
    assert phases(table(LATE), side=">")["test_at"][0] == 2000


@pytest.mark.parametrize("share", [0.9, sum([0.1] * 9), 9 * 0.1, 0.8999999761581421])
def test_nine_of_ten_however_it_was_rounded(share: float) -> None:
    """As the mean of ten, as a sum of tenths, on a device that multiplies, in float32: with or without the counts."""
    rows = [(step, train, share if test == 0.9 else test) for step, train, test in TIED]
    for given in ({}, {"counts": counts(10)}):
        assert verdict(rows, **given) == [("undecided", "tie")]
    assert verdict(rows, side=">=", counts=counts(10)) == [("comprehension", "")]


def test_counts_stand_beside_the_shares() -> None:
    """The most right answers at any measurement, of how many, and how many can be learnt."""
    found = phases(table(TIED, NOTHING), counts=counts(10, 9, members=2))
    columns = ["train_correct", "train_n", "test_correct", "test_n", "test_reachable"]
    assert found[columns].to_numpy().tolist() == [[45, 45, 9, 10, 9], [14, 45, 2, 10, 9]]
    assert list(found) == ["train_at", "test_at", "phase", "why", "above", "at_least", *columns]


def test_a_run_too_short_to_tell() -> None:
    """What was not reached by the end of the training, before the limit, may yet be; what was reached is decided."""
    members = (LEARNS, GROKS, MEMORISES, NOTHING)
    short = [("undecided", "short")] * 2
    assert verdict(*members, limit=100_000) == [("comprehension", ""), ("grokking", ""), *short]
    assert verdict(*members, limit=3000) == [(name, "") for name in NAMES]
    # without a limit a run must be longer than the memorising by the gap; this one is 900 steps longer
    brief = [(0, 0.1, 0.1), (100, 1.0, 0.2), (1000, 1.0, 0.2)]
    assert verdict(brief) == [("undecided", "short")]
    assert verdict(brief, gap=900) == verdict(brief, limit=1000) == [("memorization", "")]
    assert verdict([(0, 0.1, 0.1), (900, 0.3, 0.2)]) == [("undecided", "short")]
    assert verdict([(0, 0.1, 0.1), (1000, 0.3, 0.2)]) == [("confusion", "")]


def test_a_limit_below_the_end() -> None:
    """What comes after the limit comes too late, although it is seen."""
    assert verdict(GROKS, limit=1099) == [("memorization", "")]
    assert verdict(GROKS, limit=99) == [("confusion", "")]
    assert phases(table(GROKS), limit=99)["train_at"][0] == 100


def test_a_member_that_retired_at_nine_of_ten() -> None:
    """It stopped at 500 of 3,000 steps: whether it would have got above 0.9 nobody knows."""
    found = phases(table(TIED[:3], NOTHING))
    assert found["phase"].tolist() == ["undecided", "confusion"]
    assert found["why"].tolist() == ["tie", ""]
    assert found.loc[0, ["above", "at_least"]].tolist() == ["undecided", "comprehension"]
    assert verdict(TIED[:3], NOTHING, side=">")[0] == ("undecided", "short")


def test_reached_for_good() -> None:
    """From the step after which the accuracy stays there; one that ends below is not there, for good or by the limit."""
    falls = [(0, 0.1, 0.1), (100, 1.0, 1.0), (200, 0.5, 1.0), (300, 1.0, 0.2), (2000, 1.0, 1.0), (3000, 1.0, 1.0)]
    found = phases(table(falls), reached="for_good")
    assert found[["train_at", "test_at", "phase"]].to_numpy().tolist() == [[300, 2000, "grokking"]]
    assert verdict(falls) == [("comprehension", "")]
    ends_below = [*falls, (4000, 1.0, 0.3)]
    assert verdict(ends_below, reached="for_good") == [("memorization", "")]
    assert verdict(ends_below, reached="for_good", limit=100_000) == [("undecided", "short")]


def test_a_split_that_forbids_it() -> None:
    """Nine of ten can be learnt: no more than memorization above 0.9, whatever is left of the limit; at 0.9, undecided."""
    rows = [(0, 0.1, 0.1), (100, 1.0, 0.2), (200, 1.0, 0.8)]
    assert verdict(rows, side=">", limit=100_000, counts=counts(10, 9)) == [("memorization", "split")]
    assert verdict(rows, side=">=", limit=100_000, counts=counts(10, 9)) == [("undecided", "short")]
    assert verdict(rows, limit=100_000, counts=counts(10, 9)) == [("undecided", "short")]  # no tie: it is not at 0.9
    assert verdict(rows, limit=100_000, counts=counts(10, 7)) == [("memorization", "split")]
    assert verdict(rows, limit=100_000, counts=counts(10, 10)) == [("undecided", "short")]
    lucky = [*rows, (300, 1.0, 1.0)]  # an answer that cannot be learnt may be hit
    assert verdict(lucky, side=">", counts=counts(10, 9)) == [("comprehension", "")]


def test_what_was_not_measured() -> None:
    """Without test examples nothing is said of them; without accuracies, nothing at all. An empty table stays empty."""
    train = table(LEARNS).drop(columns="test_accuracy")
    assert phases(train)[["phase", "why"]].to_numpy().tolist() == [["undecided", "not measured"]]
    assert phases(table(NOTHING).assign(test_accuracy=math.nan))["phase"].tolist() == ["confusion"]
    assert phases(table()).empty


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.5}, "threshold must be between 0 and 1"), ({"side": "<"}, "side of a threshold"),
        ({"reached": "once"}, "for_good"), ({"limit": -1}, "limit must be at least 0"),
        ({"counts": counts(10, members=0)}, "no row for member 0"),
        ({"limit": 1e5}, "limit must be a whole number"), ({"gap": True}, "gap must be a whole number"),
    ],
)  # fmt: skip
def test_refusals(options: dict[str, object], message: str) -> None:
    with pytest.raises(InterpError, match=message):
        phases(table(LEARNS), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("side", [">", ">="])
def test_whole_numbers_of_right_answers(side: str) -> None:
    """Against a count of all that can be right, in tenths of thousands."""
    for tenths in (0, 1, 5000, 6667, 9000, 9990, 9991, 10_000):
        for n in (1, 7, 10, 300, 1000):
            reaching = [
                k for k in range(n + 2) if (k * 10_000 > tenths * n if side == ">" else k * 10_000 >= tenths * n)
            ]
            assert Threshold(tenths / 10_000, side).needed(n) == reaching[0]
