"""Verdicts: which numbers agree, by the digits in which they were published."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from interp.verification.facts import Tolerance
from interp.verification.verdict import judge
from interp.verification.written import Written

AGREE = {
    "0.238": (0.23751, 0.23849, 0.2375, 0.2385),
    "9.202e-09": (9.20151e-09, 9.20249e-09),
    "80.5": (80.46, 80.549),
    "1_0.50": (10.495, 10.505),
    "5E+2": (460.0, 549.0),
}
DISAGREE = {
    "0.238": (0.23749, 0.23851),
    "9.202e-09": (9.2014e-09, 9.2026e-09),
    "80.5": (80.44, 80.56),
    "0.980": (0.9806,),
}


@pytest.mark.parametrize("text", AGREE)
def test_a_decimal_agrees_with_what_rounds_to_it(text: str) -> None:
    """Half of the last digit, as it was written, its limits included."""
    published = tomllib.loads(f"x = {text}", parse_float=Written)["x"]
    for found in AGREE[text]:
        assert judge(published, found).agreement == "agrees", found


@pytest.mark.parametrize("text", DISAGREE)
def test_and_with_no_other(text: str) -> None:
    for found in DISAGREE[text]:
        verdict = judge(Written(text), found)
        assert verdict.agreement == "disagrees", found
        assert verdict.tolerances is not None
        assert verdict.tolerances > 1


EXACT: list[tuple[Any, Any, bool]] = [
    (3, 3, True), (3, 3.0, True), (3, 4, False), (0, 1e-30, False), ("a", "a", True), ("a", "A", False), (True, True, True),
    (True, 1, False), (1, True, False), ([1, 2], [1, 2], True), ([1, 2], [2, 1], False), ([1], [1, 1], False), ([], [], True),
    ({"a": 1}, {"a": 1, "b": 2}, True), ({"a": 1}, {"b": 1}, False), ({"a": 1}, 1, False), ([1], 1, False), (1, [1], False),
    (0.5, float("nan"), False), ("1", 1, False), (10**20, 10**20 + 1, False), (10**400, 1.5, False), (1.5, 10**400, False),
]  # fmt: skip


@pytest.mark.parametrize(("published", "found", "agrees"), EXACT)
def test_everything_else_is_exact(published: Any, found: Any, agrees: bool) -> None:
    verdict = judge(published, found)
    assert (verdict.agreement == "agrees") == agrees
    assert verdict.tolerances is None or not agrees


def test_a_stated_tolerance_replaces_the_digits() -> None:
    """Relative to the published number; of both the larger; of a table the number that is farthest off is said."""
    assert judge(Written("2.0"), 2.001, Tolerance(relative=1e-4)).tolerances == pytest.approx(5)
    assert judge(100, 101, Tolerance(absolute=2, relative=1e-3)).agreement == "agrees"
    found = judge({"a": 1.0, "b": 2.0}, {"a": 1.0, "b": 2.3}, Tolerance(absolute=0.1))
    assert found.tolerances == pytest.approx(3)
    assert found.agreement == "disagrees"


def test_lists_in_any_order() -> None:
    """As bags: what is twice must be twice."""
    assert judge([23, 6], [6, 23], any_order=True).agreement == "agrees"
    assert judge([6, 6, 23], [6, 23, 23], any_order=True).agreement == "disagrees"
    assert judge(["b", "a"], ["a", "b"], any_order=True).agreement == "agrees"


def test_a_list_of_another_length_says_so() -> None:
    assert judge([1, 2], [1]).reason == "1 values here, 2 were published"
    assert "missing here" in judge({"a": 1}, {"c": 1}).reason


REASONS: list[tuple[Any, Any, str]] = [
    ("3", 3, "a text was published, and here is a number"), (1, True, "a number was published, and here is true or false"),
    (0.5, float("nan"), "here is no finite number (nan)"), (0.5, float("inf"), "here is no finite number (inf)"),
    (1, 0.98, "a whole number agrees with itself alone: where it was rounded"),
    (1, 0.2, ""), ([1, 2], 1, "one value here, and a list was published"), (1, [1, 2], "the value is a list of 2 here"),
    ([1, 2, 3], [1, 5, 6], "[1]: 2 was published, and here is 5; 1 more disagree"),
    ({"a": {"b": [1]}}, {"a": {"b": [2]}}, "a.b[0]: 1 was published, and here is 2"), ({"a": 1}, {}, "there are none"),
]  # fmt: skip


@pytest.mark.parametrize(("published", "found", "said"), REASONS)
def test_why_values_that_may_look_alike_disagree(published: Any, found: Any, said: str) -> None:
    """The kind, the form, or the place of the first; nothing where the two numbers say it."""
    reason = judge(published, found).reason
    assert said in reason
    assert bool(said) == bool(reason)


def test_tables_in_any_order_are_beside_their_own() -> None:
    """By their numbers, however these are written; a text that differs is not as far off as the numbers are."""
    assert (
        judge([[Written("0.10"), 1], [Written("0.1"), 2]], [[0.1, 2], [0.1, 1]], any_order=True).agreement == "agrees"
    )
    assert judge([Written("0.5"), "a"], [0.5, "b"]).tolerances is None
