"""Tables in files, read so that no value is guessed: CSV, TSV, and JSON."""

from __future__ import annotations

import csv
import io
import math
import re
from typing import Any

import pandas as pd

from interp.errors import UnreadableFile
from interp.verification.written import Written

DELIMITED = (".csv", ".tsv")
MISSING = ("", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "null", "NULL", "None")  # in a column of numbers
WHOLE = re.compile(r"\s*[+-]?\d{1,4000}\s*")
NUMBER = re.compile(r"\s*[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?)\s*", re.IGNORECASE)
TRUTH = {"true": True, "false": False}


def parse_delimited(text: str, tabs: bool, header: bool, file: str, written: bool = False) -> pd.DataFrame:
    r"""A table of a CSV or TSV file. A column is of numbers, of true and false, or of texts: never of two kinds.

    Args:
        text: of the file; in a TSV file quotes are letters like others.
        tabs: whether tabs separate values, not commas.
        header: whether the first row names the columns; else they are called 1, 2, ...
        file: for messages.
        written: whether decimals are `Written`; a whole number among them is one, and exact.

    Returns:
        the table, with the names of its columns as they stand there, even if one stands twice.

    Raises:
        UnreadableFile: empty, rows of different lengths, or a quote that does not end.

    >>> parse_delimited("x,kind\n1,None\n2,a\n", False, True, "t.csv").to_numpy().tolist()
    [[1, 'None'], [2, 'a']]
    """
    rows = _rows(text, tabs, file)
    if not rows:
        raise UnreadableFile(f"{file} is not a table: it is empty")
    names = rows.pop(0) if header else [str(i + 1) for i in range(len(rows[0]))]
    columns = {i: _column([row[i] for row in rows], written) for i in range(len(names))}
    return pd.DataFrame(columns, index=range(len(rows))).set_axis(names, axis=1)


def _rows(text: str, tabs: bool, file: str) -> list[list[str]]:
    """All rows but blank ones, of one length: a shorter one is a file that was cut off, a longer one a comma too many."""
    how: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tabs else {"strict": True}
    before = csv.field_size_limit(max(len(text), 1))
    reader, found = csv.reader(io.StringIO(text, newline=""), **how), []
    try:
        for row in filter(None, reader):
            if found and len(row) != len(found[0]):
                raise UnreadableFile(
                    f"{file} is not a table: line {reader.line_num} has {len(row)} values, the first one {len(found[0])}, with "
                    f"{'tabs' if tabs else 'commas'} between them; mend that line, or copy the file again"
                )
            found.append(row)
    except csv.Error as error:
        raise UnreadableFile(f"{file} is not a table: line {reader.line_num}: {error}, within quotes") from None
    finally:
        csv.field_size_limit(before)
    return found


def _column(texts: list[str], written: bool) -> pd.Series:
    """The values of a column as what all of them are."""
    given = [text for text in texts if text not in MISSING]
    if given and len(given) == len(texts) and all(map(WHOLE.fullmatch, given)):
        return _whole([int(text) for text in texts])
    if given and all(map(NUMBER.fullmatch, given)):
        if written:
            return pd.Series([math.nan if text in MISSING else as_written(text) for text in texts], dtype="object")
        return pd.Series([math.nan if text in MISSING else float(text) for text in texts], dtype="float64")
    if given and all(text.strip().lower() in TRUTH for text in given):
        found = [None if text in MISSING else TRUTH[text.strip().lower()] for text in texts]
        return pd.Series(found, dtype="bool" if len(given) == len(texts) else "object")
    return pd.Series([text if text else None for text in texts], dtype="object")


def as_written(text: str) -> float:
    """A number of a text (`NUMBER`) that remembers its digits; a whole one is exact."""
    return int(text) if WHOLE.fullmatch(text) else Written(text.strip())


def _whole(values: list[int]) -> pd.Series:
    """Whole numbers, also those of more than 64 bits."""
    small = all(-(2**63) <= value < 2**63 for value in values)
    return pd.Series(values, dtype="int64" if small else "object")


def from_json(value: Any, file: str, written: bool = False) -> pd.DataFrame:
    """A table of a JSON file: a list of objects, or an object of lists of one length.

    Args:
        value: of the file.
        file: for messages.
        written: whether values stay as they are, decimals as `Written`.

    Returns:
        the table; what an object of the list lacks is missing.

    Raises:
        UnreadableFile: another form.
    """
    rows = isinstance(value, list) and all(isinstance(row, dict) for row in value)
    lists = list(value.values()) if isinstance(value, dict) else []
    columns = bool(lists) and all(isinstance(column, list) for column in lists)
    if columns and len({len(column) for column in lists}) > 1:
        raise UnreadableFile(f"{file} is not a table: its lists have different lengths")
    if not (rows or columns):
        raise UnreadableFile(
            f"{file} is not a table: JSON tables are a list of objects, or an object of lists; a single value is "
            'quantity = "recorded"'
        )
    return pd.DataFrame(value, dtype=object if written else None)
