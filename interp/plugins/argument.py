"""The argument: the claims of all analyses in the order of a reader's questions, what they say together, where they disagree."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from interp.notebook.show import fold
from interp.plugins.claim import QUESTIONS, Claim, Question, Verdict, claims_table
from interp.plugins.result import Result

MARKS: dict[Verdict, str] = {"supported": "+", "in part": "~", "not supported": "-", "not tested": "?"}


@dataclass(frozen=True)
class Point:
    """A claim in its place.

    Attributes:
        claim: the statement and its evidence.
        analysis: whose it is.
        question: which one it answers.
    """

    claim: Claim
    analysis: str
    question: Question


@dataclass(frozen=True)
class Topic:
    """What the claims on one hypothesis say together.

    Attributes:
        name: the hypothesis, as the claims name it.
        verdict: ``not supported`` if a claim of it is not supported, ``in part`` if one is in part, else ``supported``; of the
            claims that were tested.
        points: the claims of it that were tested.
        untested: those that were not.
    """

    name: str
    verdict: Verdict
    points: tuple[Point, ...]
    untested: tuple[Point, ...]

    @property
    def answers(self) -> dict[str, list[str]]:
        """The analyses by what they answer."""
        found: dict[str, list[str]] = {}
        for point in self.points:
            if point.claim.answer and point.analysis not in found.setdefault(point.claim.answer, []):
                found[point.claim.answer].append(point.analysis)
        return found

    @property
    def sentence(self) -> str:
        """The verdict as a sentence, with what fits and what does not."""
        n = len(self.points)
        if not n:
            return f"Whether {self.name} could not be tested."
        answers = list(self.answers)
        named = f"{self.name} ({answers[0]})" if len(answers) == 1 else self.name
        held = [p for p in self.points if p.claim.verdict == "supported"]
        failed = [p for p in self.points if p.claim.verdict == "not supported"]
        if self.verdict == "supported":
            every = {1: "the one test", 2: "both tests"}.get(n, f"all {n} tests")
            return f"That {named} is supported by {every} of it."
        if self.verdict == "in part":
            part = _listed([p for p in self.points if p.claim.verdict == "in part"], ", and ")
            also = f"{len(held)} of {n} tests bear it out; " if held else ""
            return f"That {named} is supported in part: {also}it holds in part {part}."
        also = f" {len(held)} of {n} tests bear it out." if held else ""
        return f"That {named} is not supported: it does not hold {_listed(failed, ', nor ')}.{also}"


@dataclass(frozen=True)
class Argument:
    """What a report argues.

    Attributes:
        points: all claims, by question and in the order of the report.
        missing: what could not be asked of this network, and why.
    """

    points: tuple[Point, ...]
    missing: tuple[str, ...] = ()

    @property
    def questions(self) -> dict[str, list[Point]]:
        """The claims by question, in words; questions without claims are left out."""
        return {
            words: points
            for one, words in QUESTIONS.items()
            if (points := [p for p in self.points if p.question == one])
        }

    @property
    def topics(self) -> list[Topic]:
        """The hypotheses that several analyses test."""
        return [_topic(name, self.points) for name in dict.fromkeys(p.claim.topic for p in self.points) if name]

    @property
    def contradictions(self) -> list[str]:
        """Where claims disagree: one claim with two verdicts, two answers to one topic, a topic that holds and fails in parts."""
        found = []
        for text in dict.fromkeys(p.claim.text for p in self.points):
            same = [p for p in self.points if p.claim.text == text]
            if len(same) > 1:
                found.append(f"{text}: " + ", but ".join(f"{p.claim.verdict} by {p.analysis}" for p in same) + ".")
        for topic in self.topics:
            if len(topic.answers) > 1:
                said = "; ".join(f"{', '.join(who)}: {answer}" for answer, who in topic.answers.items())
                found.append(f"On whether {topic.name} the analyses differ ({said}).")
            held = [p for p in topic.points if p.claim.verdict == "supported"]
            failed = [p for p in topic.points if p.claim.verdict == "not supported"]
            if held and failed:
                found.append(
                    f"That {_lower(held[0].claim.text)} is supported, but that {_lower(failed[0].claim.text)} is not, although "
                    f"both should hold if {topic.name}."
                )
        return found

    @property
    def summary(self) -> list[str]:
        """The sentences that a reader wants first: what it does, every hypothesis, what suffices, contradictions, gaps."""
        said = [_said(p.claim) for p in self.points if p.question == "does"]
        said += [topic.sentence for topic in self.topics]
        for question in ("needs", "history"):
            said += [_said(p.claim) for p in self.points if p.question == question and not p.claim.topic][:1]
        return [*said, *self.contradictions, *self.missing]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as ``result.json`` has them."""
        return {
            "summary": self.summary,
            "claims": [{"analysis": p.analysis, **asdict(p.claim), "question": p.question} for p in self.points],
            "topics": {t.name: {"verdict": t.verdict, "answers": t.answers} for t in self.topics},
            "contradictions": self.contradictions,
        }

    def text(self, width: int = 100) -> str:
        """The argument as plain text, as ``interp analyze --explain`` prints it."""
        return "\n".join(_lines(self, width))

    def _repr_html_(self) -> str:
        said = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in self.summary)
        parts = [
            f"<p><b>{html.escape(w)}</b></p>{claims_table(p.claim for p in points)}"
            for w, points in self.questions.items()
        ]
        folded = fold(f"{len(self.points)} claims, their tests and what they are compared with", "".join(parts))
        return (f"<ul>{said}</ul>" if said else "") + folded


def argue(results: Mapping[str, Result], questions: Mapping[str, Question], missing: Iterable[str] = ()) -> Argument:
    """The argument that results make.

    Args:
        results: by analysis, in the order of the report.
        questions: which one each analysis answers.
        missing: what could not be asked, in sentences.

    Returns:
        the claims by question; of two with one text and one verdict the first.
    """
    points: dict[tuple[str, Verdict], Point] = {}
    for name, result in results.items():
        for claim in result.claims:
            point = Point(claim, name, claim.question or questions.get(name, "else"))
            points.setdefault((claim.text, claim.verdict), point)
    order = list(QUESTIONS)
    return Argument(tuple(sorted(points.values(), key=lambda p: order.index(p.question))), tuple(missing))


def _topic(name: str, points: Iterable[Point]) -> Topic:
    own = [p for p in points if p.claim.topic == name]
    tested = tuple(p for p in own if p.claim.verdict != "not tested")
    return Topic(name, _worst([p.claim.verdict for p in tested]), tested, tuple(p for p in own if p not in tested))


def _worst(verdicts: list[Verdict]) -> Verdict:
    """A hypothesis is as good as its weakest test."""
    if "not supported" in verdicts:
        return "not supported"
    if "in part" in verdicts:
        return "in part"
    return "supported" if verdicts else "not tested"


def _said(claim: Claim) -> str:
    against = f"; {claim.against}" if claim.against else ""
    return f"{claim.text}: {claim.verdict} ({claim.value}{against})."


def _listed(points: Iterable[Point], joined: str) -> str:
    return joined.join(f"that {_lower(p.claim.text)}" for p in points)


def _lower(text: str) -> str:
    """A sentence as a clause: its first word without its capital, unless it is a name."""
    head, _, rest = text.partition(" ")
    return f"{head.lower()} {rest}" if head.isalpha() and head.istitle() else text


def _lines(argument: Argument, width: int) -> Iterator[str]:
    def wrapped(text: str, indent: str, first: str | None = None) -> list[str]:
        return textwrap.wrap(
            text, max(width, 40), initial_indent=indent if first is None else first, subsequent_indent=indent,
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip

    for sentence in argument.summary:
        yield from wrapped(sentence, "")
    for words, points in argument.questions.items():
        yield f"\n{words}"
        for point in points:
            claim = point.claim
            yield from wrapped(f"{claim.text}: {claim.verdict}.", "    ", f"  {MARKS[claim.verdict]} ")
            compared = f" Against: {claim.against}." if claim.against else ""
            yield from wrapped(f"{claim.test}: {claim.value}.{compared}", "    ")
            yield from wrapped(f"Rule: {claim.rule}. [{point.analysis}]", "    ")
