"""Rows of a table, group by group, in the order in which they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import pandas as pd


def grouped(rows: pd.DataFrame, columns: Sequence[str]) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The rows that agree in some columns, together.

    Args:
        rows: a table.
        columns: two or more.

    Yields:
        the columns' values, and the rows that have them.
    """
    for key, own in rows.groupby(list(columns), sort=False):
        yield cast(tuple[Any, ...], key), pd.DataFrame(own)
