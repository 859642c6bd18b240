"""The analysis ``sweeps`` of any network with a task: which factors its weights move, against null models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import torch

from circuits.analyses.sweep_scores import KINDS, metrics_of, scores_row
from circuits.claims.unified import NETWORK, sweep_claims
from circuits.weight_sweeps.directions import Direction, random_directions, single_entries
from circuits.weight_sweeps.factor_measures import MEASURES, expected_factors
from circuits.weight_sweeps.films import FACTORS, table_films
from circuits.weight_sweeps.network_sweep import (
    LARGE,
    MAX_EXAMPLES,
    STEP,
    NetworkSweep,
    Swept,
    examples_of,
    network_matched_steps,
    network_sweep,
    work,
)
from circuits.weight_sweeps.null_models import random_network, shuffled
from interp.errors import MissingCapability
from interp.plugins.analysis import Result
from interp.report import figures
from interp.subject import Subject

SHOWN = (*MEASURES, "change_rank_share")
EFFECT = (
    0.1  # root mean square of a change at which networks are compared as well, in standard deviations of the outputs
)
FEW_EXAMPLES, FEW_DIRECTIONS = 256, 12  # of a network that is slow to run
BUDGET = 2e12  # multiply-adds of all sweeps together, from which fewer examples and then fewer directions are measured
SHOWN_FACTORS = 32  # drawn


@dataclass(frozen=True)
class _Size:
    """How much is measured."""

    n: int
    directions: int
    n_random: int
    dtype: torch.dtype | None
    examples: int = MAX_EXAMPLES


def of_network(subject: Subject, n: int | None, directions: int | None, n_random: int | None) -> Result:
    """Weight sweeps of a network with a task.

    Args:
        subject: with a task.
        n: number of changes that are measured; all by default.
        directions: of each kind; by default as many as its size allows.
        n_random: null models of each kind; by default as many as its size allows.

    Returns:
        scores of the changes with intervals, for one step and at matched effect, and those of the null models.
    """
    size = _size(subject, n, directions, n_random)
    swept = Swept(subject, size.dtype, size.examples)
    found = {kind: _sweep(swept, kind, size) for kind in KINDS}
    scores = {kind: one.scores(size.n) if one else {} for kind, one in found.items()}
    rows = [scores_row(SHOWN, subject.name, "", k, "one step", one, size.n, scores[k]) for k, one in found.items()]
    rows += [_matched(subject.name, "", kind, swept, size) for kind in KINDS if size.dtype is None or kind == "random"]
    for null, network in null_models(subject, size.n_random):
        other = Swept(network, size.dtype, size.examples)
        kinds = KINDS if size.dtype is None else ("random",)
        rows += [scores_row(SHOWN, subject.name, null, k, "one step", _sweep(other, k, size), size.n) for k in kinds]
        rows.append(_matched(subject.name, null, "random", other, size))
    result = Result(lead="factors by layer")
    result.tables = {"scores": pd.DataFrame(rows)}
    result.tables |= {f"{kind} changes": one.rows for kind, one in found.items() if one is not None}
    result.metrics = metrics_of(SHOWN, found, scores) | _about(swept)
    result.notes = _notes(swept, size)
    _draw(result, found, pd.DataFrame(rows), swept, size)
    result.headline = _headline(result, pd.DataFrame(rows))
    result.claims = sweep_claims(pd.DataFrame(rows), NETWORK, [*result.figures, *result.pictures])
    touched = result.metrics["random_input_factors"]
    if touched is not None:
        of = f"{touched:.1f} of {result.metrics['factors']}"
        result.verdict = [(f"{plural(swept.meter.factors.kind)} touched by a random move", of)]
    return result


def _size(subject: Subject, n: int | None, directions: int | None, n_random: int | None) -> _Size:
    task = subject.require_task()
    whole = len(examples_of(task, MAX_EXAMPLES)[0])
    large = whole * task.width > LARGE
    drawn = (14 if large else 32) if directions is None else directions
    nulls = 1 if n_random is None else n_random
    dtype, examples = torch.float32 if large else None, MAX_EXAMPLES
    sweeps = 4 + 6 * nulls  # own ones of both kinds, and those of the nulls
    if work(subject, whole) * drawn * sweeps > BUDGET and directions is None:
        if not task.complete:
            examples, whole = FEW_EXAMPLES, min(whole, FEW_EXAMPLES)
        drawn = min(drawn, FEW_DIRECTIONS)
        if work(subject, whole) * drawn * sweeps > BUDGET:
            raise MissingCapability(
                f"would run the network {drawn * sweeps:,} times on {whole:,} examples, which takes long; ask for a smaller "
                "sweep, such as sweeps.directions=8 and sweeps.n_random=0"
            )
    return _Size(drawn if n is None else n, drawn, nulls, dtype, examples)


def _drawn(swept: Swept, kind: str, size: _Size) -> list[Direction]:
    model = swept.subject.model
    return single_entries(model, n=size.directions) if kind == "single" else random_directions(model, size.directions)


def _sweep(swept: Swept, kind: str, size: _Size) -> NetworkSweep | None:
    drawn = _drawn(swept, kind, size)
    return network_sweep(swept, drawn) if drawn else None


def _matched(name: str, null: str, kind: str, swept: Swept, size: _Size) -> dict[str, Any]:
    chosen, steps = network_matched_steps(swept, _drawn(swept, kind, size), EFFECT)
    found = network_sweep(swept, chosen, steps) if chosen else None
    return scores_row(SHOWN, name, null, kind, f"matched effect {EFFECT}", found, size.n)


def null_models(subject: Subject, n: int) -> Iterator[tuple[str, Subject]]:
    """Null models by name: weights shuffled, random networks, and the first checkpoint of the run.

    Args:
        subject: the network that is compared with them.
        n: how many of each kind.

    Yields:
        name and network.
    """
    bare = replace(subject, series=None, curves={})
    for seed in range(n):
        yield f"shuffled {seed}", replace(bare, model=shuffled(subject.model, seed))
    if subject.model.config.kind != "wrapped":
        for seed in range(n):
            yield f"random network {seed}", replace(bare, model=random_network(subject.model, seed))
    if n and subject.series is not None and len(subject.series) > 1 and subject.step != subject.series.steps[0]:
        first = subject.series[0].cast(subject.model.dtype, subject.model.device)
        yield f"step {subject.series.steps[0]:,} of the run", replace(bare, model=first, step=subject.series.steps[0])


def _about(swept: Swept) -> dict[str, Any]:
    meter = swept.meter
    names = meter.factors.names
    return {
        "factor_kind": meter.factors.kind,
        "factors": meter.factors.n_counted,
        "expected_factors": expected_factors(meter.factors),
        "key_factors": [names[k] for k in meter.keys],
        "symmetry": None if meter.symmetry is None else meter.symmetry.name,
        "expected_equivariant_share": (
            None if meter.symmetry is None else meter.symmetry.expected_share(centred=meter.centre)
        ),
    }


def _notes(swept: Swept, size: _Size) -> list[str]:
    meter, task = swept.meter, swept.task
    kinds = plural(meter.factors.kind)
    notes = [
        f"A sweep moves one weight (single: entries that are not 0) or a column along a random unit vector (random) by {STEP:g}, "
        f"or by what changes the outputs by {EFFECT:g} of their standard deviation (matched effect). Factors touched: exp of the "
        f"entropy of the change's power over the {meter.factors.n_counted} {kinds}, as a function of the inputs and of the "
        "outputs. Change rank: effective rank of the normalised changes as a share of their number. Medians; intervals (95%) by "
        "bootstrap over directions, for the rank by a delete-a-tenth jackknife."
    ]
    if meter.symmetry is not None:
        expected = meter.symmetry.expected_share(centred=meter.centre)
        notes.append(
            f"Equivariant share: of the change, the part that the symmetry keeps ({meter.symmetry.name}); {expected:.2g} for "
            "changes without structure."
        )
    else:
        reason = task.symmetry()
        notes.append(f"No equivariant share: {reason}.")
    if isinstance(reason := task.factors(), str):
        notes.append(f"Factors are the principal components of the clean outputs, since {reason}.")
    if size.dtype is not None:
        notes.append(
            f"Run in float32 along {size.directions} directions of each kind, since the table of outputs is large."
        )
    return [*notes, *swept.notes]


def _draw(
    result: Result, found: Mapping[str, NetworkSweep | None], rows: pd.DataFrame, swept: Swept, size: _Size
) -> None:
    one = found["random"]
    if one is None or one.counted().empty:
        result.lead = None
        return
    share = one.by_layer
    keys = [one.meter.factors.names[k] for k in one.meter.keys]
    top = [str(name) for name in share.sum().sort_values(ascending=False).index[:SHOWN_FACTORS]]
    drawn = [name for name in share.columns if name in top]
    result.figures["factors by layer"] = figures.heatmap(
        share[drawn].to_numpy(), x=[f"{name} *" if name in keys else name for name in drawn], y=list(share.index),
        title=f"What moves in each layer change: share of each {one.meter.factors.kind} (* key)",
        x_title=one.meter.factors.kind, y_title="weights that move", unit="share",
    )  # fmt: skip
    result.figures["against nulls"] = _againstnull_models(rows, one)
    films = table_films(one, swept.moves, factors=FACTORS if size.dtype is None else (-1.0, 1.0))
    if films is not None:
        result.pictures = {"films": films}


def _againstnull_models(rows: pd.DataFrame, one: NetworkSweep) -> go.Figure:
    """Factors touched by the network and by each null model, with intervals."""
    kinds = plural(one.meter.factors.kind)
    figure = figures.lines(
        {}, title=f"{kinds.capitalize()} touched by one move", x_title="", y_title=f"{kinds} (input side)"
    )
    for kind in KINDS:
        own = rows.query("kind == @kind and at == 'one step'").dropna(subset=["input_factors"])
        figure.add_scatter(
            x=[null or "this network" for null in own["null"]], y=own["input_factors"], name=kind, mode="markers",
            marker={"size": 9},
            error_y={"type": "data", "symmetric": False, "array": own["input_factors high"] - own["input_factors"],
                     "arrayminus": own["input_factors"] - own["input_factors low"]},
        )  # fmt: skip
    return figure.update_yaxes(rangemode="tozero")


def _headline(result: Result, rows: pd.DataFrame) -> str:
    m = result.metrics
    if m["random_input_factors"] is None:
        return "No random move changes the outputs"
    low, high = m["random_input_factors_interval"]
    nulls = rows.query("kind == 'random' and at == 'one step' and null != ''")
    known = {}
    for words, start in (("shuffled weights", "shuffled"), ("random networks", "random"), ("start of the run", "step")):
        touched = nulls.loc[nulls["null"].str.startswith(start), "input_factors"].to_numpy(dtype=float)
        if np.isfinite(touched).any():
            known[words] = float(np.nanmedian(touched))
    against = "".join(f", {words} {value:.1f}" for words, value in known.items())
    text = (
        f"A random move touches {m['random_input_factors']:.1f} [{low:.1f}, {high:.1f}] of {m['factors']} "
        f"{plural(m['factor_kind'])} ({m['expected_factors']:.1f} without structure{against})"
    )
    if m["random_equivariant_share"] is None:
        return text
    share, expected = m["random_equivariant_share"], m["expected_equivariant_share"]
    return f"{text}; {share:.2%} of its change respects the symmetry ({expected:.2%} without structure)"


def plural(kind: str) -> str:
    """The plural of a kind of factor.

    Args:
        kind: in the singular.

    Returns:
        its plural.

    >>> plural("frequency"), plural("part under the mirror")
    ('frequencies', 'parts under the mirror')
    """
    head, *rest = kind.split(" ", 1)
    if rest and rest[0].startswith("under"):
        return f"{plural(head)} {rest[0]}"
    return kind[:-1] + "ies" if kind.endswith("y") else kind + "s"
