"""The analysis ``sweeps`` of an image network: how its picture changes when its weights move, against null models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch

from circuits.analyses.sweep_scores import KINDS, metrics_of, scores_row
from circuits.claims.unified import PICTURE, sweep_claims
from circuits.weight_sweeps.change_measures import antisymmetric_share
from circuits.weight_sweeps.directions import Direction, random_directions, single_entries
from circuits.weight_sweeps.image_network import as_cppn
from circuits.weight_sweeps.image_sweep import STEPS, matched_steps, sweep
from circuits.weight_sweeps.null_models import random_network, shuffled
from circuits.weight_sweeps.render import Renderer
from circuits.weight_sweeps.sweep_result import Sweep, film
from interp.hooked import HookedCPPN
from interp.pictures import Picture, sheet
from interp.plugins.analysis import Result
from interp.report import figures
from interp.subject import Subject

SHOWN = ("antisymmetric_share", "change_rank_share", "roughness", "extent", "colour_share")
RANKS = (0.25, 0.5, 0.75, 1.0)  # of effect, at which films are shown
FEW = 10  # changes, below which a null model is not compared
UNEVEN = 0.2  # antisymmetric share of a picture, above which it has no left-right symmetry to keep
DTYPE = torch.float32  # of the pictures; scores of float64 agree to five digits
EFFECT = 0.1  # root mean square of a change, at which networks are compared as well


def of_picture(subject: Subject, n: int, directions: int, n_random: int, size: int) -> Result:
    """Weight sweeps of an image network.

    Args:
        subject: of an image network.
        n: number of changes that are measured, of whole directions.
        directions: number of directions of each kind.
        n_random: null models of each kind.
        size: pixels along each edge.

    Returns:
        scores of the changes with intervals, for one step and at matched effect, and those of the null models; films.
    """
    model = as_cppn(subject).cast(DTYPE)
    found = {kind: _sweep(model, kind, directions, size) for kind in KINDS}
    scores = {kind: s.scores(n) if s else {} for kind, s in found.items()}
    rows = [scores_row(SHOWN, subject.name, "", kind, "one step", s, n, scores[kind]) for kind, s in found.items()]
    for kind in KINDS:
        chosen, steps = matched_steps(model, _directions(model, kind, directions), EFFECT, size // 2)
        if chosen:
            rows.append(
                scores_row(
                    SHOWN, subject.name, "", kind, f"matched effect {EFFECT}", sweep(model, chosen, steps, size), n
                )
            )
    for name, make in (("shuffled", shuffled), ("random network", random_network)):
        for seed in range(n_random):
            null = make(model, seed)
            rows += [
                scores_row(
                    SHOWN, subject.name, f"{name} {seed}", kind, "one step", _sweep(null, kind, directions, size), n
                )
                for kind in KINDS
            ]
    result = Result(lead="films")
    result.metrics = metrics_of(SHOWN, found, scores)
    result.tables = {
        "scores": pd.DataFrame(rows),
        **{f"{kind} changes": s.rows for kind, s in found.items() if s is not None},
    }
    result.pictures = {"films": films(model, found)}
    result.figures["antisymmetric share"] = _scatter(found)
    result.headline = _headline(result.metrics, rows)
    picture = Renderer(model, size).base
    uneven = float(antisymmetric_share(picture - picture.mean((-2, -1), keepdim=True)))
    result.metrics["picture_antisymmetric_share"] = uneven
    asked = PICTURE if uneven <= UNEVEN else PICTURE[1:]
    if uneven > UNEVEN:
        result.notes.append(
            f"The picture itself is not symmetric (antisymmetric share {uneven:.2f}, above {UNEVEN}), so that of its changes "
            "says nothing of a unified representation."
        )
    result.claims = sweep_claims(pd.DataFrame(rows), asked, [*result.figures, *result.pictures])
    result.notes.append(
        f"A sweep moves one weight (single: entries that are not 0) or a column along a random unit vector (random) by "
        f"{STEPS[0]:+g} and {STEPS[1]:+g}. Changes of mean square under 1e-4 are left out; medians over at most {n} changes "
        "of whole directions. Antisymmetric share: of the change of the picture, the part that changes sign under the left-right "
        "mirror (0: fully symmetric; 0.5: unrelated halves). Change rank: effective rank of the normalised changes as a share of "
        "their number. Intervals (95%): bootstrap over directions for medians, delete-a-tenth jackknife for the rank. Null "
        "models: each matrix's entries shuffled, and a random network of the same architecture. Films: steps grow to the right; "
        "rows are directions by rank of effect. Pictures are drawn in float32."
    )
    return result


def _directions(model: HookedCPPN, kind: str, n: int) -> list[Direction]:
    return single_entries(model, n=n) if kind == "single" else random_directions(model, n)


def _sweep(model: HookedCPPN, kind: str, n: int, size: int) -> Sweep | None:
    drawn = _directions(model, kind, n)
    return sweep(model, drawn, STEPS, size) if drawn else None


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
