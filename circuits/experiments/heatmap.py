"""Heat maps of effects: sites (and heads or units) from top to bottom, positions from left to right."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from interp.report import figures

WORDS = {"pos": "position"}  # what an axis is called in a figure, where that is not its name
ACROSS = ("pos", "operand", "query", "unit", "head")  # the first of them that a table has runs across


def heat_map(effects: pd.DataFrame, column: str, title: str | None = None) -> go.Figure:
    """One column of a table of cells as a heat map.

    Args:
        effects: with ``site`` and a column per distinguished axis, as `patch` and `attribute` return.
        column: what is drawn.
        title: says what is drawn by default.

    Returns:
        a plotly figure.
    """
    across = next((a for a in ACROSS if a in effects), None)
    down = [a for a in ("head", "unit", "query", "operand") if a in effects and a != across]
    table = effects.copy()
    table["row"] = [_label(row, down) for row in table.to_dict("records")]
    rows = list(dict.fromkeys(table["row"]))
    columns = sorted(table[across].dropna().unique()) if across else [""]
    place = table[across] if across else pd.Series([""] * len(table))
    values = {(r, c): v for r, c, v in zip(table["row"], place, table[column], strict=True)}
    grid = [[values.get((r, c), float("nan")) for c in columns] for r in rows]
    metric = effects.attrs.get("metric", "")
    named = WORDS.get(across or "", across)
    return figures.heatmap(
        grid,
        title=title
        or f"{column.replace('_', ' ').capitalize()} ({metric}) by {f'site and {named}' if named else 'site'}",
        x=[str(int(c)) if c != "" else "" for c in columns],
        y=rows,
        x_title=named or "",
        y_title="",
        unit=column.replace("_", " "),
        diverging=True,
        height=max(340, 120 + 15 * len(rows)),  # every row has its label
    )


def _label(row: dict, down: list[str]) -> str:
    parts = [f"{a} {int(row[a])}" for a in down if row[a] == row[a]]
    return " ".join([str(row["site"]).replace("blocks.", "").replace("hook_", ""), *parts])
