"""The analysis ``sweeps``: how an image network's picture changes when its weights move, against null models.

It tells a fractured entangled representation (FER) from a unified factored representation (UFR): Kumar et al. 2025,
https://arxiv.org/abs/2505.11581.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from circuits.weight_sweeps.directions import Direction, random_directions, single_entries
from circuits.weight_sweeps.image_network import as_cppn
from circuits.weight_sweeps.image_sweep import SIZE, STEPS, matched_steps, sweep
from circuits.weight_sweeps.null_models import random_network, shuffled
from circuits.weight_sweeps.render import Renderer
from circuits.weight_sweeps.sweep_result import Score, Sweep, film
from interp.errors import require_range
from interp.hooked import HookedCPPN
from interp.pictures import Picture, sheet
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.subject import Subject

KINDS = ("single", "random")
SHOWN = ("antisymmetric_share", "change_rank_share", "roughness", "extent", "colour_share")
RANKS = (0.25, 0.5, 0.75, 1.0)  # of effect, at which films are shown
FEW = 10  # changes, below which a null model is not compared
EFFECT = 0.1  # root mean square of a change, at which networks are compared as well


@analysis(
    "sweeps",
    needs=("image",),
    summary="How the picture changes when weights move (FER or UFR), against null models",
    order=6,
    renamed={"nulls": "n_random"},
)
def sweeps(subject: Subject, *, n: int = 150, directions: int = 200, n_random: int = 2, size: int = SIZE) -> Result:
    """Weight sweeps: move single weights and random columns, and measure how symmetric and how diverse the changes are.

    In a unified factored representation (UFR) a weight moves both sides of a symmetric picture alike; in a fractured entangled
    one (FER) each side by itself (Kumar et al. 2025, https://arxiv.org/abs/2505.11581).

    Args:
        subject: of an image network.
        n: number of changes that are measured (of whole directions); only equal numbers compare.
        directions: number of directions of each kind; those that change nothing are left out.
        n_random: null models of each kind: the network with its weights shuffled, and random networks of its architecture.
        size: pixels along each edge.

    Returns:
        scores of the changes with intervals, for one step and at matched effect, and those of the null models; films.
    """
    ranges = (("n", n, 10), ("directions", directions, 5), ("n_random", n_random, 0), ("size", size, 16))
    for name, value, low in ranges:
        require_range(name, value, low, 100_000)
    model = as_cppn(subject)
    found = {kind: _sweep(model, kind, directions, size) for kind in KINDS}
    scores = {kind: s.scores(n) if s else {} for kind, s in found.items()}
    rows = [_row(subject.name, "", kind, "one step", s, n, scores[kind]) for kind, s in found.items()]
    for kind in KINDS:
        chosen, steps = matched_steps(model, _directions(model, kind, directions), EFFECT, size // 2)
        if chosen:
            rows.append(_row(subject.name, "", kind, f"matched effect {EFFECT}", sweep(model, chosen, steps, size), n))
    for name, make in (("shuffled", shuffled), ("random network", random_network)):
        for seed in range(n_random):
            null = make(model, seed)
            rows += [
                _row(subject.name, f"{name} {seed}", kind, "one step", _sweep(null, kind, directions, size), n)
                for kind in KINDS
            ]
    result = Result(lead="films")
    result.metrics = _metrics(found, scores)
    result.tables = {
        "scores": pd.DataFrame(rows),
        **{f"{kind} changes": s.rows for kind, s in found.items() if s is not None},
    }
    result.pictures = {"films": films(model, found)}
    result.figures["antisymmetric share"] = _scatter(found)
    result.headline = _headline(result.metrics, rows)
    result.notes.append(
        f"A sweep moves one weight (single: entries that are not 0) or a column along a random unit vector (random) by "
        f"{STEPS[0]:+g} and {STEPS[1]:+g}. Changes of mean square under 1e-4 are left out; medians over at most {n} changes "
        "of whole directions. Antisymmetric share: of the change of the picture, the part that changes sign under the left-right "
        "mirror (0: fully symmetric; 0.5: unrelated halves). Change rank: effective rank of the normalised changes as a share of "
        "their number. Intervals (95%): bootstrap over directions for medians, delete-a-tenth jackknife for the rank. Null "
        "models: each matrix's entries shuffled, and a random network of the same architecture. Films: steps grow to the right; "
        "rows are directions by rank of effect."
    )
    return result


def _directions(model: HookedCPPN, kind: str, n: int) -> list[Direction]:
    return single_entries(model, n=n) if kind == "single" else random_directions(model, n)


def _sweep(model: HookedCPPN, kind: str, n: int, size: int) -> Sweep | None:
    drawn = _directions(model, kind, n)
    return sweep(model, drawn, STEPS, size) if drawn else None


def _row(
    network: str, null: str, kind: str, at: str, found: Sweep | None, n: int, scores: Mapping[str, Score] | None = None
) -> dict[str, Any]:
    """A row of the table of scores; they are computed where none are given."""
    if scores is None:
        scores = found.scores(n) if found else {}
    row: dict[str, Any] = {
        "network": network, "null": null, "kind": kind, "at": at, "directions": len(found.directions) if found else 0,
        "changes": min(n, len(found.counted())) if found else 0,
    }  # fmt: skip
    for name in SHOWN:
        score = scores.get(name, Score(float("nan"), float("nan"), float("nan")))
        row |= {name: score.value, f"{name} low": score.low, f"{name} high": score.high}
    return row


def _metrics(found: dict[str, Sweep | None], scores: dict[str, dict[str, Score]]) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    for kind, one in found.items():
        for name in SHOWN:
            score = scores[kind].get(name)
            metrics[f"{kind}_{name}"] = score.value if score else None
            metrics[f"{kind}_{name}_interval"] = [score.low, score.high] if score else None
        counted = one.counted() if one else None
        metrics[f"{kind}_changes"] = 0 if counted is None else len(counted)
        metrics[f"{kind}_median_effect"] = (
            None if counted is None or counted.empty else float(np.median(counted["mean_square"].to_numpy()) ** 0.5)
        )
    return metrics


def films(model: HookedCPPN, found: dict[str, Sweep | None], size: int = 96) -> Picture:
    """Films of directions of both kinds at the same ranks of effect, one per row.

    Args:
        model: the image network.
        found: sweeps by kind.
        size: pixels along each edge of a picture.

    Returns:
        one sheet; the picture itself where nothing changes.
    """
    rows, tiles = [], []
    renderer = Renderer(model, size)
    for kind, one in found.items():
        if one is None or one.counted().empty:
            continue
        for rank in RANKS:
            i = one.by_effect(rank)
            strip = film(renderer, one.directions[i], [-1.0, -2 / 3, -1 / 3, 0.0, 1 / 3, 2 / 3, 1.0])
            tiles.append([strip])
            rows.append(f"{kind} {rank:.0%}")
    return sheet(tiles, rows=rows) if tiles else model.draw(size)


def _scatter(found: dict[str, Sweep | None]) -> go.Figure:
    figure = figures.lines({}, title="Every change: its size and its antisymmetric share",
                           x_title="root mean square of the change", y_title="antisymmetric share")  # fmt: skip
    for kind, one in found.items():
        if one is not None:
            rows = one.counted()
            figure.add_scatter(
                x=rows["mean_square"].to_numpy() ** 0.5, y=rows["antisymmetric_share"], name=kind, mode="markers",
                marker={"size": 5}, text=[f"{n} {s:+g}" for n, s in zip(rows["name"], rows["step"], strict=True)],
            )  # fmt: skip
    return figure.update_xaxes(type="log")


def _headline(metrics: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    names = {"single": "single weights", "random": "random directions"}
    parts = []
    for kind in KINDS:
        value = metrics[f"{kind}_antisymmetric_share"]
        if value is not None:
            shuffled_rows = [r for r in rows if r["null"].startswith("shuffled") and r["kind"] == kind]
            null = [r["antisymmetric_share"] for r in shuffled_rows if r["changes"] >= FEW]
            against = f", shuffled weights {np.median(null):.2f}" if null else ""
            if shuffled_rows and not null:
                against = ", with shuffled weights hardly any change"
            low, high = metrics[f"{kind}_antisymmetric_share_interval"]
            parts.append(f"{names[kind]} {value:.2f} [{low:.2f}, {high:.2f}]{against}")
    if not parts:
        return "No weight changes the picture"
    listed = "; ".join(parts)
    return f"Median antisymmetric share of output change: {listed} (0: fully symmetric; 0.5: unrelated halves)"


@sweeps.compares
def compared(results: Mapping[str, Result]) -> Result:
    """The scores of several networks with their intervals; networks differ where the intervals do not overlap.

    Args:
        results: of the analysis, by network.

    Returns:
        tables and figures of all networks, and in words how each differs from the first.
    """
    rows = []
    for name, result in results.items():
        for kind in KINDS:
            row: dict[str, Any] = {"network": name, "kind": kind, "changes": result.metrics[f"{kind}_changes"]}
            for score in SHOWN:
                row[score.replace("_", " ")] = _with_interval(result.metrics, f"{kind}_{score}")
            row["median effect"] = result.metrics[f"{kind}_median_effect"]
            rows.append(row)
    all_scores = pd.concat([r.tables["scores"].assign(network=n) for n, r in results.items()], ignore_index=True)
    (first, base), *others = [(n, r.metrics) for n, r in results.items()]
    verdicts = [_verdict(name, m, first, base) for name, m in others]
    return Result(
        tables={"scores": pd.DataFrame(rows), "scores with nulls": _legible(all_scores)},
        figures={"antisymmetric share": _intervals(results, "antisymmetric_share", "Antisymmetric share of the changes"),
                 "change rank": _intervals(results, "change_rank_share", "Rank of the changes, as a share of their number")},
        headline="; ".join(verdicts),
        notes=[
            "Higher, lower: the 95% intervals do not overlap; otherwise the two cannot be distinguished. A low antisymmetric "
            "share: both sides of the picture move alike, as in a unified factored representation (UFR). A low change rank: many "
            "weights do the same few things. Networks differ in how far one step moves them (median effect): compare the rows at "
            "matched effect in 'scores with nulls'."
        ],
    )  # fmt: skip


def _legible(scores: pd.DataFrame) -> pd.DataFrame:
    """A table of scores with each interval behind its value."""
    table = pd.DataFrame(scores[["network", "null", "kind", "at", "changes"]])
    for score in SHOWN:
        values = scores[[score, f"{score} low", f"{score} high"]].to_numpy(dtype=float)
        table[score.replace("_", " ")] = [
            "n/a" if np.isnan(v) else f"{v:.3g} [{low:.3g}, {high:.3g}]" for v, low, high in values
        ]
    return pd.DataFrame(table)


def _with_interval(metrics: Mapping[str, Any], name: str) -> str:
    if metrics[name] is None:
        return "n/a"
    low, high = metrics[f"{name}_interval"]
    return f"{metrics[name]:.3g} [{low:.3g}, {high:.3g}]"


def _verdict(name: str, own: Mapping[str, Any], first: str, base: Mapping[str, Any]) -> str:
    """What the intervals support, in words."""
    words_of = []
    for score, words in (("antisymmetric_share", "antisymmetric share"), ("change_rank_share", "change rank")):
        for kind in KINDS:
            key = f"{kind}_{score}"
            if own[key] is None or base[key] is None:
                words_of.append(f"{kind} {words} cannot be compared")
                continue
            (low, high), (base_low, base_high) = own[f"{key}_interval"], base[f"{key}_interval"]
            relation = "higher" if low > base_high else "lower" if high < base_low else "not distinguishable"
            words_of.append(f"{kind} {words} {relation} ({own[key]:.2f} to {base[key]:.2f})")
    return f"{name} against {first}: " + ", ".join(words_of)


def _intervals(results: Mapping[str, Result], score: str, title: str) -> go.Figure:
    """Every network's value with its interval, by kind of sweep."""
    figure = figures.lines({}, title=title, x_title="", y_title=score.replace("_", " "))
    for kind in KINDS:
        found = {n: r.metrics for n, r in results.items() if r.metrics[f"{kind}_{score}"] is not None}
        values = [m[f"{kind}_{score}"] for m in found.values()]
        bounds = [m[f"{kind}_{score}_interval"] for m in found.values()]
        figure.add_scatter(
            x=list(found), y=values, name=kind, mode="markers", marker={"size": 9},
            error_y={"type": "data", "symmetric": False, "array": [b[1] - v for b, v in zip(bounds, values, strict=True)],
                     "arrayminus": [v - b[0] for b, v in zip(bounds, values, strict=True)]},
        )  # fmt: skip
    return figure.update_yaxes(rangemode="tozero")
