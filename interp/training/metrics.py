"""``metrics.jsonl`` as a table, read again only when the file has changed."""

from __future__ import annotations

import itertools
from pathlib import Path

import pandas as pd

from interp.checkpoints.run_files import ROW, read_rows

ROWS = 20_000  # that are held as dicts at once, which take ten times what their numbers take


class MetricsFile:
    """The measurements of a run: one JSON object per line, in a file that grows while the run trains.

    Args:
        path: the file; it need not exist yet.
    """

    def __init__(self, path: Path):
        self.path = path
        self._read: tuple[tuple[int, int], pd.DataFrame] | None = None

    def table(self) -> pd.DataFrame:
        """One row per step and member, with a column for every key; without rows as long as there is no file.

        The table is kept, and used again while size and modification time of the file stay the same.

        Returns:
            a copy: changing it changes nothing here.

        Raises:
            UnreadableFile: a line that is not a row; the message has its number.
        """
        try:
            state = self.path.stat()
        except FileNotFoundError:
            return pd.DataFrame(columns=["step", "member"])
        key = state.st_mtime_ns, state.st_size
        if self._read is None or self._read[0] != key:
            self._read = key, self._parsed()
        return self._read[1].copy()

    def _parsed(self) -> pd.DataFrame:
        rows, parts = read_rows(self.path, whole=True), list[pd.DataFrame]()
        while some := list(itertools.islice(rows, ROWS)):
            parts.append(_typed(pd.DataFrame(some)))
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["step", "member"])


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    numbers = [name for name, kind in ROW.items() if kind is not int and name in table]
    return table.astype(dict.fromkeys(numbers, "float64"))  # a column of nulls too
