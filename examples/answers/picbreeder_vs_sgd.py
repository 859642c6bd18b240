"""Answers about the twins of the evolved skull and butterfly, from the tables that long_runs/skull_twins.py measures."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from answers.tables import MEASURED
from answers.twin_rows import (
    COMMAND,
    RUNS,
    THRESHOLDS,
    Rows,
    caveats,
    cell,
    drawn,
    interval,
    paired,
    size,
    tables,
)

if TYPE_CHECKING:
    from claims import Claims

STARTS = {
    "starts_width1": "width 1", "starts_width2": "width 2", "starts_width4": "width 4",
    "starts_width4_warm": "width 4 with 100 steps of warm-up", "starts_width4_slow": "width 4 with learning rate 1e-3",
    "starts_gaussian": "Gaussian units held", "starts_gaussian_warm": "Gaussian units held with 100 steps of warm-up",
    "starts_gaussian_slow": "Gaussian units held with learning rate 1e-3 and warm-up",
}  # fmt: skip
DECAYS = {"decay 1e-3": 1e-3, "decay 1e-4": 1e-4}  # of wider networks the source gives 1e-4 for one curve, else none
OTHERS = {  # what the source says, and nobody can count
    "categorical": "Whether a change is one of category is a judgement; extent and antisymmetric share are measured instead",
    "complicated": "Which feature is too complicated is a judgement; symmetry and units in use are measured instead",
    "partitions": "A result of another paper, on classifiers: a picture has no decision boundary, and the source draws none",
}


def answer(claims: Claims) -> None:
    """Answer every claim that rests on the tables.

    Args:
        claims: of picbreeder_vs_sgd.
    """
    rows = Rows(claims, tables())
    of_files(rows)
    of_units(rows)
    of_maps_and_sweeps(rows)
    of_losses(rows)


def of_files(rows: Rows) -> None:
    """Facts about the published networks."""
    sgd = rows.published.loc["skull"]
    for name, own, said in (("units_unregularised", sgd, 235), ("units_evolved", rows.evolved, 130)):
        counts = {f"threshold {threshold:g}": int(own[f"used_{threshold:g}"]) for threshold in THRESHOLDS}
        here = ", ".join(f"{n} at {choice}" for choice, n in counts.items())
        counts["units that vary"] = int(own["active"])
        here += f"; {own['active']:.0f} vary at all"
        holds = {choice: abs(n / said - 1) <= 0.1 for choice, n in counts.items()}
        note = f"Of {int(own['total'])} slots"
        note += f"; {int(own['copies'])} that vary only carry a value on" if own["copies"] else ""
        rows.claims.answer(name, here, holds=holds, note=note, command=COMMAND)
    layers = rows.tables["layers"]
    here = "; ".join(f"{first} at {least:g}" for least, (first, _) in rows.like_evolved.items())
    holds = {f"likeness {least:g}": there for least, (_, there) in rows.like_evolved.items()}
    rows.claims.answer("skull_features_evolved", here, holds=holds, command=COMMAND)
    found = rows.bases(layers[layers["variant"] == "published SGD"])["variance"].unstack("basis")
    here = "; ".join(
        f"{picture}: components {r['components']:.0%}, singular {r['singular']:.0%}, units {r['units']:.0%}"
        for (picture, _), r in found.iterrows()  # type: ignore[misc]
    )
    more = bool((found["components"] > found["units"]).all() and (found["singular"] > found["units"]).all())
    note = "Share of the variance that symmetric features hold, mean over layers"
    rows.claims.answer("bases_published", here, holds=more, note=note, command=COMMAND)


def of_units(rows: Rows) -> None:
    """Units in use."""
    twins = rows.twins
    one, two, four = (partial(cell, twins, "plain", width) for width in (1, 2, 4))
    decay = ("with 1e-3", "without")
    rows.fewer("units_decay", {"": (one(1e-3), one(0.0))}, decay, "skull_64")
    pixels = (cell(twins, decay=1e-3, batch=True), cell(twins, decay=0.0, batch=True))
    rows.fewer("units_decay_pixels", {"": pixels}, decay, "skull_random_pixels")
    butterfly = (cell(twins, decay=1e-3, picture="butterfly"), cell(twins, decay=0.0, picture="butterfly"))
    rows.fewer("units_decay_butterfly", {"": butterfly}, decay, "butterfly_64")
    strong = ("with 1e-2", "with 1e-3")
    rows.fewer("units_decay_strong", {"": (one(1e-2), one(1e-3))}, strong, RUNS["plain", 1])
    wider = {told: (two(d), one(d)) for told, d in DECAYS.items()}
    rows.fewer("units_wider", wider, ("at width 2", "at width 1"), f"{RUNS['plain', 1]}, {RUNS['plain', 2]}")
    rows.at_most("units_wider_evolved", {told: two(d) for told, d in DECAYS.items()}, RUNS["plain", 2])
    widest, runs = ("at width 4", "at width 2"), f"{RUNS['plain', 4]}, {RUNS['plain', 2]}"
    rows.fewer("units_width4", {"": (four(1e-3), two(1e-3))}, widest, runs, 1.0)
    adjusted = {"": cell(twins, "gaussian-adjusted", 4, 1e-3)}
    rows.at_most("units_gaussian", adjusted, RUNS["gaussian-adjusted", 4])
    relu = (cell(twins, "relu", 1, 0.0), one(0.0))
    rows.fewer("units_relu", {"": relu}, ("ReLU", "plain"), f"{RUNS['relu', 1]}, skull_64")
    _starts(rows)
    _gaussians(rows)


def _starts(rows: Rows) -> None:
    """Which starts draw anything after 300 steps."""
    table = pd.read_csv(MEASURED / "twin_starts.csv")
    table["drawn"], table["dead"] = table["train_loss"] < 0.1, table["dead_since"].notna()
    here = [
        f"{STARTS[str(run)]}: {own['drawn'].sum()} of {len(own)} draw, {own['dead'].sum()} dead"
        for run, own in table.groupby("run")
    ]
    own = table[table["run"] == "starts_width4"]
    draw = own.groupby("weight_decay")["drawn"].sum()
    holds = True if (draw >= 9).all() else False if (draw <= 1).all() else "undecided"
    ran = {"steps": int(own["step"].min()), "seeds": own["seed"].nunique()}
    note = "Dead: every pixel is clipped, and the gradient is 0"
    rows.claims.answer(
        "starts_width4", "; ".join(here), holds=holds, note=note,
        command="python examples/long_runs/evidence.py twin_starts", ran=ran,
    )  # fmt: skip


def _gaussians(rows: Rows) -> None:
    own, twins = cell(rows.tables["units"], width=4, decay=1e-3), cell(rows.twins, width=4, decay=1e-3)
    if own.empty or twins.empty:
        for name in ("gaussians_all", "gaussians_preferred"):
            rows.not_run(name, RUNS["plain", 4])
        return
    here, every, most = [], {}, {}
    for threshold in THRESHOLDS:
        at = own[np.isclose(own["threshold"], threshold, rtol=1e-6, atol=0) & (own["activation"] != "all")]
        share = (at["used"] / at["total"]).groupby([at["seed"], at["activation"]]).mean().unstack()
        here.append(
            ", ".join(f"{kind} {share[kind].min():.0%} to {share[kind].max():.0%}" for kind in share)
            + f" in use (threshold {threshold:g})"
        )
        others, choice = share.drop(columns="gaussian").max(axis=1), f"threshold {threshold:g}"
        every[choice], most[choice] = bool((share["gaussian"] == 1).all()), bool((share["gaussian"] > others).all())
    for name, holds in (("gaussians_all", every), ("gaussians_preferred", most)):
        rows.claims.answer(name, "; ".join(here), holds=holds, note=caveats(twins), command=COMMAND, ran=size(twins))


def of_maps_and_sweeps(rows: Rows) -> None:
    """Likeness, symmetry, sweeps."""
    twins, layers = rows.twins, rows.tables["layers"]
    adjusted = cell(twins, "gaussian-adjusted", 4, 1e-3)
    if adjusted.empty:
        rows.not_run("skull_features", RUNS["gaussian-adjusted", 4])
        rows.not_run("symmetric_gaussian", RUNS["gaussian-adjusted", 4])
    else:
        here, holds = [], {}
        for least, (own, there) in rows.faces(cell(layers, "gaussian-adjusted", 4, 1e-3)).items():
            shown, seen = rows.like_evolved[least]
            here.append(f"{own} at {least:g}, evolved {shown}")
            holds[f"likeness {least:g}"] = there if seen else "undecided"
        note = "Where the evolved network has none in these layers either, the measure does not see what the source saw"
        note = "; ".join(filter(None, [note, caveats(adjusted)]))
        rows.claims.answer(
            "skull_features", "; ".join(here), holds=holds, note=note, command=COMMAND, ran=size(adjusted)
        )
        here = (
            f"{interval(100 * adjusted['symmetric_share'])}% symmetric, evolved {rows.evolved['symmetric_share']:.0%}"
        )
        symmetric, note = bool((adjusted["symmetric_share"] > 0.5).all()), caveats(adjusted)
        rows.claims.answer("symmetric_gaussian", here, holds=symmetric, note=note, command=COMMAND, ran=size(adjusted))
    one, two, four = (partial(cell, twins, "plain", width) for width in (1, 2, 4))
    runs = f"skull_64, {RUNS['plain', 2]}"
    wider = {told: (two(d), one(0.0)) for told, d in DECAYS.items()}
    rows.nearer("sweeps_improve", wider, ("at width 2 with decay", "at width 1 without"), runs)
    rows.nearer("sweeps_decay", {"": (one(1e-3), one(0.0))}, ("with 1e-3", "without"), "skull_64")
    _dead(rows, four(1e-3), one(0.0))
    for name, basis in (("components_meaningful", "components"), ("singular_meaningful", "singular")):
        _symmetric_basis(rows, name, basis)
    for name, why in OTHERS.items():
        rows.claims.answer(name, "", holds=None, note=why, command=COMMAND)


def _dead(rows: Rows, wide: pd.DataFrame, narrow: pd.DataFrame) -> None:
    if wide.empty or narrow.empty or paired(wide, narrow)[0].empty:
        rows.not_run("dead_sweeps", f"skull_64, {RUNS['plain', 4]}")
        return
    one, other = paired(wide, narrow)
    here, holds = [], {}
    for least in ("0.0001", "1e-06"):
        column = f"random_dead_{least}"
        here.append(
            f"{interval(100 * one[column])}% at width 4, {interval(100 * other[column])}% at width 1 below {least}"
        )
        apart = (one[f"{column}_low"] > other[f"{column}_high"]) & (one[column] >= 0.25)
        holds[f"below {least}"] = bool(apart.all())
    note, ran = caveats(wide, narrow), size(one, other)
    rows.claims.answer("dead_sweeps", "; ".join(here), holds=holds, note=note, command=COMMAND, ran=ran)


def _symmetric_basis(rows: Rows, name: str, basis: str) -> None:
    twins = cell(rows.twins, width=2, decay=1e-3)
    if twins.empty:
        rows.not_run(name, RUNS["plain", 2])
        return
    found = rows.bases(cell(rows.tables["layers"], width=2, decay=1e-3))
    here, holds = [], {}
    name_of = {"components": "components", "singular": "singular directions"}[basis]
    for choice in ("variance", "number"):
        share = found[choice].unstack("basis")
        pairs = ", ".join(f"{own[basis]:.0%} and {own['units']:.0%}" for _, own in share.iterrows())
        here.append(f"symmetric {name_of} and units hold {pairs} of the {choice}, twin by twin")
        holds[choice] = bool((share[basis] > share["units"]).all())
    rows.claims.answer(name, "; ".join(here), holds=holds, note=caveats(twins), command=COMMAND, ran=size(twins))


def of_losses(rows: Rows) -> None:
    """Errors and late drops of the loss."""
    twins = rows.twins
    own = cell(twins, decay=0.0)
    if own.empty:
        rows.not_run("twin_error", "skull_64")
    else:
        here = f"{own['mse'].mean():.1e} on the pixels trained on ({own['mse'].min():.1e} to {own['mse'].max():.1e}); "
        here += f"on the whole picture {own['mse_256'].mean():.1e}"
        note = f"The published twin: {rows.published.loc['skull', 'mse_256']:.1e} on the whole picture"
        reached = bool((own["mse"] <= 1.25 * 3.9e-4).all())
        rows.claims.answer("twin_error", here, holds=reached, note=note, command=COMMAND, ran=size(own))
    rows.drops("late_drop", cell(twins, width=2, decay=1e-4), most=False, runs="skull_64_width2_decay4")
    others = twins[twins["run"].str.contains("_") & ~twins["run"].str.contains("width2_decay4")]
    others = drawn(others[others["steps"] == others["steps"].max()])
    rows.drops("late_drop_twins", others, most=True, runs="skull_64 and the others")
