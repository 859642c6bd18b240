"""Verdicts: a recomputed value beside the published one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

from interp.verification.facts import Tolerance
from interp.verification.written import Written

Agreement = Literal["agrees", "disagrees", "cannot be replayed"]


@dataclass(frozen=True)
class Verdict:
    """What came of one fact.

    Attributes:
        agreement: whether the values agree; ``cannot be replayed`` where there is none to compare.
        published: the value that was published.
        found: the value that was computed.
        tolerances: how many tolerances the numbers lie apart, of several the most; None where that is not a number.
        reason: why it disagrees or cannot be replayed, where the values do not say it.
        tolerance: how far apart they may be, in words.
        seconds: that it took.
    """

    agreement: Agreement
    published: Any = None
    found: Any = None
    tolerances: float | None = None
    reason: str = ""
    tolerance: str = "exact"
    seconds: float = 0.0


def judge(published: Any, found: Any, tolerance: Tolerance | None = None, any_order: bool = False) -> Verdict:
    """Compare a recomputed value with the published one.

    Args:
        published: a number, a text, a truth value, or a list or table of these.
        found: the same; of a table the published names are compared.
        tolerance: None: half of the last digit of a decimal as it was written, exact for everything else.
        any_order: lists are compared as sets.

    Returns:
        ``agrees`` or ``disagrees``.

    >>> judge(Written("0.238"), 0.23848).agreement, judge(5, 6).agreement, judge([6, 23], [23, 6], any_order=True).agreement
    ('agrees', 'disagrees', 'agrees')
    """
    if any_order and isinstance(published, list) and isinstance(found, (list, tuple)):
        published, found = sorted(published, key=_place), sorted(found, key=_place)
    pairs: list[tuple[Any, Any]] = []
    reason = _pair(published, found, "", pairs)
    apart = [_apart(one, other, tolerance) for one, other in pairs]
    numbers = [a for a in apart if a is not None]
    wrong = bool(reason) or any(a is None or not a <= 1 for a in apart)
    exact = all(allowed(one, tolerance) == 0 for one, _ in pairs)
    words = str(tolerance) if tolerance is not None else "exact" if exact else _half(published)
    return Verdict(
        "disagrees" if wrong else "agrees", published, found,
        None if exact or not numbers or reason else max(numbers), reason, words,
    )  # fmt: skip


def allowed(published: Any, tolerance: Tolerance | None) -> float:
    """How far a number may be from the published one; 0 for what is no number."""
    if isinstance(published, bool) or not isinstance(published, (int, float)):
        return 0.0
    if tolerance is not None:
        return max(tolerance.absolute, tolerance.relative * abs(published))
    return published.half_of_last_digit if isinstance(published, Written) else 0.0


def _place(value: Any) -> tuple[bool, float, str]:
    """Numbers by size, then everything else by its text."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    return not number, float(value) if number else 0.0, str(value)


def _pair(published: Any, found: Any, place: str, pairs: list[tuple[Any, Any]]) -> str:
    """Put the values that belong together beside each other; what is wrong with their form, if anything."""
    if isinstance(published, Mapping):
        if not isinstance(found, Mapping):
            return f"{place or 'it'} is one value here, not a table"
        by_text = {str(name): value for name, value in found.items()}
        for name, value in published.items():
            if str(name) not in by_text:
                return f"{name} is missing here; there are {', '.join(list(by_text)[:8])}"
            if reason := _pair(value, by_text[str(name)], f"{place}.{name}".lstrip("."), pairs):
                return reason
        return ""
    if isinstance(published, (list, tuple)):
        if not isinstance(found, (list, tuple)):
            return f"{place or 'it'} is one value here, not a list"
        if len(published) != len(found):
            return f"{len(found):,} values here, {len(published):,} were published"
        return next(filter(None, (_pair(a, b, place, pairs) for a, b in zip(published, found, strict=True))), "")
    pairs.append((published, found))
    return ""


def _apart(published: Any, found: Any, tolerance: Tolerance | None) -> float | None:
    """The distance of two numbers in tolerances: 0 for equal, infinite beyond an exact one; None for unlike other values."""
    if isinstance(published, (str, bool)) or isinstance(found, (str, bool)) or not isinstance(found, Real):
        return 0.0 if type(published) is type(found) and published == found else None
    if isinstance(published, Integral) and isinstance(found, Integral) and tolerance is None:
        return 0.0 if published == found else math.inf
    limit, distance = allowed(published, tolerance), abs(float(found) - float(published))
    if math.isnan(distance):
        return None
    slack = 4e-16 * abs(float(published))  # the limit itself is rounded
    if distance <= slack:
        return 0.0
    if not limit:
        return math.inf
    return 1.0 if limit < distance <= limit + slack else distance / limit


def _half(published: Any) -> str:
    """Half of the last digit, in words: of one number its value."""
    return f"{published.half_of_last_digit:g}" if isinstance(published, Written) else "half of the last digit"
