"""``metrics.jsonl`` as a table, read again only when the file has changed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from interp.errors import UnreadableFile


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
            UnreadableFile: a line that is not JSON.
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
        try:
            return pd.DataFrame(pd.read_json(self.path, lines=True, precise_float=True))
        except ValueError as error:
            raise UnreadableFile(f"{self.path} is damaged ({error}); cut it off after the last whole line") from None
