"""The axes of a phase diagram: which settings stand along them, and the values that networks have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from interp.errors import UnknownName, unknown

COMMON = "the run's"  # value of a setting that a member shares with the run
REPEATS = ("seed", "data_seed", "init_seed", "order_seed")  # what makes members repetitions of one another


def choose_axes(differing: Sequence[str], x: str | None, y: str | None) -> tuple[str | None, str | None]:
    """The settings along the axes: those asked for, otherwise the first that differ, repetitions (seeds) last.

    Args:
        differing: settings in which the networks differ.
        x: asked for along the horizontal axis.
        y: asked for along the vertical axis.

    Returns:
        The settings across and down; None if there is none left.

    Raises:
        UnknownName: a setting in which the networks do not differ.

    >>> choose_axes(["seed", "lr", "width"], None, None), choose_axes(["seed"], None, None)
    (('lr', 'width'), ('seed', None))
    """
    for asked in (x, y):
        if asked is not None and asked not in differing:
            raise UnknownName(unknown("setting in which the networks differ", asked, differing))
    free = [s for s in sorted(differing, key=lambda s: s in REPEATS) if s not in (x, y)]
    across = x or (free.pop(0) if free else None)
    down = y or next((s for s in free if s not in REPEATS), None)
    return across, down


def values_of(table: pd.DataFrame, setting: str | None) -> list[Any]:
    """A setting's values; a network without a value of its own has the run's."""
    if setting is None:
        return [0] * len(table)
    return [COMMON if (isinstance(v, float) and v != v) or v is None else v for v in table[setting].tolist()]


def ordered(values: Iterable[Any]) -> list[Any]:
    """Numbers by size, then text."""
    return sorted(
        set(values), key=lambda v: (not isinstance(v, (int, float)), v if isinstance(v, (int, float)) else str(v))
    )
