"""Keys and values of a table in a TOML file, each checked where it stands."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from interp.errors import unknown


class Kind(NamedTuple):
    """Whether a value fits, and what it must be, in words."""

    fits: Callable[[Any], bool]
    words: str


TEXT = Kind(lambda value: isinstance(value, str) and bool(value.strip()), "a text that is not empty")
TABLE = Kind(lambda value: isinstance(value, dict), "a table")
SWITCH = Kind(lambda value: isinstance(value, bool), "true or false")
POSITIVE = Kind(
    lambda value: not isinstance(value, bool) and isinstance(value, (int, float)) and 0 < value < math.inf,
    "a number above 0",
)


def check(given: Any, place: str, kinds: Mapping[str, Kind], required: Iterable[str]) -> None:
    """Refuse anything but a table, an unknown key, a value of the wrong kind, and a missing key.

    Raises:
        ValueError: with the place.
    """
    if not isinstance(given, dict):
        raise ValueError(f"{place} must be a table")
    for key, value in given.items():
        if key not in kinds:
            raise ValueError(f"{place}: {unknown('key', key, kinds)}")
        if not kinds[key].fits(value):
            raise ValueError(f"{place}: {key} is {value!r}; it must be {kinds[key].words}")
    if missing := set(required) - set(given):
        raise ValueError(f"{place}: {', '.join(sorted(missing))} is missing")
