"""Values as a reader sees them: on one line, with as many digits as the comparison needs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from interp.verification.written import SLACK, Written

USUAL, MOST = 6, 17  # digits of a number that was computed


def shown(value: Any, longest: int | None = None, digits: int = USUAL) -> str:
    r"""A value as text: decimals as they were written, others rounded.

    Args:
        value: published or found.
        longest: characters after which it is cut; None: never.
        digits: of decimals that were computed.

    Returns:
        the text; empty for None. A text with blanks at its ends, or with what a terminal cannot show, stands in quotes.

    >>> shown(Written("4.988e-07")), shown(1 / 3), shown([23, 6]), shown({"a": 1}), shown(True), shown("a\n")
    ('4.988e-07', '0.333333', '23, 6', 'a: 1', 'yes', "'a\\n'")
    """
    if isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, Written):
        text = value.text
    elif isinstance(value, float):
        text = f"{value:.{digits}g}"
    elif isinstance(value, Mapping):
        text = ", ".join(f"{one_line(str(name))}: {_part(one, digits)}" for name, one in value.items())
    elif isinstance(value, (list, tuple)):
        text = ", ".join(_part(one, digits) for one in value) or "none"
    elif isinstance(value, str):
        text = value if value == one_line(value) and value else repr(value)
    else:
        text = "" if value is None else str(value)
    return text if longest is None or len(text) <= longest else f"{text[: longest - 3]}..."


def _part(value: Any, digits: int) -> str:
    text = shown(value, digits=digits)
    return f"({text})" if isinstance(value, (list, tuple, Mapping)) else text


def shown_beside(found: Any, published: Any, longest: int | None = None) -> str:
    """A computed value beside the published one, with digits enough to see in what they differ.

    Args:
        found: what was computed.
        published: the value that was published.
        longest: characters after which it is cut; None: never.

    Returns:
        the text.

    >>> shown_beside(1234567.5, 1234567), shown_beside(0.25, Written("0.2500000001")), shown_beside(1 / 3, Written("0.33"))
    ('1234567.5', '0.25', '0.333333')
    >>> shown_beside(0.80449999, Written("0.805"))
    '0.80449999'
    """
    digits = min(MOST, max(USUAL, _digits(published) + 2))
    if isinstance(published, Written) and isinstance(found, float) and math.isfinite(found):
        # what disagrees is not shown as a number that would agree
        half = published.half_of_last_digit + SLACK * abs(published)
        agrees = abs(found - published) <= half
        digits = next(
            (n for n in range(digits, MOST) if (abs(float(f"{found:.{n}g}") - published) <= half) == agrees), MOST
        )
    return shown(found, longest, digits)


def _digits(published: Any) -> int:
    """Significant digits of a number, of several the most."""
    if isinstance(published, (Mapping, list, tuple)):
        inner = published.values() if isinstance(published, Mapping) else published
        return max(map(_digits, inner), default=0)
    if isinstance(published, bool) or not isinstance(published, (int, float)):
        return 0
    mantissa = str(published).lower().split("e")[0]
    return sum(c.isdigit() for c in mantissa.lstrip("+-0."))


def one_line(text: str) -> str:
    r"""A text on one line, without what would move a terminal's cursor or turn its writing round.

    Args:
        text: of a file.

    Returns:
        the text; runs of blanks are one, and other unprintable characters are escaped.

    >>> one_line("two\nlines \x1b[31m")
    'two lines \\x1b[31m'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in " ".join(text.split()))
