"""How many examples each member trains and is tested on, and how many of the latter its split lets it learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import pandas as pd

from interp._util.schema import fits
from interp.errors import UnreadableFile
from interp.tasks import Task
from interp.training.plan import Plan


@dataclass(frozen=True)
class Counts:
    """Numbers of examples.

    Attributes:
        train_n: to train on.
        test_n: to test on.
        test_reachable: those of them that can be learnt, see `Task.unseen_indices`.
    """

    train_n: int
    test_n: int
    test_reachable: int

    @classmethod
    def of(cls, task: Task) -> Counts:
        """The counts of a task."""
        test = len(task.test_indices)
        return cls(len(task.train_indices), test, test - len(task.unseen_indices))


def counts_of(plan: Plan) -> list[Counts]:
    """The counts of every member of a plan; members of the same data are counted once."""
    tasks = [plan.member_task(i) for i in range(len(plan.members))]
    found: dict[str, Counts] = {}
    for task in tasks:
        if (key := task.spec()) not in found:
            found[key] = Counts.of(task)
    return [found[task.spec()] for task in tasks]


def write_counts(counts: Sequence[Counts] | None) -> list[list[int]] | None:
    """The counts as ``run.json`` holds them: of every member, or once for all; None where they are not known."""
    if counts is None:
        return None
    rows = [list(astuple(one)) for one in counts]
    return rows[:1] if all(row == rows[0] for row in rows) else rows


def read_counts(rows: Any, members: int) -> list[Counts] | None:
    """The counts that `write_counts` made.

    Args:
        rows: from ``run.json``.
        members: of the run.

    Returns:
        the counts of every member; None where an older version stored none.

    Raises:
        UnreadableFile: something else.
    """
    if rows is None:
        return None
    whole = fits(rows, list[list[int]]) and len(rows) in (1, members)
    if not whole or not all(len(row) == 3 and min(row) >= 0 for row in rows):
        raise UnreadableFile(f"examples must be three whole numbers for each of the {members} members, or once for all")
    found = [Counts(*row) for row in rows]
    return found * members if len(found) == 1 else found


def table(counts: Sequence[Counts]) -> pd.DataFrame:
    """A row per member."""
    return pd.DataFrame([vars(one) for one in counts], index=pd.RangeIndex(len(counts), name="member"))
