"""Comparison: the same analyses on several subjects, side by side."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch

from interp._util.bar import bar
from interp._util.progress_context import part
from interp.errors import InterpError, UnknownName, unknown
from interp.notebook import tables
from interp.notebook.show import Shown, fold
from interp.plugins.analysis import Analysis, analyses, analyze, asked_for
from interp.plugins.argument import Argument, argue
from interp.plugins.claim import Question
from interp.plugins.joint import JointAnalysis, analyze_together, joint_analyses
from interp.plugins.options import as_names
from interp.plugins.outcome import STOPPED, Outcomes, Stopped, not_run
from interp.plugins.result import Result, check_result, format_metric
from interp.report.sources import Network, as_subjects
from interp.subject import Subject


@dataclass(repr=False)
class Comparison(Shown):
    """The outcomes of every subject, and what each analysis finds by comparing them.

    Attributes:
        subjects: by name, in the order given; the first is the reference.
        outcomes: by subject.
        together: by analysis: the result of its comparison, where it has one, and of every joint analysis.
        failed: by analysis: why its comparison, or the joint analysis, failed.
        skipped: by joint analysis that was asked for: what the networks lack.
    """

    subjects: dict[str, Subject]
    outcomes: dict[str, Outcomes]
    together: dict[str, Result]
    failed: dict[str, str]
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The networks' names, of many the first and how many more."""
        names = list(self.subjects)
        shown = names if len(names) <= NAMED else [*names[: NAMED - 1], f"{len(names) - NAMED + 1} more"]
        return " and ".join([", ".join(shown[:-1]), shown[-1]])

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
    def differences(self) -> pd.DataFrame:
        """The metrics that are numbers, one row each: a column per subject, and ``difference``.

        The difference is that of the last column that has the metric and the first; of more than two subjects, the one that
        is largest in size between any of them and the first.
        """
        rows: dict[tuple[str, str], dict[str, float]] = {}
        for name, outcomes in self.outcomes.items():
            for analysis, outcome in outcomes.items():
                for metric, value in (outcome.result.metrics if outcome.result else {}).items():
                    if isinstance(value, (int, float)) and not isinstance(value, bool):
                        rows.setdefault((analysis, metric), {})[name] = value
        names = list(self.subjects)
        table = [[a, m, *(row.get(n) for n in names), _difference(row, names)] for (a, m), row in rows.items()]
        return pd.DataFrame(table, columns=pd.Index(["analysis", "metric", *names, "difference"]))

    def _pieces(self) -> list[Any]:
        parts: list[Any] = [f"<p><b>{html.escape(self.title)}</b></p>{self.argument._repr_html_()}"]
        for name, found in self.together.items():
            first, *rest = found._pieces()
            parts += [f"<h3>{html.escape(name)}</h3>{first}", *rest]
        why = [("failed", n, why) for n, why in self.failed.items()]
        why += [("skipped", n, why) for n, why in self.skipped.items()]
        failed = "".join(f"<p>{html.escape(f'{what} {n}: {reason}')}</p>" for what, n, reason in why)
        numbers = self.differences
        table = tables.table(numbers, bars=(), signed=("difference",), rows=len(numbers))
        words = self.scores.merge(numbers[["analysis", "metric"]], how="left", indicator=True)
        words = words.query("_merge == 'left_only'").drop(columns="_merge")
        others = fold(f"{len(words)} metrics that are not numbers", len(words) and tables.table(words, rows=len(words)))
        return [*parts, failed + fold(f"{len(numbers)} metrics", table, opened=len(numbers) <= 40) + others]

    @property
    def argument(self) -> Argument:
        """What the comparisons claim of the networks, with how many there are of each."""
        known = {**joint_analyses()[0], **analyses()[0]}
        missing = [f"These are {len(self.subjects)} networks: what they show, others of their recipes need not."]
        questions: dict[str, Question] = {name: known[name].question for name in self.together if name in known}
        return argue(self.together, questions, missing if any(r.claims for r in self.together.values()) else ())

    def __repr__(self) -> str:
        heads = [f"{name}: {found.headline}" for name, found in self.together.items()]
        heads += [f"{name}: failed: {why}" for name, why in self.failed.items()]
        heads += [f"{name}: skipped: {why}" for name, why in self.skipped.items()]
        return "\n".join([f"Comparison of {', '.join(self.subjects)}: {len(self.differences)} metrics", *heads])


def _difference(row: Mapping[str, float], names: list[str]) -> float:
    """The largest difference from the first network; NaN where fewer than two have the metric, or not the first."""
    if names[0] not in row or len(row) < 2:
        return float("nan")
    return max((row[n] - row[names[0]] for n in names[1:] if n in row), key=abs)


NAMED = 4  # networks that a title names
Wanted = str | Analysis | JointAnalysis


def compare(
    subjects: Network | Mapping[str, Network] | Iterable[Network],
    only: Wanted | Iterable[Wanted] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    dtype: torch.dtype | None = torch.float64,
    seed: int = 0,
    progress: Callable[[str], None] | bool | None = None,
    device: str = "auto",
) -> Comparison:
    """Run the same analyses on several networks, and the joint analyses, which see them together.

    Args:
        subjects: Subjects, models or paths, as a list or by name; a path to a run or to a folder of runs is all its
            networks. The first network is the reference.
        only: as in `analyze`; joint analyses, too. By default those that apply to at least two of the networks.
        options: by analysis, as in `analyze`.
        dtype: as in `analyze`.
        seed: as in `analyze`.
        progress: called with a line before every analysis. By default a notebook shows a bar; False leaves it out.
        device: where networks given as paths are loaded.

    Returns:
        The outcomes of every network, the result of each analysis' own comparison, and of each joint analysis.

    Raises:
        InterpError: fewer than two networks, two of one name, or no analysis that applies to two of them.
        Stopped: Ctrl-C, a KeyboardInterrupt that carries the comparison so far.
    """
    named = as_subjects(subjects, device)
    if len(named) < 2:
        raise InterpError(f"a comparison needs two networks or more, got {', '.join(named) or 'none'}")
    own, joint = _wanted(named, only)
    of_own = _own_options(options or {}, {**joint_analyses()[0], **joint})
    outcomes = _one_by_one(named, own, of_own, dtype, seed, progress)
    if any(one.status == "stopped" for done in outcomes.values() for one in done.values()):
        raise Stopped(Comparison(named, outcomes, {}, dict.fromkeys([*own, *joint], STOPPED)))
    found = Comparison(named, outcomes, {}, {})
    for name, one in own.items():
        _compare(found, name, one)
    cast = {
        n: s.cast(dtype or s.model.dtype, "cpu" if s.model.device.type == "mps" else None) for n, s in named.items()
    }
    with bar(progress) as tell:
        results = analyze_together(cast, joint.values(), options, seed=seed, tell=tell)
    for name, outcome in results.items():
        if outcome.result is not None:
            found.together[name] = outcome.result
        elif outcome.status == "skipped":
            found.skipped |= {name: outcome.reason} if only is not None else {}
        else:
            found.failed[name] = outcome.error or outcome.reason
    if any(outcome.status == "stopped" for outcome in results.values()):
        raise Stopped(found)
    if only is None and not (own or found.together or found.failed):
        why = "; ".join(f"{name}: {outcome.reason}" for name, outcome in results.items())
        raise InterpError(f"no analysis applies to two of {', '.join(named)}: {why}")
    return found


def _wanted(
    named: Mapping[str, Subject], only: Wanted | Iterable[Wanted] | None
) -> tuple[dict[str, Analysis | str], dict[str, JointAnalysis]]:
    """The analyses of single networks, and the joint ones, that are asked for or apply to two networks."""
    (known, broken), (known_joint, broken_joint) = analyses(), joint_analyses()
    if only is None:
        own = {n: one for n, one in known.items() if sum(not s.lacks(one.needs) for s in named.values()) > 1}
        joint = {n: one for n, one in known_joint.items() if len(one.fitting(named)[0]) > 1}
        if own or joint:
            return dict(own), joint
        raise InterpError(
            f"no analysis applies to two of {', '.join(named)}; interp analyses FILE lists what each of them lacks"
        )
    asked = [only] if isinstance(only, (Analysis, JointAnalysis)) else as_names(only, "analyses")
    joint = {one.name: one for one in asked if isinstance(one, JointAnalysis)}
    joint |= {one: known_joint[one] for one in asked if isinstance(one, str) and one in known_joint}
    rest = [one for one in asked if not (isinstance(one, JointAnalysis) or (isinstance(one, str) and one in joint))]
    for one in rest:
        if isinstance(one, str) and one not in known and one not in broken:
            if one in broken_joint:
                raise InterpError(f"the joint analysis {one!r} cannot be used: {broken_joint[one]}")
            raise UnknownName(unknown("analysis", one, [*known, *known_joint, *broken]))
    return {
        one.name if isinstance(one, Analysis) else one: known.get(one, one) if isinstance(one, str) else one
        for one in asked_for(rest)
    }, joint  # fmt: skip


def _own_options(
    options: Mapping[str, Mapping[str, Any]], joint: Mapping[str, JointAnalysis]
) -> dict[str, Mapping[str, Any]]:
    """The options of analyses of single networks, which `analyze` checks; those of joint ones are checked now."""
    for name in set(options) & set(joint):
        joint[name].parse(options[name])
    return {name: given for name, given in options.items() if name not in joint}


def _compare(found: Comparison, name: str, one: Analysis | str) -> None:
    """What an analysis finds by comparing its results, where it has a comparison."""
    results = {n: r for n, o in found.outcomes.items() if name in o and (r := o[name].result) is not None}
    comparison = one.comparison if isinstance(one, Analysis) else None
    if comparison is None or len(results) < 2:
        return
    try:
        result = comparison(results)
        check_result(result)
        found.together[name] = result
    except (Exception, SystemExit) as error:  # isolation, as in `analyze`
        found.failed[name] = f"{type(error).__name__}: {error}"


def _one_by_one(
    named: Mapping[str, Subject], wanted: Mapping[str, Analysis | str], options: Mapping[str, Mapping[str, Any]] | None,
    dtype: torch.dtype | None, seed: int, progress: Callable[[str], None] | bool | None,
) -> dict[str, Outcomes]:  # fmt: skip
    """The outcomes of every network; after Ctrl-C those of the networks left are stopped ones."""
    if not wanted:
        return {name: Outcomes() for name in named}
    known = {name: one if isinstance(one, Analysis) else None for name, one in wanted.items()}
    waiting = {n: Outcomes((a, not_run(a, one, "", s)) for a, one in known.items()) for n, s in named.items()}
    pieces = {n: sum(one.status == "stopped" for one in own.values()) for n, own in waiting.items()}
    done, outcomes = 0, {}
    with bar(progress) as given:
        for name, subject in named.items():
            tell = None if given is None else (lambda analysis, name=name: given(f"{name}: {analysis}"))
            try:
                with part(name, done, sum(pieces.values())):
                    own = analyze(subject, wanted.values(), options, dtype=dtype, seed=seed, progress=tell)
            except Stopped as stop:
                return {**waiting, **outcomes, name: stop.found}
            outcomes[name], done = own, done + pieces[name]
    return outcomes
