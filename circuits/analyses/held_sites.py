"""The part of the analysis ``components`` about sites: each restricted to its first principal components."""

from __future__ import annotations

from typing import Any

import pandas as pd

from circuits.analyses.sufficient import Goal
from circuits.compression.derived import score_columns
from circuits.compression.held import Held
from circuits.compression.spectra import powers
from interp.plugins.analysis import Result
from interp.report import figures
from interp.scores import Scores


def curve(held: Held, whole: Scores, share: float) -> dict[int, Scores]:
    """Scores by number of components: 0, powers of 2 up to one that loses nothing, all, and those that find the fewest."""
    full, nothing = len(held.basis), held.scores(0)
    goal = Goal(whole, nothing, share)
    known = {0: nothing, full: whole if full == held.basis.dim else held.scores(full)}
    for n in powers(full)[:-1]:
        known[n] = held.scores(n)
        if goal.nothing_lost(known[n]):
            break
    if goal.enough(known[full]):
        goal.fewest(held.scores, known)
    return dict(sorted(known.items()))


def add_components(
    result: Result, held: dict[str, Held], curves: dict[str, dict[int, Scores]], whole: Scores, share: float
) -> dict[str, int | None]:
    """Add table, figures and metrics of the sites; returns how many components are enough, None where all are not."""
    rows: list[dict[str, Any]] = []
    numbers: dict[str, int | None] = {}
    goal = Goal(whole, whole, share)
    for name, known in curves.items():
        explained, goal = held[name].explained().tolist(), Goal(whole, known[0], share)
        rows += [
            {"site": name, "components": n, "explained": explained[n], **score_columns(s)} for n, s in known.items()
        ]
        numbers[name] = next((n for n, s in known.items() if goal.enough(s)), None)
    result.tables["components"] = pd.DataFrame(rows)
    for metric in goal.metrics:
        result.figures[f"{metric} by components"] = figures.lines(
            {name: (list(known)[1:], [getattr(s, metric) for s in list(known.values())[1:]]) for name, known in curves.items()},
            title=f"{metric.capitalize()} with one site restricted to its first principal components",
            x_title="principal components kept", y_title=f"{metric}, all examples", log_x=True,
            log_y=metric == "loss", markers=True,
        )  # fmt: skip
    result.lead = f"{goal.metrics[0]} by components"
    result.metrics |= {f"components_of_{name}": n for name, n in numbers.items()}
    result.metrics |= {f"dimensions_of_{name}": held[name].basis.dim for name in numbers}
    result.notes.append(
        "A site restricted to n components: the rest of its activation is replaced by its mean over all inputs, at each position "
        "its own; one site at a time. Components are ordered by variance and not by use, so fewer directions may suffice. The "
        "fewest that keep enough are found by bisection between powers of 2, which assumes that accuracy rises with their number."
    )
    return numbers


def in_words(name: str, n: int | None, held: Held, goal: Goal) -> str:
    """How many components of a site are enough."""
    if n is None:
        return f"all {held.basis.dim} components of {name} keep less than {goal}"
    return f"{n} of {held.basis.dim} components of {name} keep {goal}"
