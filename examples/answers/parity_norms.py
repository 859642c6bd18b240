"""Verdicts on the spectral norms of parity networks: where they bend, and where late weight decay leads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from answers.parity_tables import COMMAND, absent, table
from answers.spans import several, span
from claims import Claims, Verdict

RECIPE = 0.01  # the late weight decay that changes nothing: the recipe's own
FACTORS = (1.5, 2.0)  # how far from an event a bend may lie


def late_norms(
    claims: Claims, groups: Mapping[float, pd.DataFrame], fails: Sequence[float], ran: Mapping[str, float]
) -> None:
    """The norms at the end beside those at memorisation, where networks fail, and beside the recipe's where they do not.

    Args:
        groups: networks by late weight decay; fails: the values at which most of them do not generalise.
    """
    parts = {v: [groups[v][f"{name}_end"] / groups[v][f"{name}_memorised"] for name in "Wu"] for v in fails}
    lost = sum(int(ratio.isna().sum()) for ratio, _ in parts.values())
    left = {v: [float(ratio.max()) for ratio in pair] for v, pair in parts.items()}
    text = "Largest share of the norms at memorisation that is left at the end, W and u: "
    text += ", ".join(f"{w:.2g} and {u:.2g} at {v:g}" for v, (w, u) in left.items())
    holds: Verdict = several([max(pair) < 0.01 for pair in left.values()]) if left else False
    claims.answer(
        "late_norms", text, holds="undecided" if lost else holds, command=COMMAND, ran=ran,
        note=f"No checkpoint within an epoch before memorisation in {lost} networks" if lost else "",
    )  # fmt: skip
    kept = {v: rows.W_end.mean() / groups[RECIPE].W_end.mean() for v, rows in groups.items() if v not in fails}
    near = [0.75 <= share <= 1.25 for v, share in kept.items() if v != RECIPE]
    text = "W's norm at the end beside that at 0.01: " + ", ".join(f"{share:.2f} at {v:g}" for v, share in kept.items())
    claims.answer("late_norms_fitting", text, holds=several(near) if near else False, command=COMMAND, ran=ran)


def joints(x: ArrayLike, y: ArrayLike) -> tuple[int, int]:
    """The two checkpoints at which the best continuous fit of three straight lines bends, by least squares.

    Each checkpoint counts by the stretch of the axis around it, so that crowded ones do not count for more.
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    weights = np.sqrt(np.gradient(x))

    def misfit(pair: tuple[int, int]) -> float:
        parts = [np.ones_like(x), x, *(np.maximum(x - x[i], 0) for i in pair)]
        columns = np.stack(parts, 1) * weights[:, None]
        rest = y * weights - columns @ np.linalg.lstsq(columns, y * weights, rcond=None)[0]
        return float(rest @ rest)

    return min(combinations(range(1, len(x) - 1), 2), key=misfit)


def resolved(epochs: np.ndarray, event: float, factor: float) -> bool:
    """Whether the checkpoints next to an event on either side lie within a factor of it."""
    before, after = epochs[epochs <= event], epochs[epochs >= event]
    return bool(len(before) and len(after) and after[0] <= event * factor and before[-1] * factor >= event)


def bends(claims: Claims) -> None:
    """Where the norm of W bends, beside the epochs of memorisation and generalisation: in networks of the recipe."""
    networks, curves = (own[own["run"] == "parity_late"] for own in (table("networks"), table("curves")))
    if not len(networks) or not len(curves):
        absent(claims, ("norm_bends",), "parity_late")
        return
    own = networks[networks.late_weight_decay == RECIPE].set_index("seed")
    events = own[["memorised", "generalised"]]
    curves = curves[curves.late_weight_decay == RECIPE].sort_values("epoch")
    lines = [curves[curves.seed == seed] for seed in own.index]
    fine = {
        factor: all(
            resolved(line.epoch.to_numpy(), event, factor)
            for line, both in zip(lines, events.to_numpy(), strict=True)
            for event in both
        )
        for factor in FACTORS
    }
    later = [line[line.epoch > 0] for line in lines]  # log epochs
    places = np.array([line.epoch.to_numpy()[list(joints(np.log(line.epoch), line.W))] for line in later])
    away = np.abs(np.log(places / events.to_numpy()))
    found: dict[str, Verdict] = {
        f"a factor of {factor:g}": several((away <= np.log(factor)).all(axis=0).tolist())
        if fine[factor]
        else "undecided"
        for factor in FACTORS
    }
    text = f"memorised at epoch {span(own.memorised)}, generalised at {span(own.generalised)}; "
    text += f"the norm bends at {span(places[:, 0])} and at {span(places[:, 1])}"
    ran = {"epochs": int(own["epochs"].min()), "seeds": len(own)}
    paces = [
        np.diff(np.interp([0, event, 2 * event], line.epoch, line.W)) / event
        for line, event in zip(lines, own.memorised, strict=True)
    ]
    before, after = (span(-pace) for pace in np.transpose(paces))
    note = f"Per epoch the norm falls by {before} until memorisation and by {after} in as many epochs after it"
    claims.answer("norm_bends", text, holds=found, note=note, command=COMMAND, ran=ran)
