"""Reviews and their labels from CSV and TSV files, with or without a row of column names."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from interp.errors import InterpError, UnknownName, UnreadableFile, unknown
from interp.tasks.files import FileKey

MOST_BYTES = 2**30
TEXT_NAMES = ("review", "text", "sentence", "comment", "content", "phrase")
LABEL_NAMES = ("sentiment", "label", "rating", "score", "target", "polarity")
WORDS = {"positive": 1, "pos": 1, "negative": 0, "neg": 0}

Column = str | int | None


class Rated(NamedTuple):
    """Texts, and whether each is positive (1) or negative (0)."""

    texts: Sequence[str]
    labels: tuple[int, ...]


class Cells(NamedTuple):
    """A table of texts: the names of its columns, the row of the file (from 1) of every row, and the columns."""

    names: list[str]
    rows: list[int]
    columns: list[list[str]]


@lru_cache(maxsize=4)
def read_reviews(key: FileKey, text_column: Column, label_column: Column) -> Rated:
    """Every review of a file.

    Args:
        key: of the file.
        text_column: of the reviews, by name or number from 1; None to guess.
        label_column: of the labels, by name or number from 1; None to guess.

    Returns:
        Texts and labels.

    Raises:
        UnreadableFile: no such file, no labels of two classes, or a cell that is not a label; its row is named.
        UnknownName: no such column.
    """
    cells = _read(key, text_column, label_column)
    text = _named(cells, text_column, TEXT_NAMES, key.path, "text_column")
    if text is None:
        text = _longest(cells)
    if "" in cells.columns[text]:
        row = cells.rows[cells.columns[text].index("")]
        raise UnreadableFile(f"{key.path}, row {row}: the column of reviews, {cells.names[text]!r}, is empty")
    label = _named(cells, label_column, LABEL_NAMES, key.path, "label_column")
    if label is None:
        label = _guess_label(cells, text, key.path)
    labels = to_labels(cells.columns[label], cells.rows, f"{key.path}, column {cells.names[label]!r}")
    return Rated(tuple(cells.columns[text]), tuple(labels))


def to_labels(cells: list[str], rows: list[int], where: str) -> list[int]:
    """Labels from words, from 0 and 1, or from numbers of both signs (positive above 0).

    Args:
        cells: the texts of a column.
        rows: their rows in the file, for messages.
        where: the file and the column, for messages.

    Returns:
        1 for positive and 0 for negative.

    Raises:
        UnreadableFile: something else; its row is named.

    >>> to_labels(["pos", "Negative"], [1, 2], "here"), to_labels(["-1.5", "0", "2"], [1, 2, 3], "here")
    ([1, 0], [0, 0, 1])
    """
    lowered = [cell.strip().lower() for cell in cells]
    if lowered[0] in WORDS:
        return [WORDS[_require(word in WORDS, word, row, where)] for word, row in zip(lowered, rows, strict=True)]
    numbers = [float(_require(_is_number(cell), cell, row, where)) for cell, row in zip(lowered, rows, strict=True)]
    if min(numbers) >= 0:
        for number, cell, row in zip(numbers, lowered, rows, strict=True):
            _require(number in (0, 1), cell, row, where)
    return [int(number > 0) for number in numbers]


def _require(good: bool, cell: str, row: int, where: str) -> str:
    if not good:
        raise UnreadableFile(
            f"{where}, row {row}: {cell!r} is not a label: use 0 and 1, positive and negative, pos and neg, or numbers of "
            "both signs (positive above 0)"
        )
    return cell


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _read(key: FileKey, *given: Column) -> Cells:
    """All cells as texts, and the names of the columns: their numbers if the file has no names."""
    import pandas as pd  # half a second that only reviews need

    text = _decode(key)
    separator = _separator(Path(key.path), text.partition("\n")[0])
    # reviews in TSV files hold stray quotes; fields in CSV files are quoted
    quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL
    try:
        frame = pd.read_csv(
            io.StringIO(text), sep=separator, header=None, dtype=str, quoting=quoting, keep_default_na=False,
            skip_blank_lines=False,
        )  # fmt: skip
    except (ValueError, csv.Error) as error:  # pandas' own errors are subclasses of these
        reason = "is empty" if isinstance(error, pd.errors.EmptyDataError) else f"is not a table ({str(error).strip()})"
        raise UnreadableFile(f"{key.path}: {reason}; it must hold reviews with their labels") from None
    # a row that is shorter than the first lacks cells
    records = [(row, cells) for row, cells in enumerate(frame.fillna("").to_numpy().tolist(), start=1) if any(cells)]
    if not records:
        raise UnreadableFile(f"{key.path}: is empty; it must hold reviews with their labels")
    first = [cell.strip() for cell in records[0][1]]
    known = {*TEXT_NAMES, *LABEL_NAMES, *(name.lower() for name in given if isinstance(name, str))}
    if known.isdisjoint(name.lower() for name in first):
        return _to_columns(key.path, [str(i) for i in range(1, len(first) + 1)], records)
    return _to_columns(key.path, first, records[1:])


def _to_columns(path: str, names: list[str], records: list[tuple[int, list[str]]]) -> Cells:
    if not records:
        raise UnreadableFile(f"{path}: holds no reviews, only names of columns")
    if len(names) < 2:
        raise UnreadableFile(
            f"{path}: has only one column; reviews and labels must be two, separated by commas or tabs"
        )
    return Cells(
        names, [row for row, _ in records], [list(column) for column in zip(*(c for _, c in records), strict=True)]
    )


def _decode(key: FileKey) -> str:
    if key.size > MOST_BYTES:
        raise UnreadableFile(f"{key.path}: has {key.size:,} bytes; at most {MOST_BYTES:,} are read")
    try:
        return Path(key.path).read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise UnreadableFile(f"{key.path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UnreadableFile(f"{key.path}, line {line}: is not UTF-8; convert the file to UTF-8 first") from None


def _separator(path: Path, first_line: str) -> str:
    if path.suffix.lower() in (".tsv", ".tab") or "\t" in first_line:
        return "\t"
    return ";" if ";" in first_line and "," not in first_line else ","


def _named(cells: Cells, given: Column, usual: tuple[str, ...], path: str, option: str) -> int | None:
    """The column that the user names (or numbers, from 1), else the one with a usual name, else None."""
    names = [name.lower() for name in cells.names]
    if given is None:
        return next((names.index(name) for name in usual if name in names), None)
    if str(given).lower() in names:
        return names.index(str(given).lower())
    if isinstance(given, int) and 1 <= given <= len(names):
        return given - 1
    raise UnknownName(f"{path}: {option}: " + unknown("column", given, cells.names))


def _longest(cells: Cells) -> int:
    lengths = [sum(map(len, column)) for column in cells.columns]
    return lengths.index(max(lengths))


def _guess_label(cells: Cells, text: int, path: str) -> int:
    """The one other column that can be read as labels of two classes."""
    fitting = []
    for index, column in enumerate(cells.columns):
        try:
            if index != text and len(set(to_labels(column, cells.rows, path))) == 2:
                fitting.append(index)
        except InterpError:  # not labels: another column
            continue
    if len(fitting) != 1:
        found = "no column" if not fitting else " and ".join(repr(cells.names[i]) for i in fitting)
        raise UnreadableFile(f"{path}: {found} can be read as labels of two classes; give label_column=NAME or NUMBER")
    return fitting[0]
