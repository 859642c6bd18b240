"""Tables as CSV that a spreadsheet shows and never computes: texts that would be read as formulas are quoted."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

FORMULA = re.compile(r"[=+\-@\t\r]")
NUMBER = re.compile(r"[+-]?(\d[\d_]*\.?\d*|\.\d+)([eE][+-]?\d+)?%?|[+-]?(inf|infinity|nan)", re.IGNORECASE)


def csv_text(table: pd.DataFrame) -> str:
    """A table as CSV, without its index.

    A cell or heading that begins with ``=``, ``+``, ``-``, ``@``, tab or carriage return is a formula to Excel and
    LibreOffice; such texts may come out of a stranger's checkpoint. An apostrophe before them makes them text.
    https://owasp.org/www-community/attacks/CSV_Injection

    Args:
        table: numbers stay as they are, also as texts.

    Returns:
        the CSV.

    >>> print(csv_text(pd.DataFrame({"name": ["=HYPERLINK(1)", "-0.5", "L0H1"], "x": [-1.5, 2, 3]})), end="")
    name,x
    '=HYPERLINK(1),-1.5
    -0.5,2.0
    L0H1,3.0
    """
    plain = pd.DataFrame({i: _column(table.iloc[:, i]) for i in range(table.shape[1])}, index=table.index)
    return plain.to_csv(index=False, header=[quoted(str(name)) for name in table.columns])


def _column(column: pd.Series) -> pd.Series:
    return column if column.dtype.kind in "fiubcmM" else column.map(quoted)


def quoted(cell: Any) -> Any:
    """A cell; a text that a spreadsheet would take for a formula, with an apostrophe before it.

    Args:
        cell: of a table.

    Returns:
        the cell.

    >>> quoted("@SUM(A1)"), quoted("-1e-3"), quoted("-x"), quoted(-2)
    ("'@SUM(A1)", '-1e-3', "'-x", -2)
    """
    text = cell if isinstance(cell, str) else str(cell) if isinstance(cell, (list, tuple)) else ""
    if FORMULA.match(text) and not NUMBER.fullmatch(text):
        cell = f"'{text}"
    # a carriage return, which the writer does not quote, would begin a new row
    return cell.replace("\r\n", "\n").replace("\r", "\n") if isinstance(cell, str) else cell
