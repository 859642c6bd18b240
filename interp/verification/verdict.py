"""Verdicts: a recomputed value beside the published one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Literal

from interp._util.schema import short
from interp.verification.bounds import Bounds
from interp.verification.facts import Tolerance
from interp.verification.written import SLACK, Written

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
        published: a number, a text, a truth value, a list or table of these, or bounds.
        found: the same; of a table the published names are compared.
        tolerance: None: half of the last digit of a decimal as it was written, exact for everything else.
        any_order: lists are compared as sets.

    Returns:
        ``agrees`` or ``disagrees``.

    >>> judge(Written("0.238"), 0.23848).agreement, judge(5, 6).agreement, judge([6, 23], [23, 6], any_order=True).agreement
    ('agrees', 'disagrees', 'agrees')
    """
    if isinstance(published, Bounds):
        return _within(published, found)
    if any_order and isinstance(published, list) and isinstance(found, (list, tuple)):
        published, found = sorted(published, key=_place), sorted(found, key=_place)
    pairs: list[tuple[str, Any, Any]] = []
    reason = _pair(published, found, "", pairs)
    apart = [_apart(one, other, tolerance) for _, one, other in pairs]
    wrong = [pair for pair, a in zip(pairs, apart, strict=True) if a is None or not a <= 1]
    numbers = [a for a in apart if a is not None]
    exact = all(allowed(one, tolerance) == 0 for _, one, _ in pairs)
    words = str(tolerance) if tolerance is not None else "exact" if exact else _half(published)
    meant = not exact and numbers and not reason and (not wrong or max(numbers) > 1)  # else texts differ
    return Verdict(
        "disagrees" if wrong or reason else "agrees", published, found, max(numbers) if meant else None,
        reason or _reason(wrong, tolerance), words,
    )  # fmt: skip


def _within(published: Bounds, found: Any) -> Verdict:
    kind = _kind(found)
    reason = "" if kind == "a number" else f"a number was published, and here is {kind}"
    return Verdict(
        "agrees" if published.holds(found) else "disagrees", published, found, reason=reason, tolerance="none"
    )


def _reason(wrong: Sequence[tuple[str, Any, Any]], tolerance: Tolerance | None) -> str:
    """Why the first of the values that disagree does, where it is one of several or the values do not say it."""
    if not wrong:
        return ""
    place, published, found = wrong[0]
    said = [f"{place}: {short(published)} was published, and here is {short(found)}"] if place else []
    one, other = _kind(published), _kind(found)
    if one != other:
        said.append(f"{one} was published, and here is {other}")
    elif one == "a number" and not isinstance(published, float) and tolerance is None and _rounded(found) == published:
        said.append(
            "a whole number agrees with itself alone: where it was rounded, give tolerance = { absolute = 0.5 }"
        )
    more = [f"{len(wrong) - 1} more disagree"] if len(wrong) > 1 else []
    return "; ".join(said + more)


def _rounded(found: Any) -> Any:
    return round(found) if math.isfinite(_float(found)) else None


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, Real):
        return "a number" if math.isfinite(_float(value)) or isinstance(value, int) else f"no finite number ({value})"
    return "a text" if isinstance(value, str) else "several values"


def _float(value: Any) -> float:
    """A number as a float; infinite beyond them."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def allowed(published: Any, tolerance: Tolerance | None) -> float:
    """How far a number may be from the published one; 0 for what is not a number."""
    if isinstance(published, bool) or not isinstance(published, (int, float)):
        return 0.0
    if tolerance is not None:
        return max(tolerance.absolute, tolerance.relative * abs(_float(published)))
    return published.half_of_last_digit if isinstance(published, Written) else 0.0


def _place(value: Any) -> tuple[Any, ...]:
    """Numbers by size, then lists by their values, then everything else by its text."""
    if isinstance(value, Real) and not isinstance(value, bool):
        return 0, _float(value)
    return (1, [_place(one) for one in value]) if isinstance(value, (list, tuple)) else (2, str(value))


def _pair(published: Any, found: Any, place: str, pairs: list[tuple[str, Any, Any]]) -> str:
    """Put the values that belong together beside each other, with their place; what is wrong with their form, if anything."""
    if isinstance(published, Mapping):
        if not isinstance(found, Mapping):
            return f"{place or 'the value'} is {_form(found)} here, and a table was published"
        by_text = {str(name): value for name, value in found.items()}
        for name, value in published.items():
            if str(name) not in by_text:
                return f"{name} is missing here; there are {', '.join(list(by_text)[:8]) or 'none'}"
            if reason := _pair(value, by_text[str(name)], f"{place}.{name}".lstrip("."), pairs):
                return reason
        return ""
    if isinstance(published, (list, tuple)):
        if not isinstance(found, (list, tuple)):
            return f"{place or 'the value'} is {_form(found)} here, and a list was published"
        if len(published) != len(found):
            return f"{place}{': ' if place else ''}{len(found):,} values here, {len(published):,} were published"
        both = enumerate(zip(published, found, strict=True))
        return next(filter(None, (_pair(a, b, f"{place}[{i}]", pairs) for i, (a, b) in both)), "")
    if isinstance(found, (list, tuple, Mapping)):
        within = f" ({', '.join(list(map(str, found))[:8])})" if isinstance(found, Mapping) else ""
        return f"{place or 'the value'} is {_form(found)} here{within}, and one value was published"
    pairs.append((place, published, found))
    return ""


def _form(found: Any) -> str:
    if isinstance(found, Mapping):
        return f"a table of {len(found):,}"
    return f"a list of {len(found):,}" if isinstance(found, (list, tuple)) else "one value"


def _apart(published: Any, found: Any, tolerance: Tolerance | None) -> float | None:
    """The distance of two numbers in tolerances: 0 for equal, infinite beyond an exact one; None for unlike other values."""
    if isinstance(published, (str, bool)) or isinstance(found, (str, bool)) or not isinstance(found, Real):
        return 0.0 if type(published) is type(found) and published == found else None
    if isinstance(published, Integral) and isinstance(found, Integral) and tolerance is None:
        return 0.0 if published == found else math.inf
    limit, distance = allowed(published, tolerance), abs(_float(found) - _float(published))
    if not math.isfinite(distance):
        return None if math.isnan(distance) else distance
    slack = SLACK * abs(_float(published))
    if distance <= slack:
        return 0.0
    if not limit:
        return math.inf
    return 1.0 if limit < distance <= limit + slack else distance / limit


def _half(published: Any) -> str:
    """Half of the last digit, in words: of one number its value."""
    return f"{published.half_of_last_digit:g}" if isinstance(published, Written) else "half of the last digit"
