"""The argument: claims in the order of a reader's questions, hypotheses that hold together or fall together."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import interp
from interp.plugins.analysis import Outcome, Outcomes, analysis
from interp.plugins.argument import argue
from interp.plugins.claim import QUESTIONS, Claim
from interp.plugins.result import Result, check_result


def claim(text: str, verdict: Any = "supported", **parts: Any) -> Claim:
    given: dict[str, Any] = {"test": "A count", "value": "3 of 4", "rule": "from 2"} | parts
    return Claim(text, verdict, **given)


def test_claims_stand_in_the_order_of_the_questions() -> None:
    """Whatever the order of the analyses; a claim may answer another question than its analysis."""
    results = {
        "a": Result(claims=[claim("It is odd"), claim("It purrs", question="does")]),
        "b": Result(claims=[claim("Its head holds it")]),
    }
    found = argue(results, {"a": "odd", "b": "where"})
    assert [p.claim.text for p in found.points] == ["It purrs", "Its head holds it", "It is odd"]
    assert list(found.questions) == [QUESTIONS[q] for q in ("does", "where", "odd")]
    assert found.summary[0] == "It purrs: supported (3 of 4)."
    assert [p.analysis for p in argue(results | {"c": results["a"]}, {}).points] == ["a", "a", "b"]  # one text, once


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [
        (("supported", "supported"), "supported"),
        (("supported", "in part"), "in part"),
        (("supported", "not supported"), "not supported"),
        (("in part", "not supported"), "not supported"),
        (("supported", "not tested"), "supported"),
        (("not tested", "not tested"), "not tested"),
    ],
)
def test_a_hypothesis_is_as_good_as_its_weakest_test(verdicts: tuple[str, str], together: str) -> None:
    """A failed prediction refutes it; what was not tested says nothing."""
    claims = [claim(f"Claim {i}", v, topic="it computes with cats") for i, v in enumerate(verdicts)]
    (topic,) = argue({"a": Result(claims=claims)}, {}).topics
    assert topic.verdict == together
    assert {"not tested": "could not be tested", "in part": "in part"}.get(together, together) in topic.sentence


def test_contradictions_are_named() -> None:
    """Two answers to one topic, and a hypothesis that holds in one part and fails in another."""
    one = claim("Few cats make it", topic="it computes with cats", answer="2, 3")
    other = claim("Its paws hold these cats", "not supported", topic="it computes with cats", answer="5")
    found = argue({"a": Result(claims=[one]), "b": Result(claims=[other])}, {})
    differ, half = found.contradictions
    assert "a: 2, 3" in differ
    assert "b: 5" in differ
    assert "few cats make it is supported" in half
    assert "both should hold if it computes with cats" in half
    assert set(found.contradictions) < set(found.summary)
    same = {"a": Result(claims=[one]), "b": Result(claims=[dataclasses.replace(one, verdict="not supported")])}
    assert "Few cats make it: supported by a, but not supported by b." in argue(same, {}).contradictions
    agreeing = dataclasses.replace(other, verdict="supported", answer="2, 3")
    assert argue({"a": Result(claims=[one]), "b": Result(claims=[agreeing])}, {}).contradictions == []


def test_text_and_data_hold_every_part() -> None:
    """The text wraps at the width that is given; the data are plain values."""
    made = claim("It purrs", against="dogs: 0", topic="it is a cat", answer="yes")
    found = argue({"a": Result(claims=[made])}, {"a": "does"}, ["No task is known."])
    text = found.text(60)
    assert max(map(len, text.splitlines())) <= 60
    for part in ("It purrs", "A count", "3 of 4", "dogs: 0", "from 2", "[a]", "No task is known.", QUESTIONS["does"]):
        assert part in " ".join(text.split())
    data = found.to_dict()
    assert data["claims"][0]["question"] == "does"
    assert data["topics"] == {"it is a cat": {"verdict": "supported", "answers": {"yes": ["a"]}}}


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ("a sentence", "Claim"),
        (claim("It purrs", "perhaps"), "verdict"),
        (claim("It purrs", question="why"), "question"),
        (claim("It purrs", figure="cat"), "figure"),
        (claim("It purrs", value=3), "value"),
        (claim("It purrs", rule=" "), "rule"),
    ],
)
def test_claims_that_no_report_could_show_are_refused(wrong: Any, word: str) -> None:
    with pytest.raises((TypeError, ValueError), match=word):
        check_result(Result(claims=[wrong]))


def test_an_analysis_names_its_question(demo: interp.Subject) -> None:
    """A stranger's analysis takes its place in the argument; an unknown question is refused at once."""

    @analysis("purring", summary="listens", question="unified")
    def purring(subject: interp.Subject) -> Result:
        return Result(claims=[claim("It purrs")])

    found = interp.analyze(demo, [purring])
    assert [p.question for p in found.argument.points] == ["unified"]
    assert Outcomes({"x": Outcome("x", "skipped", reason="no cat")}).argument.points == ()
    with pytest.raises(TypeError, match="question"):
        analysis("meowing", summary="listens", question="why")  # pyright: ignore[reportArgumentType]
