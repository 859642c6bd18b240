"""The part of the analysis ``components`` about ranks: all weight matrices at low rank."""

from __future__ import annotations

from typing import Any

import pandas as pd

from circuits.analyses.sufficient import Goal
from circuits.compression.derived import derived, scores_of
from circuits.compression.spectra import Spectra, powers
from interp.plugins.analysis import Result
from interp.report import figures
from interp.scores import Scores
from interp.subject import Subject

ERRORS = (0.6, 0.4, 0.3, 0.2, 0.1, 0.05)

Row = dict[str, Any]


def add_ranks(result: Result, subject: Subject, whole: Scores, share: float) -> str:
    """Add table, figures and metrics of all weights at low rank; returns the finding in words."""
    spectra = Spectra.of(subject.model)
    nothing = scores_of(derived(subject, spectra.truncated(subject.model, spectra.within(1.0)), "rank 0"))
    goal = Goal(whole, nothing, share)
    by_rank, rank = _by_rank(subject, spectra, goal)
    by_error, cheapest = _by_error(subject, spectra, goal)
    result.tables["ranks"] = pd.DataFrame([*by_rank.values(), *by_error])
    _draw(result, by_rank, by_error, goal)
    result.lead = f"{goal.metrics[0]} by parameters"
    size = by_rank[spectra.full]["parameters"]
    result.metrics |= {
        "rank": rank, "full_rank": spectra.full, "parameters": size,
        "parameters_at_rank": None if rank is None else by_rank[rank]["parameters"],
        "error": None if cheapest is None else cheapest["error"],
        "parameters_at_error": None if cheapest is None else cheapest["parameters"],
    }  # fmt: skip
    result.notes.append(
        "Same rank: every matrix at its best approximation of that rank (SVD). Same error: every matrix at the smallest rank "
        "whose relative error in Frobenius norm is within one bound. A matrix of rank r takes r (in + out) parameters where that "
        "is fewer than it has; biases are not counted."
    )
    words = [] if rank is None else [f"rank {rank} of {spectra.full} of all matrices"]
    if cheapest is not None:
        words.append(f"an error of {cheapest['error']:.2g} of each ({cheapest['parameters']:,} of {size:,} parameters)")
    return f"{' or '.join(words) or 'no rank of all matrices'} keeps {goal}"


def _by_rank(subject: Subject, spectra: Spectra, goal: Goal) -> tuple[dict[int, Row], int | None]:
    """A row per rank that was tried, and the smallest rank that is enough."""
    full, known = spectra.full, {spectra.full: goal.whole}
    rows = {full: spectra.row(subject, spectra.same(full), goal.whole)}

    def score(rank: int) -> Scores:
        found = _truncated(subject, spectra, spectra.same(rank))
        rows[rank] = spectra.row(subject, spectra.same(rank), found)
        return found

    for r in powers(full)[:-1]:
        known[r] = score(r)
        if goal.nothing_lost(known[r]):
            break
    rank = goal.fewest(score, known) if goal.enough(known[full]) else None
    return {r: {"same": "rank", **rows[r]} for r in sorted(rows)}, rank


def _by_error(subject: Subject, spectra: Spectra, goal: Goal) -> tuple[list[Row], Row | None]:
    """A row per error, and the one with the fewest parameters that is enough."""
    rows: list[Row] = []
    fits: list[Row] = []
    for error in ERRORS:
        found = _truncated(subject, spectra, spectra.within(error))
        rows.append({"same": "error", **spectra.row(subject, spectra.within(error), found)})
        if goal.enough(found):
            fits.append(rows[-1])
        if goal.nothing_lost(found):
            break
    return rows, min(fits, key=lambda row: row["parameters"], default=None)


def _truncated(subject: Subject, spectra: Spectra, ranks: dict[str, Any]) -> Scores:
    return scores_of(derived(subject, spectra.truncated(subject.model, ranks), "reduced"))


def _draw(result: Result, by_rank: dict[int, Row], by_error: list[Row], goal: Goal) -> None:
    shown = {"same rank": list(by_rank.values()), "same error": by_error}
    for metric in goal.metrics:
        result.figures[f"{metric} by parameters"] = figures.lines(
            {name: ([row["parameters"] for row in own], [row[metric] for row in own]) for name, own in shown.items()},
            title=f"{metric.capitalize()} with all weight matrices at low rank",
            x_title="parameters of all matrices", y_title=f"{metric}, all examples", log_y=metric == "loss", markers=True,
        )  # fmt: skip
        parts = {"all examples": metric, "train": f"train_{metric}", "test": f"test_{metric}"}
        first = next(iter(by_rank.values()))
        result.figures[f"{metric} by rank"] = figures.lines(
            {part: (list(by_rank), [row[name] for row in by_rank.values()]) for part, name in parts.items()
             if first[name] is not None},
            title=f"{metric.capitalize()} with all weight matrices at one rank",
            x_title="rank", y_title=metric, log_x=True, log_y=metric == "loss", markers=True,
        )  # fmt: skip
