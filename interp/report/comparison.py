"""Comparison: the same analyses on several subjects, side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from interp.checkpoints import load
from interp.checkpoints.source import read_json
from interp.errors import InterpError, UnreadableFile
from interp.plugins.analysis import Outcomes, analyses, analyze
from interp.plugins.result import Result, check_result, format_metric
from interp.subject import Subject

MAX_SUBJECTS = 64


@dataclass
class Comparison:
    """Outcomes by subject, and what each analysis has to say of all of them together.

    Attributes:
        subjects: by name, in the order given; the first is what the others are compared with.
        outcomes: by subject.
        together: by analysis: the result of its comparison, where it has one.
        failed: by analysis: why its comparison could not be made.
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

    def _repr_html_(self) -> str:
        parts = [found._repr_html_() for found in self.together.values()]
        return "\n".join([*parts, self.scores.to_html(index=False, border=0)])

    def __repr__(self) -> str:
        heads = [f"{name}: {found.headline}" for name, found in self.together.items()]
        return "\n".join([f"Comparison of {', '.join(self.subjects)}", *heads])


def expand(sources: Iterable[str | Path], *, device: str = "auto") -> dict[str, Subject]:
    """The subjects that paths stand for, by name: every member of a run, every run of a folder of runs.

    Raises:
        UnreadableFile, InterpError: a path that is no checkpoint, or more than `MAX_SUBJECTS` subjects.
    """
    found: dict[str, Subject] = {}
    for source in map(Path, sources):
        for name, subject in _subjects(source, source.name or str(source), device):
            if len(found) >= MAX_SUBJECTS:
                raise InterpError(
                    f"more than {MAX_SUBJECTS} networks are not compared at once; name some of the runs' folders"
                )
            unique, n = name, 2
            while unique in found:
                unique, n = f"{name} ({n})", n + 1
            found[unique] = replace(subject, name=unique)
    return found


def _subjects(path: Path, name: str, device: str) -> Iterable[tuple[str, Subject]]:
    if (path / "run.json").is_file():
        members = read_json(path / "run.json").get("members") or [{}]
        if not isinstance(members, list) or not all(isinstance(m, dict) for m in members):
            raise UnreadableFile(f"{path / 'run.json'}: members are no list of settings")
        for i, own in enumerate(members):
            yield _labelled(name, own, members), load(path, member=i, device=device)
        return
    runs = sorted(p for p in path.iterdir() if (p / "run.json").is_file()) if path.is_dir() else []
    if runs:
        for run in runs:
            yield from _subjects(run, f"{name}/{run.name}", device)
        return
    yield name, load(path, device=device)


def _labelled(name: str, own: Mapping[str, Any], members: Sequence[Mapping[str, Any]]) -> str:
    """The run's name with what this member has for its own."""
    varying = [k for k in own if any(m.get(k) != own[k] for m in members)]
    if all(m.get("data_seed") == m.get("seed") for m in members):
        varying = [k for k in varying if k != "data_seed"]
    return name + "".join(f" {k}={own[k]}" for k in varying)


def compare(
    subjects: Mapping[str, Subject] | Sequence[Subject],
    only: Iterable[str] | None = None,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    dtype: torch.dtype | None = torch.float64,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> Comparison:
    """Run analyses on several subjects.

    Args:
        subjects: two or more; the first is what the others are compared with.
        only: names of analyses; by default those that apply to two of the subjects at least.
        options, dtype, seed: as in `analyze`.
        progress: called with a line before every analysis.

    Raises:
        InterpError: fewer than two subjects, or no analysis that applies to two of them.
    """
    named = dict(subjects) if isinstance(subjects, Mapping) else {s.name: s for s in subjects}
    if len(named) < 2:
        raise InterpError("a comparison needs two networks or more, of different names")
    known, _ = analyses()
    wanted = list(only) if only is not None else [
        name for name, one in known.items() if sum(not s.lacks(one.needs) for s in named.values()) > 1
    ]  # fmt: skip
    if not wanted:
        raise InterpError(
            f"no analysis applies to two of {', '.join(named)}; see interp analyses FILE for what each lacks"
        )
    outcomes = {}
    for name, subject in named.items():
        tell = None if progress is None else (lambda analysis, name=name: progress(f"{name}: {analysis}"))
        outcomes[name] = analyze(subject, wanted, options, dtype=dtype, seed=seed, progress=tell)
    together: dict[str, Result] = {}
    failed: dict[str, str] = {}
    for analysis in wanted:
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
