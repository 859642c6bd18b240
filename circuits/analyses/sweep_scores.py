"""Scores of weight sweeps as rows of a table, as metrics, and compared between networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from circuits.weight_sweeps.scored import Score, ScoredSweep
from interp.plugins.analysis import Result
from interp.report import figures

KINDS = ("single", "random")
NAN = float("nan")
FACTORS = ("factor_kind", "factors", "expected_factors")
COUNTED_IN = {
    "input_factors": FACTORS,
    "output_factors": FACTORS,
    "equivariant_share": ("symmetry", "expected_equivariant_share"),
}  # what a score is counted in, by the metrics that say so: networks compare where these agree
NULLS = {
    "shuffled": "x-thin-open",
    "random network": "circle-open",
    "step": "square-open",
}  # as they begin, and their symbols


def scores_row(
    shown: Sequence[str], network: str, null: str, kind: str, at: str, found: ScoredSweep | None, n: int,
    scores: Mapping[str, Score] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A row of the table of scores.

    Args:
        shown: which scores.
        network: its name.
        null: the null model's name; empty for the network itself.
        kind: of directions.
        at: at which step.
        found: the sweep; None where there was no direction.
        n: changes that are measured at most.
        scores: of the sweep; computed where none are given.

    Returns:
        values with the ends of their intervals, NaN where there are none.
    """
    if scores is None:
        scores = found.scores(n) if found else {}
    row: dict[str, Any] = {
        "network": network, "null": null, "kind": kind, "at": at, "directions": len(found.directions) if found else 0,
        "changes": min(n, len(found.counted())) if found else 0,
    }  # fmt: skip
    for name in shown:
        score = scores.get(name, Score(NAN, NAN, NAN))
        row |= {name: score.value, f"{name} low": score.low, f"{name} high": score.high}
    return row


def metrics_of(
    shown: Sequence[str], found: Mapping[str, ScoredSweep | None], scores: Mapping[str, Mapping[str, Score]]
) -> dict[str, Any]:
    """Scores and their intervals by kind and name, ``single_extent`` and ``single_extent_interval``.

    Args:
        shown: which scores.
        found: sweeps by kind.
        scores: by kind.

    Returns:
        None where there is no score.
    """
    metrics: dict[str, Any] = {}
    for kind, one in found.items():
        for name in shown:
            score = scores[kind].get(name)
            metrics[f"{kind}_{name}"] = score.value if score else None
            metrics[f"{kind}_{name}_interval"] = [score.low, score.high] if score else None
        counted = one.counted() if one else None
        metrics[f"{kind}_changes"] = 0 if counted is None else len(counted)
        metrics[f"{kind}_median_effect"] = (
            None if counted is None or counted.empty else float(np.median(counted["mean_square"].to_numpy()) ** 0.5)
        )
    return metrics


def comparable(score: str, own: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether a score of two networks is counted in the same units: the same factors, the same symmetry.

    Args:
        score: its name.
        own: metrics of one network.
        other: of the other.

    Returns:
        False for networks of tasks with other factors, or with another symmetry: 2 of 3 frequencies are not fewer than 9 of
        255 Walsh functions.

    >>> comparable("equivariant_share", {"symmetry": "a swap"}, {"symmetry": "a mirror"})
    False
    """
    pairs = [(own.get(name), other.get(name)) for name in COUNTED_IN.get(score, ())]
    return all(math.isclose(a, b) if isinstance(a, float) and isinstance(b, float) else a == b for a, b in pairs)


def compared_scores(results: Mapping[str, Result], leading: Sequence[str]) -> Result:
    """The scores of several networks with their intervals; networks differ where the intervals do not overlap.

    Args:
        results: of the analysis, by network.
        leading: the scores that are drawn and put in words, most telling first; those that no network has are left out.

    Returns:
        tables and figures of all networks, and in words how each differs from the first.
    """
    names = list(dict.fromkeys(
        key.removesuffix("_interval").removeprefix(f"{kind}_")
        for result in results.values() for key in result.metrics for kind in KINDS
        if key.startswith(f"{kind}_") and key.endswith("_interval")
    ))  # fmt: skip
    rows = []
    for network, result in results.items():
        for kind in KINDS:
            row: dict[str, Any] = {
                "network": network,
                "kind": kind,
                "changes": result.metrics.get(f"{kind}_changes", 0),
            }
            row |= {name.replace("_", " "): _with_interval(result.metrics, f"{kind}_{name}") for name in names}
            row["median effect"] = result.metrics.get(f"{kind}_median_effect")
            rows.append(row)
    every = pd.concat([r.tables["scores"].assign(network=n) for n, r in results.items()], ignore_index=True)
    said = [s for s in leading if any(r.metrics.get(f"{k}_{s}") is not None for r in results.values() for k in KINDS)]
    (first, base), *others = [(n, r.metrics) for n, r in results.items()]
    return Result(
        tables={"scores": pd.DataFrame(rows), "scores with nulls": _legible(every, names)},
        figures={score.replace("_", " "): _intervals(results, score) for score in said},
        headline="; ".join(_verdict(name, metrics, first, base, said[:2]) for name, metrics in others),
    )


def _legible(scores: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """A table of scores with each interval behind its value."""
    table = pd.DataFrame(scores[["network", "null", "kind", "at", "changes"]])
    for score in (s for s in names if s in scores):
        values = scores[[score, f"{score} low", f"{score} high"]].to_numpy(dtype=float)
        table[score.replace("_", " ")] = [
            "n/a" if np.isnan(v) else f"{v:.3g} [{low:.3g}, {high:.3g}]" for v, low, high in values
        ]
    return pd.DataFrame(table)


def _with_interval(metrics: Mapping[str, Any], name: str) -> str:
    if metrics.get(name) is None:
        return "n/a"
    low, high = metrics[f"{name}_interval"]
    return f"{metrics[name]:.3g} [{low:.3g}, {high:.3g}]"


def _verdict(name: str, own: Mapping[str, Any], first: str, base: Mapping[str, Any], said: Sequence[str]) -> str:
    """What the intervals support, in words."""
    words_of = []
    for score in said:
        words = (
            score.removesuffix("_share").replace("_", " ") if score == "change_rank_share" else score.replace("_", " ")
        )
        for kind in KINDS:
            key = f"{kind}_{score}"
            if own.get(key) is None or base.get(key) is None or not comparable(score, own, base):
                words_of.append(f"{kind} {words} cannot be compared")
                continue
            (low, high), (base_low, base_high) = own[f"{key}_interval"], base[f"{key}_interval"]
            relation = "higher" if low > base_high else "lower" if high < base_low else "not distinguishable"
            words_of.append(f"{kind} {words} {relation} ({_number(own[key])} to {_number(base[key])})")
    return f"{name} against {first}: " + ", ".join(words_of)


def _number(value: float) -> str:
    """Two decimals, or two digits of what is smaller than a tenth."""
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


def _intervals(results: Mapping[str, Result], score: str) -> go.Figure:
    """Every network's value with its interval, by kind of sweep, and beside it what its null models have."""
    words = score.replace("_", " ")
    figure = figures.lines({}, title=f"{words.capitalize()} of the changes", x_title=words, y_title="")
    places: list[str] = []
    for i, kind in enumerate(KINDS):
        found = {n: r.metrics for n, r in results.items() if r.metrics.get(f"{kind}_{score}") is not None}
        values = [m[f"{kind}_{score}"] for m in found.values()]
        bounds = [m[f"{kind}_{score}_interval"] for m in found.values()]
        rows = [f"{name}, {kind}" for name in found]
        places += rows
        color, _, symbol = figures.look(i)
        figure.add_scatter(
            x=values, y=rows, name=kind, mode="markers", marker={"size": 9, "color": color, "symbol": symbol},
            error_x={"type": "data", "symmetric": False, "array": [b[1] - v for b, v in zip(bounds, values, strict=True)],
                     "arrayminus": [v - b[0] for b, v in zip(bounds, values, strict=True)]},
        )  # fmt: skip
    nulls = [null for n, r in results.items() for null in _nulls(n, r, score)]
    for name, symbol in NULLS.items():
        own = [(place, value) for null, place, value in nulls if null.startswith(name) and place in places]
        if own:
            figure.add_scatter(
                x=[v for _, v in own], y=[place for place, _ in own], name=f"null: {name}", mode="markers",
                marker={"size": 8, "color": figures.GREY, "symbol": symbol},
            )  # fmt: skip
    figure.update_layout(height=190 + 30 * len(places))
    figure.update_yaxes(categoryorder="array", categoryarray=places[::-1])
    return figure.update_xaxes(rangemode="tozero")


def _nulls(network: str, result: Result, score: str) -> list[tuple[str, str, float]]:
    """Name, row of the figure and value of every null model that was measured at one step."""
    table = result.tables.get("scores")
    if table is None or score not in table or "null" not in table:
        return []
    rows = table[(table["null"] != "") & (table["at"] == "one step") & table[score].notna()]
    return [
        (str(null), f"{network}, {kind}", float(value))
        for null, kind, value in zip(rows["null"], rows["kind"], rows[score], strict=True)
    ]
