"""Quantities of a table in a file: CSV, TSV, or JSON."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any, Literal

import numpy as np

from interp._util.schema import short
from interp.errors import InterpError
from interp.verification.material import Material
from interp.verification.quantity import quantity
from interp.verification.selected import cell, column, rows_where, where_in_words
from interp.verification.table_file import NUMBER

Statistic = Literal["sum", "mean", "median", "min", "max", "unique"]
Where = Mapping[str, Any] | None


@quantity("table.rows", summary="number of rows, all or those that meet conditions", order=30, reads="file")
def rows(material: Material, *, row: Where = None, header: bool = True) -> int:
    """Rows where columns have given values, or lie above or below a number (``row = { rating = { above = 0 } }``)."""
    return len(rows_where(material.table(header), row))


@quantity("table.columns", summary="names of the columns", order=31, reads="file")
def columns(material: Material, *, header: bool = True) -> list[str]:
    """Names of the columns, or their numbers from 1 where the table has no header."""
    return [str(name) for name in material.table(header).columns]


@quantity("table.value", summary="a cell, or a column of several rows", order=32, reads="file")
def value(material: Material, *, column: str, row: Where = None, header: bool = True) -> Any:
    """The value of a column in the row that meets the conditions."""
    return cell(material.table(header), row, column)


@quantity(
    "table.statistic",
    summary="sum, mean, median, min, max or number of different values of a column",
    order=33,
    reads="file",
)
def statistic(
    material: Material, *, column: str, statistic: Statistic = "mean", row: Where = None, header: bool = True
) -> Any:
    """One number about a column, over the rows that meet the conditions; missing values are left out."""
    return _statistic(material, column, statistic, row, header)


def _statistic(material: Material, name: str, statistic: Statistic, row: Where, header: bool) -> Any:
    values = column(rows_where(material.table(header), row), name).dropna()
    if statistic == "unique":
        return int(values.nunique())
    numbers = values.tolist()
    if not numbers or not all(isinstance(value, Real) for value in numbers):
        every = column(material.table(header), name).dropna().tolist()
        texts = [v for v in (*numbers, *every) if not (isinstance(v, Real) or NUMBER.fullmatch(str(v)))]
        if texts:
            raise InterpError(f"the column {name} holds {short(texts[0])}, which is not a number")
        raise InterpError(f"the column {name} holds no numbers in these rows")
    if all(isinstance(value, int) for value in numbers) and statistic in ("sum", "mean"):
        total = sum(numbers)  # exact; sums of 64 bits wrap round
        return total if statistic == "sum" else total / len(numbers)
    if statistic in ("min", "max"):
        return (min if statistic == "min" else max)(map(_number, numbers))
    return getattr(values.astype("float64"), statistic)()


def _number(value: Real) -> Any:
    return int(value) if isinstance(value, bool) else value


@quantity("table.share", summary="share of rows that meet conditions, 0 to 1", order=34, reads="file")
def share(material: Material, *, row: Where = None, of: Where = None, header: bool = True) -> float:
    """The share of the rows ``of`` (all by default) that meet the conditions ``row`` as well."""
    among = rows_where(material.table(header), of)
    if not len(among):
        raise InterpError(f"no row of the table has {where_in_words(of)}")
    return len(rows_where(among, row)) / len(among)


@quantity("table.latin_square", summary="the order of a Latin square; an error if it is none", order=35, reads="file")
def latin_square(material: Material) -> int:
    """Number of rows of a table without header in which every row and every column holds 0 .. n - 1 once."""
    table = material.table(header=False).to_numpy()
    n = len(table)
    order = np.arange(n)
    square = table.shape == (n, n) and table.dtype.kind in "iu"
    if not square or not ((np.sort(table, 0) == order[:, None]).all() and (np.sort(table, 1) == order).all()):
        raise InterpError(f"{material.file} is no Latin square: a row or column repeats a number, or it is not square")
    return n
