"""TOML from files, parsed within limits."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from typing import Any

from interp._util.schema import DEPTH, too_deep
from interp.errors import UnreadableFile

MOST_PARTS = 20  # of a dotted key: tomllib takes memory that grows with their square
_PART = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+')[ \t]*+"""
_PARTS = rf"(?:{_PART}\.[ \t]*+){{{MOST_PARTS},}}+"
_LONG_KEY = re.compile(rf"(?<![\w-]){_PARTS}{_PART}=|^[ \t]*+\[[ \t[]*+{_PARTS}", re.MULTILINE)


def parse_toml(text: str, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """The values of a TOML text.

    Args:
        text: of a file; whoever calls names it.
        parse_float: makes a decimal of its text.

    Returns:
        plain values.

    Raises:
        UnreadableFile: not TOML, nested deeper than `DEPTH`, a dotted key of more than `MOST_PARTS` parts, or a number of
            thousands of digits.

    >>> parse_toml("a.b = 1")
    {'a': {'b': 1}}
    >>> parse_toml("a." * 30 + "b = 1")
    Traceback (most recent call last):
    interp.errors.UnreadableFile: not TOML that can be read here: line 1 has a name of more than 20 parts with dots
    """
    if long := _LONG_KEY.search(text):
        line = text.count("\n", 0, long.start()) + 1
        raise UnreadableFile(
            f"not TOML that can be read here: line {line} has a name of more than {MOST_PARTS} parts with dots"
        )
    try:
        found = tomllib.loads(text, parse_float=parse_float)
    except RecursionError:
        found = None
    except tomllib.TOMLDecodeError as error:
        raise UnreadableFile(f"not TOML: {' '.join(str(error).split())[:200]}") from None
    except ValueError:  # Python reads no numbers of more than 4,300 digits
        raise UnreadableFile("not TOML that can be read here: a number has thousands of digits") from None
    if found is None or too_deep(found):
        raise UnreadableFile(f"not TOML that can be read here: it is nested more than {DEPTH} levels deep")
    return found
