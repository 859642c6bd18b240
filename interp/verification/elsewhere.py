"""A published value that stands in a file of the authors': under a path, or in a cell of a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from interp._util.schema import short
from interp.errors import InterpError
from interp.verification.material import Material
from interp.verification.recorded_values import value_at
from interp.verification.selected import cell
from interp.verification.table_file import DELIMITED, NUMBER, as_written

CELL = '{ file = "results.csv", column = "test_loss", row = { step = 4000 } }'


def _finite(value: Any) -> bool:
    if isinstance(value, (list, tuple, Mapping)):
        return all(map(_finite, value.values() if isinstance(value, Mapping) else value))
    return not isinstance(value, float) or math.isfinite(value)


@dataclass(frozen=True)
class Elsewhere:
    """Where the value stands.

    Attributes:
        file: relative to the folder.
        key: where in it, as a dotted path; empty for all of it, and for the words of a text file.
        column: of a table.
        row: which of its rows, as in `interp.verification.selected.rows_where`; the values of several are a list.
        header: whether the table's first row names the columns; else they are called 1, 2, ...
    """

    file: str
    key: str = ""
    column: str = ""
    row: Mapping[str, Any] | None = None
    header: bool = True

    def __str__(self) -> str:
        rows = ", ".join(f"{name} = {short(wanted)}" for name, wanted in (self.row or {}).items())
        place = self.key or self.column + (f" where {rows}" if rows else "")
        return f"in {self.file}" + (f": {place}" if place else "")

    @property
    def unclear(self) -> str:
        """What keeps it from naming one place; empty if nothing does."""
        if self.key and self.column:
            return "key leads into JSON, text files and checkpoints, column into tables: give one of the two"
        if not self.column and (self.file.lower().endswith(DELIMITED) or self.row is not None or not self.header):
            return f"column is missing; a cell of a table is {CELL}"
        return ""

    def read(self, material: Material) -> Any:
        """The value.

        Args:
            material: the file.

        Returns:
            the value; decimals remember how they were written.

        Raises:
            InterpError: it is not there, or no finite number.
        """
        if self.column:
            found = cell(material.table(self.header, written=True), self.row, self.column)
        else:
            found = value_at(material, self.key)
            if self.file.lower().endswith(".txt") and isinstance(found, str) and NUMBER.fullmatch(found):
                found = as_written(found)
        if not _finite(found):
            raise InterpError(f"the published number is missing or infinite {self}")
        return found
