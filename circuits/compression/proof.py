"""Proofs of a pruning: sizes and scores before and after, as a table, in words and as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    import plotly.graph_objects as go


def before_and_after(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> pd.DataFrame:
    """A tidy table of a whole and a smaller network.

    Args:
        before: numbers of the whole network, by name; None where one is not known.
        after: those of the smaller network.

    Returns:
        ``component, site, index, metric, clean, changed, change``, a row per number.

    >>> before_and_after({"units": 8}, {"units": 5})[["metric", "clean", "changed", "change"]].to_dict("records")
    [{'metric': 'units', 'clean': 8.0, 'changed': 5.0, 'change': -3.0}]
    """
    names = [name for name in before if before[name] is not None]
    table = pd.DataFrame({
        "component": "network", "site": "", "index": range(len(names)), "metric": names,
        "clean": [before[n] for n in names], "changed": [after[n] for n in names],
    }).astype({"clean": float, "changed": float})  # fmt: skip
    return table.assign(change=table["changed"] - table["clean"])


def sizes_in_words(table: pd.DataFrame) -> dict[str, Any]:
    """``after of before`` for every metric of the table."""
    rows = zip(table["metric"], table["changed"], table["clean"], strict=True)
    return {str(metric): f"{changed:.6g} of {clean:.6g}" for metric, changed, clean in rows}


def shares_left(table: pd.DataFrame, names: Sequence[str]) -> go.Figure:
    """What is left of some metrics of the table, as shares of the whole network."""
    from interp.report import figures

    own = pd.DataFrame(table[table["metric"].isin([*names]) & (table["clean"] > 0)])
    return figures.bars(
        own["metric"].to_list(), own["changed"] / own["clean"], title="What is left of the network", x_title="",
        y_title="share left",
    )  # fmt: skip
