"""How far the shards of a run are, read from their folders, and how long the rest takes."""

from __future__ import annotations

import itertools
import json
import os
import time
from pathlib import Path

from interp._util.estimate import duration
from interp._util.progress_context import tick
from interp.training.plan import Plan

EVERY = 2.0  # seconds between two looks
TAIL = 1 << 16  # bytes at the end of a table of metrics that hold its last whole row


class Estimate:
    """Tells the watcher of `interp._util.progress_context` how far a run in shards is.

    Args:
        folder: of the shards.
        plan: of the whole run.

    Attributes:
        done: members whose shards are finished.
    """

    def __init__(self, folder: Path, plan: Plan):
        self._folder, self._plan, self.done = folder, plan, 0
        self._began = self._last = time.monotonic()
        self._at_start = -1.0

    def tell(self) -> None:
        """Look at the folders, unless that was just done, and tell."""
        now = time.monotonic()
        if now - self._last < EVERY:
            return
        self._last = now
        members, share = self._stands()
        if self._at_start < 0:
            self._at_start = share  # a resumed run has had steps before
        gained = share - self._at_start
        left = f", about {duration((now - self._began) * (1 - share) / gained)} left" if gained > 0 else ""
        tick(f"{self.done:,} of {members:,} members done, {share:.0%} of the steps{left}", self.done, members)

    def _stands(self) -> tuple[int, float]:
        """All members, and the share of their steps that is made."""
        bounds = json.loads((self._folder / "division.json").read_text())
        total, share = bounds[-1], 0.0
        for first, last in itertools.pairwise(bounds):
            step = last_step(self._folder / f"{first:06d}" / "metrics.jsonl")
            share += (last - first) * min(step / self._plan.steps, 1)
        return total, share / total


def last_step(path: Path) -> int:
    """The step of the last whole row of a table of metrics; 0 where there is none.

    Args:
        path: of ``metrics.jsonl``, which another process may be writing.

    Returns:
        the step.
    """
    try:
        with open(path, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            rows = file.read().split(b"\n")[:-1]  # what follows the last line feed is not whole
    except FileNotFoundError:
        return 0
    return int(json.loads(rows[-1])["step"]) if rows else 0
