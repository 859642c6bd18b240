"""Claims: what a report argues, each with the test that decides it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Question = Literal["does", "represents", "where", "needs", "history", "unified", "odd", "else"]
QUESTIONS: dict[Question, str] = {  # in the order of a report
    "does": "What it does",
    "represents": "What it represents",
    "where": "Where it computes it",
    "needs": "What is necessary, and what suffices",
    "history": "How it came about",
    "unified": "How unified it is",
    "odd": "What is odd",
    "else": "What else was measured",
}
Verdict = Literal["supported", "in part", "not supported", "not tested"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Claim:
    """One statement about a network, with its evidence.

    Attributes:
        text: the statement in one sentence, as it would stand in a paper, without a full stop: ``The frequencies 23, 6 and 37
            are necessary``. It is the same whatever the verdict.
        verdict: what the test says of it. ``not tested`` where the test cannot be made on this network; ``value`` says why.
        test: what was done, in a few words.
        value: the number that came out, with its interval or the size of its sample.
        against: the same number for what it is compared with: random parts of the same size, chance, a null model.
        rule: from which number on the claim is supported, and in part.
        question: which question of the report it answers; by default that of its analysis.
        figure: name of the figure or picture of the same result that shows it.
        topic: claims of several analyses on one hypothesis share a topic, such as ``Fourier modes``. It is called supported when
            all of them that were tested are.
        answer: what the claim says of its topic, such as ``23, 6, 37``; two answers to one topic contradict each other.
    """

    text: str
    verdict: Verdict
    test: str
    value: str
    rule: str
    against: str = ""
    question: Question | None = None
    figure: str | None = None
    topic: str = ""
    answer: str = ""


def graded(supported: bool, in_part: bool) -> Verdict:
    """The verdict of a test with two thresholds.

    Args:
        supported: whether the number is beyond the far threshold.
        in_part: whether it is beyond the near one.

    Returns:
        ``supported``, ``in part`` or ``not supported``.

    >>> graded(False, True)
    'in part'
    """
    return "supported" if supported else "in part" if in_part else "not supported"


def check_claim(claim: object, shown: list[str]) -> None:
    """Refuse a claim that a report could not show.

    Args:
        claim: from `Result.claims`.
        shown: names of the result's figures and pictures.

    Raises:
        TypeError: not a Claim, or a part that is not text.
        ValueError: an unknown verdict or question, a claim without text, test, value or rule, or a figure that the result
            does not have.
    """
    if not isinstance(claim, Claim):
        raise TypeError(f"claims holds Claims, got {type(claim).__name__}")
    for part in ("text", "test", "value", "rule", "against", "topic", "answer"):
        if not isinstance(getattr(claim, part), str):
            raise TypeError(f"a claim's {part} is a text, got {getattr(claim, part)!r}")
        if part in ("text", "test", "value", "rule") and not getattr(claim, part).strip():
            raise ValueError(f"the claim {claim.text!r} has no {part}")
    if claim.verdict not in VERDICTS:
        raise ValueError(f"a claim's verdict is one of {', '.join(VERDICTS)}, got {claim.verdict!r}")
    if claim.question is not None and claim.question not in QUESTIONS:
        raise ValueError(f"a claim's question is one of {', '.join(QUESTIONS)}, got {claim.question!r}")
    if claim.figure is not None and claim.figure not in shown:
        raise ValueError(f"the claim {claim.text!r} names no figure or picture of its result: {claim.figure!r}")
