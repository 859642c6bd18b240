"""Claims on unified and fractured representations: scores of weight sweeps and of units, against null models."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from interp.plugins.claim import Claim, Verdict
from interp.plugins.result import format_metric

TOPIC = "its representation is unified and factored (UFR)"
FEWEST = 10  # changes, below which a sweep is not compared
FAR = 0.5  # of the nearest null model's value, up to which a lower score counts as clearly lower
NEAR = 0.75  # of the null models' median, from which on it counts as no lower


@dataclass(frozen=True)
class Yardstick:
    """A score that tells unified from fractured representations.

    Attributes:
        name: of the score, as in tables.
        words: of the score, for a sentence.
        text: the claim of one network.
        lower: whether a unified representation has the lower score.
        figure: that shows it in a sweep, and in a comparison.
    """

    name: str
    words: str
    text: str
    lower: bool = True
    figure: str | None = None


NETWORK = (
    Yardstick("input_factors", "number of factors that a move touches", "A move of its weights changes few factors of the task",
              figure="against nulls"),
    Yardstick("equivariant_share", "share of a change that keeps the task's symmetry",
              "What its weights change keeps more of the task's symmetry than chance", lower=False),
)  # fmt: skip
PICTURE = (
    Yardstick("antisymmetric_share", "antisymmetric share of a change",
              "What a move of its weights changes keeps the picture symmetric", figure="antisymmetric share"),
    Yardstick("change_rank_share", "rank of the changes", "Its weights all do the same few things", figure="films"),
)  # fmt: skip
UNITS = Yardstick(
    "factors per unit",
    "number of factors that a unit carries",
    "A unit carries few factors of the task",
    figure="units by factor",
)


@dataclass(frozen=True)
class _Scored:
    """A score with its interval, and whose it is."""

    network: str
    value: float
    low: float
    high: float
    changes: int | None = None

    @property
    def counts(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high) and (self.changes is None or self.changes >= FEWEST)

    def __str__(self) -> str:
        return f"{format_metric(self.value)} [{format_metric(self.low)}, {format_metric(self.high)}]"


def sweep_claims(scores: pd.DataFrame, yardsticks: Sequence[Yardstick], shown: Sequence[str]) -> list[Claim]:
    """Whether the scores of a network's sweep are those of a unified representation.

    Args:
        scores: a row per network, kind and step, as the analysis ``sweeps`` gives them.
        yardsticks: the scores that are asked.
        shown: names of the figures and pictures.

    Returns:
        a claim for every score that the network has.
    """
    rows = scores.query("kind == 'random' and at == 'one step'")
    claims = []
    for one in yardsticks:
        if not _has(rows, one.name):
            continue
        own, nulls = _rows(rows, one.name, "null")
        claims.append(_claim(one, own, nulls, shown, "along random directions of its weights"))
    return claims


def unit_claims(rows: pd.DataFrame, shown: Sequence[str]) -> list[Claim]:
    """Whether a network's units carry as few factors as those of a unified representation.

    Args:
        rows: ``network, factors per unit`` with low and high, the network itself first, then its null models.
        shown: names of the figures.

    Returns:
        one claim; none where no unit carries anything.
    """
    if not math.isfinite(float(rows[UNITS.name].iloc[0])):
        return []
    named = rows.assign(null=["", *rows["network"].iloc[1:]])
    own, nulls = _rows(named, UNITS.name, "null")
    return [_claim(UNITS, own, nulls, shown, "ablating each unit")]


def compared_claims(
    tables: Mapping[str, pd.DataFrame],
    yardsticks: Sequence[Yardstick],
    shown: Sequence[str],
    comparable: Callable[[str, str, str], bool] = lambda score, first, other: True,
) -> list[Claim]:
    """Which of several networks is the unified one, by each score: every network against the first.

    Args:
        tables: rows as in `sweep_claims`, by network.
        yardsticks: the scores that are asked.
        shown: names of the figures of the comparison.
        comparable: whether a score of two networks, by their names, is counted in the same units.

    Returns:
        a claim for every score and every network but the first, where both have the score and it is comparable.
    """
    rows = {n: t.query("kind == 'random' and at == 'one step'") if "kind" in t else t.assign(null=["", *t["network"].iloc[1:]])
            for n, t in tables.items()}  # fmt: skip
    first, *others = rows
    claims = []
    for other in others:
        for one in yardsticks:
            if all(_has(rows[n], one.name) for n in (first, other)) and comparable(one.name, first, other):
                pair = {n: _rows(rows[n], one.name, "null") for n in (first, other)}
                claims.append(_compared(one, pair, shown))
    return claims


def _compared(one: Yardstick, pair: Mapping[str, tuple[_Scored, list[_Scored]]], shown: Sequence[str]) -> Claim:
    (a, (own_a, _)), (b, (own_b, _)) = pair.items()
    a_wins = (own_a.value < own_b.value) == one.lower
    winner, loser = (a, b) if a_wins else (b, a)
    own, nulls = pair[winner]
    verdict, _, against = _verdict(one, own, nulls)
    told: Verdict = (
        "not tested" if verdict == "not supported" else verdict
    )  # the better of two, and yet no better than chance
    if not _apart(own, [pair[loser][0]], one.lower):
        told = "not supported"
    why = (
        ""
        if told != "not tested"
        else f"; null models of {winner} score as {'low' if one.lower else 'high'}, so it cannot tell"
    )
    figure = one.name.replace("_", " ")
    return Claim(
        f"By the {one.words}, {winner} is more unified than {loser}",
        told,
        f"{one.words[0].upper()}{one.words[1:]}, {'lower' if one.lower else 'higher'} in a unified representation",
        f"{own} to {pair[loser][0]}{why}",
        "the 95% intervals must not overlap; then as clear as the more unified one is of its null models, and not tested where "
        "these score as well",
        against,
        question="unified",
        figure=figure if figure in shown else None,
        topic=f"one of {a} and {b} is unified (UFR) and the other fractured (FER)",
        answer=f"{winner} is the unified one" if told in ("supported", "in part") else "",
    )  # fmt: skip


def _has(rows: pd.DataFrame, name: str) -> bool:
    """Whether the network itself has a score."""
    return name in rows and bool(np.isfinite(rows.query("null == ''")[name].to_numpy(dtype=float)).any())


def _rows(rows: pd.DataFrame, name: str, null: str) -> tuple[_Scored, list[_Scored]]:
    def scored(row: Mapping[str, Any]) -> _Scored:
        return _Scored(
            str(row[null]), float(row[name]), float(row[f"{name} low"]), float(row[f"{name} high"]), row.get("changes")
        )

    every = [scored({str(k): v for k, v in row.items()}) for row in rows.to_dict("records")]
    return next(r for r in every if not r.network), [r for r in every if r.network]


def _claim(one: Yardstick, own: _Scored, nulls: list[_Scored], shown: Sequence[str], how: str) -> Claim:
    verdict, value, against = _verdict(one, own, nulls)
    return Claim(
        one.text,
        verdict,
        f"{one.words[0].upper()}{one.words[1:]}, {how}",
        value,
        _rule(one),
        against,
        figure=one.figure if one.figure in shown else None,
        topic=TOPIC,
    )


def _rule(one: Yardstick) -> str:
    side, near, far, level = (
        ("below", "at most three quarters", "at most half", "low")
        if one.lower
        else ("above", "at least four thirds", "at least twice", "high")
    )
    return (
        f"in part when the 95% interval lies {side} every null model and the value is {near} of their median; supported when "
        f"the intervals do not overlap and it is {far} of the nearest; not tested where untrained networks score as {level}; "
        "else not supported"
    )


def _verdict(one: Yardstick, own: _Scored, nulls: list[_Scored]) -> tuple[Verdict, str, str]:
    """Verdict, value and comparison of a score that is set against null models."""
    usable, degenerate = [n for n in nulls if n.counts], [n for n in nulls if not n.counts]
    shuffled = [n for n in usable if n.network.startswith("shuffled")]
    untrained = [n for n in usable if n not in shuffled]
    left_out = f"; left out, with hardly any change: {', '.join(n.network for n in degenerate)}" if degenerate else ""
    parts = [
        f"{words} {_span(group)}"
        for words, group in (("shuffled weights", shuffled), ("untrained networks", untrained))
        if group
    ]
    against = ", ".join(parts) + left_out if parts else f"no null model that changes enough{left_out}"
    if not usable or not own.counts:
        return "not tested", f"{own}; {'no null model to compare with' if own.counts else 'too few changes'}", against
    if not _beats(own, shuffled, one.lower):
        return "not supported", str(own), against
    if not _beats(own, untrained, one.lower):
        return (
            "not tested",
            f"{own}: untrained networks score as {'low' if one.lower else 'high'}, so this cannot tell",
            against,
        )
    nearest = min(n.value for n in usable) if one.lower else max(n.value for n in usable)
    middle = statistics.median(n.value for n in usable)
    if own.value > NEAR * middle if one.lower else own.value < middle / NEAR:
        return "not supported", str(own), against
    far = own.value <= FAR * nearest if one.lower else own.value >= nearest / FAR
    return "supported" if far and _apart(own, usable, one.lower) else "in part", str(own), against


def _beats(own: _Scored, others: Sequence[_Scored], lower: bool) -> bool:
    """Whether a network's whole interval lies on the unified side of every null model's value."""
    return all(own.high < n.value if lower else own.low > n.value for n in others)


def _apart(own: _Scored, others: Sequence[_Scored], lower: bool) -> bool:
    """Whether a network's interval lies on the unified side of every other's interval."""
    return all(own.high < n.low if lower else own.low > n.high for n in others)


def _span(group: Sequence[_Scored]) -> str:
    values = sorted(n.value for n in group)
    return (
        format_metric(values[0]) if len(values) == 1 else f"{format_metric(values[0])} to {format_metric(values[-1])}"
    )
