"""Tables of a page: their first rows as HTML, and as many more as fit for the search and the clipboard."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
from markupsafe import Markup

from interp.plugins.result import format_metric

ROWS_SHOWN = 12
ROWS_KEPT = 2000  # of one table that are in the page
CHARACTERS = 400_000  # of one table


def table_html(table: pd.DataFrame, rows: int | None = ROWS_SHOWN) -> Markup:
    """The first rows of a table as HTML, or all of them; pandas escapes the cells."""
    shown = (table if rows is None else table.head(rows)).map(_cell)
    return Markup(shown.to_html(index=False, border=0, escape=True, na_rep="n/a"))


def table_entry(name: str, label: str, file: str, table: pd.DataFrame, rows: int = ROWS_SHOWN) -> dict[str, Any]:
    """A table as the template shows it.

    Args:
        name: its id on the page.
        label: what a reader sees.
        file: its CSV file beside the page.
        table: the table.
        rows: shown at first.

    Returns:
        ``html`` of the first rows, ``cells`` of as many as the page keeps, where these are more, and what names it.
    """
    cells = _cells(table) if len(table) > rows else None
    return {
        "id": name,
        "label": label,
        "file": file,
        "rows": len(table),
        "html": table_html(table, rows),
        "cells": cells,
    }


def table_data(entries: list[dict[str, Any]]) -> Markup:
    """The cells of all tables of a page, compressed with gzip and written in base64; nothing where all are shown."""
    cells = {entry["id"]: entry["cells"] for entry in entries if entry["cells"] is not None}
    return Markup(packed(json.dumps(cells, separators=(",", ":")))) if cells else Markup("")


def packed(text: str) -> str:
    """A text compressed with gzip, in base64."""
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _cells(table: pd.DataFrame) -> list[list[str]]:
    rows, characters = [], 0
    for row in table.head(ROWS_KEPT).itertuples(index=False, name=None):
        texts = [_text(value) for value in row]
        characters += sum(map(len, texts))
        if characters > CHARACTERS:
            break
        rows.append(texts)
    return rows


def _text(value: Any) -> str:
    """What pandas writes into a cell of `table_html`."""
    shown = _cell(value)
    return "n/a" if shown is None or (not isinstance(shown, (list, tuple, Mapping)) and shown is pd.NA) else str(shown)


def _cell(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return "NaN" if value != value else format_metric(value)
