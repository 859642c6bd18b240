"""What a logged run holds: scalars by step, the settings of the run, and where its checkpoints are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Points = dict[str, list[tuple[int, float]]]
MOST_POINTS = 5_000_000  # of a run: a hundred curves of fifty thousand steps
MOST_NAMES = 20_000
STEP_LIMIT = 1 << 62


@dataclass
class Log:
    """A run as another tool has logged it.

    Attributes:
        kind: the tool.
        points: (step, value) pairs by the name that was logged.
        config: the run's settings.
        name: what the run calls itself; empty where it has no name.
        folders: where its checkpoints may be, the likeliest first.
        files: its checkpoints by step, where the tool says which these are.
        notes: what was left out or assumed.
    """

    kind: str
    points: Points = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    folders: tuple[Path, ...] = ()
    files: dict[Path, int | None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """The number of points."""
        return sum(map(len, self.points.values()))

    def add(self, name: str, step: int, value: float) -> None:
        """Keep a point; of a run without end only the beginning is kept, with a note."""
        if self.full or not 0 <= step < STEP_LIMIT:
            return
        self.points.setdefault(name, []).append((step, value))
        self._room -= 1
        if not self._room or len(self.points) > MOST_NAMES:
            self.full = True
            self.notes.append(
                f"more than {MOST_POINTS:,} numbers or {MOST_NAMES:,} names are logged: the rest is left out"
            )

    full: bool = field(default=False, init=False, repr=False)
    _room: int = field(default=MOST_POINTS, init=False, repr=False)


def in_order(points: Iterable[tuple[int, float]]) -> list[tuple[int, float]]:
    """Points by ascending steps, one a step.

    Args:
        points: in the order in which they were logged.

    Returns:
        The last that was logged at each step.

    >>> in_order([(0, 1.0), (20, 3.0), (10, 5.0), (20, 6.0)])
    [(0, 1.0), (10, 5.0), (20, 6.0)]
    """
    return sorted(dict(points).items())


def continued(earlier: Points, later: Points) -> tuple[Points, int]:
    """The curves of a run that stopped and went on, or started again, in the same place.

    Args:
        earlier: what was logged before.
        later: what was logged by the run that went on.

    Returns:
        Curves that hold of the earlier points those before the later ones begin; and how many were replaced.

    >>> continued({"loss": [(0, 1.0), (10, 2.0), (20, 3.0)]}, {"loss": [(10, 5.0)]})
    ({'loss': [(0, 1.0), (10, 5.0)]}, 2)
    """
    joined, replaced = dict(earlier), 0
    for name, points in later.items():
        begin = min(step for step, _ in points)
        before = earlier.get(name, [])
        kept = [point for point in before if point[0] < begin]
        replaced += len(before) - len(kept)
        joined[name] = [*kept, *points]
    return joined, replaced


def scalars(name: str, value: Any, depth: int = 4) -> Iterator[tuple[str, float]]:
    """The numbers in a logged value: itself, or those of a nested dict under dotted names.

    Args:
        name: under which it was logged.
        value: from JSON.
        depth: how many dicts inside one another are entered.

    Yields:
        Name and number. Texts, lists and media (dicts with ``_type``) are not scalars; NaN and infinity are, as W&B spells them.

    >>> list(scalars("val", {"loss": 2, "note": "x", "hist": {"_type": "histogram", "bins": 3}}))
    [('val.loss', 2.0)]
    """
    if isinstance(value, Mapping):
        if "_type" not in value and depth:
            for inner, item in value.items():
                yield from scalars(f"{name}.{inner}", item, depth - 1)
        return
    if isinstance(value, str):
        value = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(value)
    if isinstance(value, (int, float)):
        yield name, _float(value)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number beyond all floats
        return math.copysign(math.inf, value)
