"""Rows and cells of a table, as claims choose them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from interp.errors import InterpError, UnknownName, unknown

CONDITIONS: dict[str, Callable[[Any, Any], Any]] = {
    "above": operator.gt, "at_least": operator.ge, "below": operator.lt, "at_most": operator.le, "is_not": operator.ne,
}  # fmt: skip


def rows_where(table: pd.DataFrame, where: Mapping[str, Any] | None) -> pd.DataFrame:
    """The rows that meet all conditions.

    Args:
        table: any.
        where: by column a value, or conditions such as ``{"above": 0}`` (`CONDITIONS`); None: all rows.

    Returns:
        the rows.

    Raises:
        UnknownName: no such column or condition.
        InterpError: a condition that the column's values cannot meet, such as a text below a number.

    >>> table = pd.DataFrame({"phase": ["a", "b", "b"], "x": [1, 2, 3]})
    >>> rows_where(table, {"phase": "b", "x": {"above": 2}})["x"].tolist()
    [3]
    """
    for name, wanted in (where or {}).items():
        values = column(table, name)
        conditions = wanted if isinstance(wanted, Mapping) else {"is": wanted}
        for condition, value in conditions.items():
            try:
                kept = values == value if condition == "is" else CONDITIONS[condition](values, value)
            except KeyError:
                raise UnknownName(unknown("condition", condition, CONDITIONS)) from None
            except TypeError:
                raise InterpError(f"the column {name} cannot be compared with {value!r}") from None
            table, values = pd.DataFrame(table[kept]), pd.Series(values[kept])
    return table


def column(table: pd.DataFrame, name: str) -> pd.Series:
    """A column by its name, or an error with the nearest names."""
    by_text = {str(c): c for c in table.columns}
    if name not in by_text:
        raise UnknownName(unknown("column", name, by_text))
    return pd.Series(table[by_text[name]])


def cell(table: pd.DataFrame, where: Mapping[str, Any] | None, name: str) -> Any:
    """The value of a column in the one row that meets the conditions; a list where several rows do.

    Args:
        table: any.
        where: as in `rows_where`.
        name: of the column.

    Returns:
        the value, or the values in the order of the rows.

    Raises:
        InterpError: no row.
    """
    found = column(rows_where(table, where), name).tolist()
    if not found:
        raise InterpError(f"no row of the table has {dict(where or {})}")
    return found[0] if len(found) == 1 else found
