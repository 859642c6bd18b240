"""Tables in a notebook: escaped, few rows, and a bar beside every effect."""

from __future__ import annotations

import html
import math
from collections.abc import Collection, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

ROWS = 12
POSITIVE, NEGATIVE = "#3b78c2", "#e07b39"  # blue and orange: told apart without red and green
ROUNDING = 1e-12  # of a column's largest number, below which a number is shown as 0
LEFT = "text-align:left"
EFFECTS = ("change", "difference", "effect", "recovered", "faithfulness_lost", "mean_square")


def number(value: Any, signed: bool = False) -> str:
    """A cell as text: four digits, thousands separated.

    Args:
        value: a number, or anything with a text.
        signed: write the plus as well.

    Returns:
        the text; empty for what is missing.

    >>> number(3.14159), number(12769), number(-0.00002), number(0.5, signed=True), number(float("nan"))
    ('3.142', '12,769', '-2e-05', '+0.5', '')
    """
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    if isinstance(value, float) or not float(value).is_integer():
        return "" if math.isnan(value) else f"{value:{'+' if signed and value else ''}.4g}"
    return f"{round(float(value)):{'+' if signed and value else ''},}"


def effects_of(frame: pd.DataFrame) -> list[str]:
    """Columns that hold an effect: changes, differences, recovered shares.

    Args:
        frame: any table.

    Returns:
        their names, in the frame's order.
    """
    from pandas.api.types import is_numeric_dtype  # a third of a second that a network without tables does not need

    named = [c for c in frame.columns if c in EFFECTS or str(c).endswith("_change")]
    return [str(c) for c in named if is_numeric_dtype(frame[c])]


def table(
    frame: pd.DataFrame, rows: int = ROWS, bars: Collection[str] | None = None, largest: bool = False,
    signed: Collection[str] = (),
) -> str:  # fmt: skip
    """A table as HTML; of a long one some rows, and how many there are.

    Args:
        frame: any table; its index is left out.
        rows: the most that are shown.
        bars: columns of effects, with their sign and a bar; by default those that `effects_of` finds.
        largest: of a long table, show the rows with the largest first effect instead of the first rows.
        signed: columns with their sign, without a bar, since their rows have different units.

    Returns:
        a ``table`` element, and ``12 of 56 rows`` below it.
    """
    import pandas as pd

    drawn = [b for b in (effects_of(frame) if bars is None else bars) if b in frame.columns]
    total, said = len(frame), ""
    plain = pd.DataFrame(frame).reset_index(drop=True)
    if total > rows:
        said = f"{rows:,} of {total:,} rows"
        if largest and drawn:
            size = pd.Series(plain[drawn[0]]).abs()
            order = size.sort_values(ascending=False, kind="stable", na_position="last")
            plain, said = plain.loc[order.index], f"{said}, largest {drawn[0].replace('_', ' ')} first"
        plain = plain.head(rows)
    reach = {name: _reach(pd.Series(frame[name])) for name in drawn}
    head = "".join(f'<th style="{LEFT}">{html.escape(str(c))}</th>' for c in plain.columns)
    body = "".join(
        "<tr>"
        + "".join(_cell(v, reach.get(str(c)), c in signed) for c, v in zip(plain.columns, row, strict=True))
        + "</tr>"
        for row in plain.itertuples(index=False, name=None)
    )
    below = f"<p><small>{html.escape(said)}</small></p>" if said else ""
    return f'<div style="overflow-x:auto"><table><tr>{head}</tr>{body}</table></div>{below}'


def pairs(values: Mapping[str, Any]) -> str:
    """Names and texts as a table of two columns."""
    rows = "".join(
        f'<tr><th style="{LEFT}">{html.escape(str(k))}</th><td style="{LEFT}">{html.escape(str(v))}</td></tr>'
        for k, v in values.items()
    )
    return f"<table>{rows}</table>" if rows else ""


def _reach(column: pd.Series) -> tuple[float, bool]:
    """The largest size in a column, and whether any number is negative."""
    finite = [float(v) for v in column if isinstance(v, Real) and math.isfinite(v)]
    return max((abs(v) for v in finite), default=0.0), any(v < 0 for v in finite)


def _cell(value: Any, reach: tuple[float, bool] | None, signed: bool) -> str:
    if reach is None:
        side = "right" if isinstance(value, Real) and not isinstance(value, bool) else "left"
        return (
            f'<td style="text-align:{side};font-variant-numeric:tabular-nums">{html.escape(number(value, signed))}</td>'
        )
    if isinstance(value, Real) and abs(float(value)) < ROUNDING * reach[0]:
        value = 0
    return (
        f'<td style="text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums">'
        f"{html.escape(number(value, signed=True))} {_bar(value, *reach)}</td>"
    )


def _bar(value: Any, largest: float, negative: bool) -> str:
    """A bar from the middle of its column, or from its left edge where nothing is negative."""
    share = 0.0
    if isinstance(value, Real) and math.isfinite(value) and largest > 0:
        share = float(value) / largest
    zero = 50.0 if negative else 0.0
    end = zero + share * (100.0 - zero)
    low, high = sorted((zero, end))
    colour = POSITIVE if share >= 0 else NEGATIVE
    stops = f"transparent {low:.1f}%,{colour} {low:.1f}%,{colour} {high:.1f}%,transparent {high:.1f}%"
    line = f"border-{'left' if not negative else 'bottom'}:1px solid rgba(128,128,128,.4)"
    return (
        f'<span style="display:inline-block;width:6em;height:.8em;vertical-align:middle;{line};'
        f'background:linear-gradient(90deg,{stops})"></span>'
    )
