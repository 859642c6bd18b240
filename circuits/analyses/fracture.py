"""The analysis ``fracture``: which units carry each factor, in how many groups, and how many factors each unit carries."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from circuits.analyses.network_sweeps import null_models, plural
from circuits.claims.unified import unit_claims
from circuits.factor_units.fracture import fracture
from circuits.factor_units.fracture_result import Fracture
from circuits.weight_sweeps.scored import Score
from interp.errors import MissingCapability, require_range
from interp.hooked import HookedCPPN
from interp.plugins.analysis import Result, analysis
from interp.report import figures
from interp.subject import Subject

MOST = 1 << 21  # examples run in all, where the network runs once per unit


@analysis(
    "fracture",
    needs=("task", "activations"),
    summary="Which units carry each factor of the task",
    order=59,
    question="unified",
)
def fracture_analysis(subject: Subject, *, site: str | None = None, n_random: int = 1) -> Result:
    """How many factors of the task each unit carries, how many units carry a factor, and in how many groups.

    In a unified factored representation (UFR) a unit carries one factor; in a fractured entangled one (FER) a little of every
    factor (Kumar et al. 2025, https://arxiv.org/abs/2505.11581). See `circuits.fracture` for what the numbers mean.

    Args:
        subject: any network with a task and hidden units.
        site: a hook point of units; the last hidden layer's by default.
        n_random: null models of each kind: the network with its weights shuffled, random networks of its architecture.

    Returns:
        tables of units, key factors and groups, and a heat map of units by factors.

    Raises:
        MissingCapability: a picture, a network without a known hidden layer, or one that would run too often.
    """
    require_range("n_random", n_random, 0, 100)
    if isinstance(subject.model, HookedCPPN):
        raise MissingCapability("of a picture, see feature_maps for what every unit draws, and sweeps")
    found = fracture(subject, site, max_runs=MOST)
    rows = [_row("this network", found)]
    for name, network in null_models(subject, n_random):
        rows.append(_row(name, fracture(replace(network, precision=torch.float32), found.site, max_runs=MOST)))
    result = Result(lead="units by factor")
    result.metrics = _metrics(found)
    result.tables = {"units": found.units, "key factors": found.by_factor, "groups": found.by_group}
    result.tables["null models"] = pd.DataFrame(rows)
    result.figures["units by factor"] = found.figure()
    _draw_shares(result, found)
    result.headline = _headline(found, result.tables["null models"])
    result.claims = unit_claims(result.tables["null models"], list(result.figures))
    per_unit = found.factors_per_unit()
    if per_unit is not None:
        kinds = plural(found.factors.kind)
        result.verdict = [(f"{kinds} carried by a unit", f"{per_unit.value:.1f} of {found.factors.n_counted}")]
    result.notes = _notes(found)
    return result


def _row(name: str, found: Fracture) -> dict[str, Any]:
    score = found.factors_per_unit() or Score(float("nan"), float("nan"), float("nan"))
    return {
        "network": name, "carrying units": int(found.carries.sum()), "factors per unit": score.value,
        "factors per unit low": score.low, "factors per unit high": score.high,
        "median share of the main factor": _median(found.units.query("carries")["share"].to_numpy(dtype=float)),
    }  # fmt: skip


def _metrics(found: Fracture) -> dict[str, Any]:
    score, by_factor = found.factors_per_unit(), found.by_factor
    return {
        "site": found.site, "units": len(found.names), "carrying_units": int(found.carries.sum()),
        "key_units": len(found.units.query("`n key factors` > 0")),
        "factors_per_unit": None if score is None else score.value,
        "factors_per_unit_interval": None if score is None else [score.low, score.high],
        "factor_kind": found.factors.kind, "factors": found.factors.n_counted, "key_factors": by_factor["factor"].to_list(),
        "units_per_key_factor": found.units_per_key_factor, "groups_per_key_factor": found.groups_per_key_factor,
        "sets_per_key_factor": found.sets_per_key_factor,
        "entangled_key_factors": None if found.groups is None else by_factor.query("groups == 0")["factor"].to_list(),
    }  # fmt: skip


def _draw_shares(result: Result, found: Fracture) -> None:
    """Cumulative share of each key factor's drops, strongest unit first."""
    curves = {}
    for k in found.keys:
        drop = np.sort(np.nan_to_num(found.effects.drop[:, k].numpy()).clip(0))[::-1]
        curves[f"{found.factors.kind} {found.factors.names[k]}"] = (range(1, len(drop) + 1), drop.cumsum() / drop.sum())
    if curves:
        result.figures["units by key factor"] = figures.lines(
            curves, title="Units that carry each key factor, strongest first", x_title="units",
            y_title="share of the factor's drops",
        )  # fmt: skip


def _headline(found: Fracture, rows: pd.DataFrame) -> str:
    score = found.factors_per_unit()
    if score is None:
        return f"No unit of {found.site} changes the outputs"
    known = []
    for words, start in (("shuffled weights", "shuffled"), ("random networks", "random"), ("start of the run", "step")):
        values = rows.loc[rows["network"].str.startswith(start), "factors per unit"].to_numpy(dtype=float)
        values = values[np.isfinite(values)]
        known += [f"{words} {_median(values):.1f}"] if len(values) else []
    against = f" ({', '.join(known)})" if known else ""
    text = (
        f"A unit carries {score.value:.1f} [{score.low:.1f}, {score.high:.1f}] of {found.factors.n_counted} "
        f"{plural(found.factors.kind)}{against}"
    )
    if found.units_per_key_factor is None:
        return f"{text}; no key {found.factors.kind} is known"
    text += f"; a key {found.factors.kind} is carried by {found.units_per_key_factor:.0f} units"
    if found.groups is None:
        return text
    own = np.array([len(groups) for groups in found.groups.values()])
    alone, n = own[own > 0], len(own)
    if not len(alone):
        return f"{text}, entangled with others"
    groups = f"{alone.mean():.2g} group{'s' if alone.mean() > 1 else ''}"
    return f"{text} in {groups}" + (f", {n - len(alone)} of {n} entangled with others" if len(alone) < n else "")


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _notes(found: Fracture) -> list[str]:
    kinds = plural(found.factors.kind)
    notes = [
        f"Units of {found.site}. A unit's {kinds}: exp of the entropy of its activation's power over them, median over the units "
        "whose mean ablation changes the outputs by at least a hundredth of what the strongest does; the interval (95%) by "
        f"bootstrap over units. Units of a {found.factors.kind}: exp of the entropy of what the ablation of each takes of its "
        "power in the outputs. Null models are run in float32.",
    ]
    if found.groups is None:
        notes.append("Groups are not sought, since what follows the units is not linear.")
    else:
        notes.append(
            f"A group makes a {found.factors.kind} when all its other carriers are ablated; sets of units that differ in phase "
            f"alone are one group. The number is found greedily, and grows where many units write nearly the same. A "
            f"{found.factors.kind} is entangled where less than half of what its carriers write is this {found.factors.kind}, "
            "as a harmonic of another frequency is."
        )
    reason = found.subject.require_task().factors()
    if isinstance(reason, str):
        notes.append(f"Factors are the principal components of the clean outputs, since {reason}.")
    return [*notes, *found.notes]
