"""Comparison: the same analyses on several subjects, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch

from interp.errors import InterpError
from interp.plugins.analysis import Analysis, analyses, analyze, asked_for
from interp.plugins.argument import Argument, argue
from interp.plugins.claim import Question
from interp.plugins.outcome import Outcomes
from interp.plugins.result import Result, check_result, format_metric
from interp.report.sources import Network, as_subjects
from interp.subject import Subject


@dataclass
class Comparison:
    """The outcomes of every subject, and what each analysis finds by comparing them.

    Attributes:
        subjects: by name, in the order given; the first is the reference.
        outcomes: by subject.
        together: by analysis: the result of its comparison, where it has one.
        failed: by analysis: why its comparison failed.
    """

    subjects: dict[str, Subject]
    outcomes: dict[str, Outcomes]
    together: dict[str, Result]
    failed: dict[str, str]

    @property
    def scores(self) -> pd.DataFrame:
        """One row per metric, one column per subject."""
        rows: dict[tuple[str, str], dict[str, Any]] = {}
        for name, outcomes in self.outcomes.items():
            for analysis, outcome in outcomes.items():
                for metric, value in (outcome.result.metrics if outcome.result else {}).items():
                    rows.setdefault((analysis, metric), {})[name] = format_metric(value)
        table = [[a, m, *(row.get(n, "") for n in self.subjects)] for (a, m), row in rows.items()]
        return pd.DataFrame(table, columns=pd.Index(["analysis", "metric", *self.subjects]))

    @property
    def argument(self) -> Argument:
        """What the comparisons claim of the networks, with how many there are of each."""
        known = analyses()[0]
        missing = [
            f"{len(self.subjects)} networks were compared, one of each: nothing here says what other training seeds would give."
        ]
        questions: dict[str, Question] = {name: known[name].question for name in self.together if name in known}
        return argue(self.together, questions, missing if any(r.claims for r in self.together.values()) else ())

    def _repr_html_(self) -> str:
        parts = [found._repr_html_() for found in self.together.values()]
        return "\n".join([*parts, self.scores.to_html(index=False, border=0)])

    def __repr__(self) -> str:
        heads = [f"{name}: {found.headline}" for name, found in self.together.items()]
        return "\n".join([f"Comparison of {', '.join(self.subjects)}", *heads])


def compare(
    subjects: Network | Mapping[str, Network] | Iterable[Network],
    only: str | Analysis | Iterable[str | Analysis] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    dtype: torch.dtype | None = torch.float64,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
    device: str = "auto",
) -> Comparison:
    """Run the same analyses on several networks.

    Args:
        subjects: Subjects, models or paths, as a list or by name; a path to a run or to a folder of runs is all its
            networks. The first network is the reference.
        only: as in `analyze`; by default the analyses that apply to at least two of the networks.
        options: by analysis, as in `analyze`.
        dtype: as in `analyze`.
        seed: as in `analyze`.
        progress: called with a line before every analysis.
        device: where networks given as paths are loaded.

    Returns:
        The outcomes of every network, and the result of each analysis' own comparison.

    Raises:
        InterpError: fewer than two networks, two of one name, or no analysis that applies to two of them.
    """
    named = as_subjects(subjects, device)
    if len(named) < 2:
        raise InterpError(f"a comparison needs two networks or more, got {', '.join(named) or 'none'}")
    known, _ = analyses()
    wanted = asked_for(only) if only is not None else [
        name for name, one in known.items() if sum(not s.lacks(one.needs) for s in named.values()) > 1
    ]  # fmt: skip
    if not wanted:
        raise InterpError(
            f"no analysis applies to two of {', '.join(named)}; interp analyses FILE lists what each of them lacks"
        )
    outcomes = {}
    for name, subject in named.items():
        tell = None if progress is None else (lambda analysis, name=name: progress(f"{name}: {analysis}"))
        outcomes[name] = analyze(subject, wanted, options, dtype=dtype, seed=seed, progress=tell)
    known |= {one.name: one for one in wanted if isinstance(one, Analysis)}
    together: dict[str, Result] = {}
    failed: dict[str, str] = {}
    for analysis in (one.name if isinstance(one, Analysis) else one for one in wanted):
        results = {n: r for n, o in outcomes.items() if analysis in o and (r := o[analysis].result) is not None}
        comparison = known[analysis].comparison if analysis in known else None
        if comparison is None or len(results) < 2:
            continue
        try:
            found = comparison(results)
            check_result(found)
            together[analysis] = found
        except (Exception, SystemExit) as error:  # isolation, as in `analyze`
            failed[analysis] = f"{type(error).__name__}: {error}"
    return Comparison(named, outcomes, together, failed)
