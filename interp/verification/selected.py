"""Rows and cells of a table, as claims choose them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from interp._util.schema import short
from interp.errors import InterpError, UnknownName, nearest, unknown

CONDITIONS: dict[str, Callable[[Any, Any], Any]] = {
    "above": operator.gt, "at_least": operator.ge, "below": operator.lt, "at_most": operator.le, "is_not": operator.ne,
}  # fmt: skip


def rows_where(table: pd.DataFrame, where: Mapping[str, Any] | None) -> pd.DataFrame:
    """The rows that meet all conditions.

    Args:
        table: any.
        where: by column a value, or conditions such as ``{"above": 0}`` (`CONDITIONS`); None: all rows. A missing value
            meets ``is_not`` alone.

    Returns:
        the rows.

    Raises:
        UnknownName: no such column or condition.
        InterpError: a condition of another kind than the column's values, such as a text for numbers; or none.

    >>> table = pd.DataFrame({"phase": ["a", "b", "b"], "x": [1, 2, 3]})
    >>> rows_where(table, {"phase": "b", "x": {"above": 2}})["x"].tolist()
    [3]
    """
    for name, wanted in (where or {}).items():
        values = column(table, name)
        conditions = wanted if isinstance(wanted, Mapping) else {"is": wanted}
        if not conditions:
            raise InterpError(
                f"the column {name} has no condition; write {name} = VALUE, or one of {', '.join(CONDITIONS)}"
            )
        kept = pd.Series(True, index=values.index)
        for condition, value in conditions.items():
            if condition not in CONDITIONS and condition != "is":
                raise UnknownName(unknown("condition", condition, CONDITIONS))
            _comparable(values, name, value)
            try:
                met = values == value if condition == "is" else CONDITIONS[condition](values, value)
            except TypeError:
                raise InterpError(f"the column {name} cannot be compared with {value!r}") from None
            kept &= met.fillna(False).astype(bool)
        table = pd.DataFrame(table[kept.to_numpy()])
    return table


def _kind(value: Any) -> str:
    """What a cell or a condition holds, in words."""
    if isinstance(value, (bool, np.bool_)):
        return "true or false"
    return "numbers" if isinstance(value, Real) else "texts" if isinstance(value, str) else f"a {type(value).__name__}"


def _comparable(values: pd.Series, name: str, wanted: Any) -> None:
    """Refuse a condition of another kind than all values of the column: it would be met by no row, or by every one."""
    kinds = {"iuf": "numbers", "b": "true or false"}
    held = next((words for letters, words in kinds.items() if values.dtype.kind in letters), None)
    found = {held} if held else {_kind(value) for value in values.dropna().tolist()}
    kind = _kind(wanted)
    if kind.startswith("a "):
        raise InterpError(f"{name}: a row is chosen by a number, a text, true or false, not by {kind}")
    if found and kind not in found:
        quotes = "without" if isinstance(wanted, str) else "in"
        held = " and ".join(sorted(map(str, found)))
        raise InterpError(
            f"the column {name} holds {held}, and {short(wanted)} is none: write the value {quotes} quotes"
        )


def column(table: pd.DataFrame, name: str) -> pd.Series:
    """A column by its name, or an error with the nearest names."""
    if not name:
        raise InterpError(f"no column is named: write column = ..., one of {', '.join(map(str, table.columns[:20]))}")
    places = [i for i, one in enumerate(table.columns) if str(one) == name]
    if not places:
        raise UnknownName(unknown("column", name, map(str, table.columns)))
    if len(places) > 1:
        raise InterpError(f"{len(places)} columns are called {name}; rename one in a copy of the table")
    return pd.Series(table.iloc[:, places[0]])


def cell(table: pd.DataFrame, where: Mapping[str, Any] | None, name: str) -> Any:
    """The value of a column in the one row that meets the conditions; a list where several rows do.

    Args:
        table: any.
        where: as in `rows_where`.
        name: of the column.

    Returns:
        the value, or the values in the order of the rows.

    Raises:
        InterpError: no row, or no value in it.
    """
    found = column(rows_where(table, where), name).tolist()
    if not found:
        raise InterpError(f"no row of the table has {where_in_words(where)}{_near(table, where)}")
    if len(found) == 1 and pd.api.types.is_scalar(found[0]) and pd.isna(found[0]):
        raise InterpError(f"the column {name} has no value in that row")
    return found[0] if len(found) == 1 else found


def where_in_words(where: Mapping[str, Any] | None) -> str:
    """The conditions of `rows_where`, for a message."""
    return (
        ", ".join(f"{name} = {short(wanted)}" for name, wanted in (where or {}).items()) or "any value: it has no rows"
    )


def _near(table: pd.DataFrame, where: Mapping[str, Any] | None) -> str:
    """The texts that look most like one that no row has."""
    for name, wanted in (where or {}).items():
        held = {value for value in column(table, name).tolist() if isinstance(value, str)}
        if isinstance(wanted, str) and wanted not in held and (close := nearest(wanted, sorted(held))):
            return f"; did you mean {' or '.join(map(short, close))}?"
    return ""
