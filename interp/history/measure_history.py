"""The result of measuring a run: a tidy table, and everything that a reader should know about its gaps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

TYPES = {"step": "int64", "member": "int64", "measure": "str", "where": "str", "value": "float64"}
COLUMNS = pd.Index(list(TYPES))


def empty_frame() -> pd.DataFrame:
    """A table without rows, in the columns and types of every other."""
    return pd.DataFrame(columns=COLUMNS).astype(TYPES)


@dataclass
class MeasureHistory:
    """Measures of one network over its checkpoints.

    Attributes:
        frame: ``step, member, measure, where, value``, one row per number.
        options: by measure, as they were used.
        skipped: by measure: why it does not apply.
        unreadable: by step: why the checkpoint could not be read.
        errors: by measure: the first step at which it failed, and the error.
        nonfinite: steps whose weights contain NaN or infinity.
        notes: further sentences for the reader.
        computed: number of (checkpoint, measure) pairs computed now.
        cached: number of pairs taken from the cache.
        member: which network of the run.
    """

    frame: pd.DataFrame = field(default_factory=empty_frame)
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    unreadable: dict[int, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    nonfinite: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    computed: int = 0
    cached: int = 0
    member: int = 0

    def fill(self, rows: list[tuple[int, int, str, str, float]]) -> None:
        """Set the table from rows in the order of its columns."""
        self.frame = pd.DataFrame(rows, columns=COLUMNS).astype(TYPES)
