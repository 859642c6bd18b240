"""Networks that have stopped learning: the train loss is the same number, to the bit, at one measurement after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

ROWS = 4  # equal measurements in a row from which on a network counts


class Standstill:
    """Follows the rows of a run's metrics.

    A loss of 0 does not count, as it is the least of most losses: nothing is left to learn.

    Attributes:
        since: the step since when the loss has been the same, by member that stands still.
    """

    def __init__(self) -> None:
        self.since: dict[int, int] = {}
        # by member: its loss, since which step, in how many rows
        self._last: dict[int, tuple[float | None, int, int]] = {}

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Take in further rows.

        Args:
            rows: with ``step``, ``member`` and ``train_loss``, in the order of their steps.
        """
        for row in rows:
            loss, member = row.get("train_loss"), int(row["member"])
            before, since, times = self._last.get(member, (None, 0, 0))
            if loss is None or loss != before or loss == 0:
                self._last[member] = loss, int(row["step"]), 1
                self.since.pop(member, None)
                continue
            self._last[member] = before, since, times + 1
            if times + 1 >= ROWS:
                self.since[member] = since
