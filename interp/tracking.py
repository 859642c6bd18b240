"""Measures over the checkpoints of a run: one pass, in which each is opened once, forwarded once, and forgotten.

What was measured before is taken from the cache (`interp.measure_cache`), so that a second call computes what is new.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from interp import __version__
from interp.checkpoints import load
from interp.checkpoints.series import CheckpointSeries, Entry
from interp.errors import InterpError, MissingCapability, require_range
from interp.measure_cache import MeasureCache, file_digest, key
from interp.measures import Measure, choose, plain
from interp.parallel import Workers, parse_executor, run_jobs
from interp.snapshot import Snapshot
from interp.subject import Subject
from interp.tasks import task_to_dict
from interp.ticking import tick

if TYPE_CHECKING:
    from interp.training.run import Run

COLUMNS = pd.Index(["step", "member", "measure", "where", "value"])
Wanted = tuple[str, dict[str, Any]]  # a measure's name and its options
Outcome = dict[str, Any]  # one of values, skipped, error


@dataclass
class Tracking:
    """What was measured.

    Attributes:
        frame: ``step, member, measure, where, value``, a row per number.
        options: by measure, as they were used.
        skipped: by measure: why it was left out.
        unreadable: by step: why its checkpoint could not be measured at all.
        errors: by measure: at which step it failed first, and how.
        nonfinite: steps whose weights are not all finite.
        notes: what else the reader should hear of.
        computed, kept: numbers of (checkpoint, measure) pairs that were measured now, and that were known.
    """

    frame: pd.DataFrame
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    unreadable: dict[int, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    nonfinite: list[int] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    computed: int = 0
    kept: int = 0


def progress(
    source: Subject | Run | CheckpointSeries | str | Path,
    measures: Iterable[str] | None = None,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    every: int = 1,
    executor: str | None = None,
    cache: bool = True,
    members: Iterable[int] | None = None,
) -> pd.DataFrame:
    """Measures over all checkpoints: a tidy table ``step, member, measure, where, value``.

    What could not be measured is said in the table's ``attrs``: ``skipped``, ``errors``, ``unreadable``, ``notes``.

    Args:
        source: a path, a Run (all its members), a Subject, or a series alone (then weights alone are measured).
        measures: names (see ``interp measures``); all that apply by default.
        options: by measure, such as ``{"local_complexity": {"masks": 10}}``.
        every: take every n-th checkpoint, counted back from the last.
        executor: ``"process:4"`` or ``"dask:ADDRESS"`` spreads the checkpoints over workers.
        cache: use what was measured before, and keep what is measured now.
        members: of a Run or a path; all of a Run, and the first of a path, by default.

    Raises:
        InterpError: an unknown measure or option, or nothing that can be read.
    """
    found = []
    for subject in _subjects(source, members):
        found.append(track(subject, measures, options=options, every=every, executor=executor, cache=cache))
    frame = pd.concat([one.frame for one in found], ignore_index=True)
    for name in ("skipped", "errors", "unreadable"):
        frame.attrs[name] = {k: v for one in found for k, v in getattr(one, name).items()}
    frame.attrs["notes"] = list(dict.fromkeys(note for one in found for note in one.notes))
    return frame


def _subjects(source: Any, members: Iterable[int] | None) -> list[Subject]:
    if isinstance(source, Subject):
        return [source]
    if isinstance(source, CheckpointSeries):
        if not len(source):
            raise InterpError("the series has no checkpoints, so there is nothing to measure")
        return [Subject("series", source[-1], series=source, step=source.steps[-1])]
    if isinstance(source, (str, Path)):
        return [load(source, member=m) for m in (members if members is not None else [0])]
    chosen = range(len(source)) if members is None else members
    return [source.subject(m) for m in chosen]


def track(
    subject: Subject,
    measures: Iterable[str] | None = None,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    every: int = 1,
    executor: str | None = None,
    cache: bool = True,
) -> Tracking:
    """`progress` of one network, with all that there is to say about it; arguments and errors as there."""
    require_range("every", every, 1)
    chosen = choose(measures)
    for name in options or {}:
        choose([name])
    given = {name: m.parse((options or {}).get(name, {})) for name, m in chosen.items()}
    result = Tracking(pd.DataFrame(columns=COLUMNS))
    for name, one in chosen.items():
        if missing := subject.lacks(one.needs):
            result.skipped[name] = missing[0]
    chosen = {name: m for name, m in chosen.items() if name not in result.skipped}
    asked = frozenset(options or {})
    return _Pass(subject, chosen, given, asked, every, cache, result).run(parse_executor(executor))


class _Pass:
    """One pass over a series."""

    def __init__(
        self,
        subject: Subject,
        chosen: dict[str, Measure],
        given: dict[str, dict[str, Any]],
        asked: frozenset[str],
        every: int,
        cache: bool,
        result: Tracking,
    ):
        self.subject, self.chosen, self.given, self.result = subject, chosen, given, result
        self.member = int(subject.origin.get("member", 0))
        self.asked = asked  # measures whose options a user has set: what they refuse ends the run
        series = subject.series
        entries = list(series.entries) if series is not None else [Entry(subject.step, Path(subject.provenance.path))]
        self.series, self.entries = series, entries[::-1][::every][::-1]
        result.notes += missing_steps(subject)
        on_disk = all(str(e.path) not in ("", ".") and e.path.is_file() for e in self.entries)
        self.cache = MeasureCache() if cache and on_disk else None
        self.common = self._common()

    def _common(self) -> list[Any]:
        """What results depend on besides the checkpoint and the measure."""
        subject, device = self.subject, self.subject.model.device.type
        task = None if subject.task is None else task_to_dict(subject.task)
        return [__version__, task, str(subject.precision), device, self.member, subject.origin.get("layout")]

    def run(self, workers: Workers) -> Tracking:
        self._settle()
        known = self._known()
        jobs = []
        for place, entry in enumerate(self.entries):
            wanted = self._wanted(place)
            missing = [(n, o) for n, o in wanted if self._key(entry, n, o) not in known]
            self.result.kept += len(wanted) - len(missing)
            if missing:
                jobs.append((entry, missing))
        measured = self._measure(jobs, workers)
        self._assemble(known, measured)
        return self.result

    def _settle(self) -> None:
        """Options that the last checkpoint settles; its snapshot is made only if they are not known."""
        last: Snapshot | None = None
        for name, one in list(self.chosen.items()):
            if one.anchor is None or not one.open_options(self.given[name]):
                continue
            where = self._key(self.entries[-1], f"anchor of {name}", self.given[name])
            settled = self._get([where]).get(where)
            if settled is None:
                last = last or Snapshot(replace(self.subject, model=self._model(self.entries[-1])))
                try:
                    settled = one.settle(self.given[name], last)
                except MissingCapability as reason:
                    self.result.skipped[name] = str(reason)
                    del self.chosen[name]
                    continue
                self._put({where: settled})
            self.given[name] = settled
        self.result.options = {name: self.given[name] for name in self.chosen}

    def _model(self, entry: Entry) -> Any:
        if self.series is None or (entry.step == self.subject.step and self.entries[-1] == entry):
            return self.subject.model
        return self.series.at(entry.step).to(self.subject.model.device)

    def _wanted(self, place: int) -> list[Wanted]:
        """The measures that are due at an entry: expensive ones at some alone, counted back from the last."""
        back = len(self.entries) - 1 - place
        return [(name, self.given[name]) for name, one in self.chosen.items() if back % one.every == 0]

    def _key(self, entry: Entry, name: str, options: Mapping[str, Any]) -> str:
        if self.cache is None:
            return ""
        base = name.removeprefix("anchor of ")
        return key(file_digest(entry.path), entry.key, *self.common, name, self.chosen[base].fingerprint, dict(options))

    def _known(self) -> dict[str, Outcome]:
        if self.cache is None:
            return {}
        keys = [self._key(e, n, o) for place, e in enumerate(self.entries) for n, o in self._wanted(place)]
        return self._get(keys)

    def _get(self, keys: Iterable[str]) -> dict[str, Any]:
        return self._guarded(lambda cache: cache.get(keys)) or {}

    def _put(self, values: Mapping[str, Any]) -> None:
        self._guarded(lambda cache: cache.put(values))

    def _guarded(self, use: Callable[[MeasureCache], Any]) -> Any:
        """The cache is a convenience: without it the run goes on, and says so."""
        if self.cache is None:
            return None
        try:
            return use(self.cache)
        except (OSError, sqlite3.Error, ValueError) as error:
            self.result.notes.append(f"Results are not kept: {self.cache.path} cannot be used ({error}).")
            self.cache = None
            return None

    def _measure(self, jobs: Sequence[tuple[Entry, list[Wanted]]], workers: Workers) -> dict[int, StepFound]:
        """What every job found, by step; each is kept as soon as it is there, so that Ctrl-C loses one step's work."""
        measured: dict[int, StepFound] = {}
        done = 0

        def arrived(place: int, found: StepFound) -> None:
            nonlocal done
            entry, wanted = jobs[place]
            measured[entry.step], done = found, done + 1
            options = dict(wanted)
            keep = {n: o for n, o in found.outcomes.items() if "error" not in o}
            self._put({self._key(entry, n, options[n]): outcome for n, outcome in keep.items()} if self.cache else {})
            self.result.computed += len(found.outcomes)
            tick(f"{done} of {len(jobs)} checkpoints measured")

        if workers.count > 1 and len(jobs) > 1:
            if not self.subject.origin:
                raise InterpError(
                    f"{self.subject.name} was made in memory: other processes cannot open it; leave out executor"
                )
            threads = max(1, (os.cpu_count() or 1) // workers.count)
            device = str(self.subject.model.device)
            packed = [
                _Job(dict(self.subject.origin), self.subject.precision, device, entry.step, tuple(wanted), threads)
                for entry, wanted in jobs
            ]
            run_jobs(workers, measure_in_worker, packed, arrived)
        else:
            for place, (entry, wanted) in enumerate(jobs):
                arrived(place, measure_step(self.subject, entry.step, wanted))
        return measured

    def _assemble(self, known: Mapping[str, Outcome], measured: Mapping[int, StepFound]) -> None:
        rows: list[tuple[int, int, str, str, float]] = []
        blank: list[tuple[int, str]] = []
        for place, entry in enumerate(self.entries):
            found = measured.get(entry.step)
            if found is not None and found.unreadable:
                self.result.unreadable[entry.step] = found.unreadable
                continue
            bad = False
            for name, options in self._wanted(place):
                outcome = known.get(self._key(entry, name, options)) if known else None
                if outcome is None and found is not None:
                    outcome = found.outcomes.get(name)
                if outcome is None:
                    continue
                bad |= bool(outcome.get("nonfinite"))
                if "skipped" in outcome:
                    self.result.skipped.setdefault(name, outcome["skipped"])
                elif outcome.get("refused") and name in self.asked:
                    raise InterpError(f"{name}: {outcome['error']}")
                elif "error" in outcome:
                    self.result.errors.setdefault(name, f"step {entry.step}: {outcome['error']}")
                elif "values" not in outcome:
                    blank.append((entry.step, name))
                else:
                    rows += [(entry.step, self.member, name, w, float(v)) for w, v in outcome["values"].items()]
            if bad:
                self.result.nonfinite.append(entry.step)
        places: dict[str, dict[str, None]] = {}
        for _, _, name, where, _ in rows:
            places.setdefault(name, {})[where] = None
        rows += [(s, self.member, n, w, float("nan")) for s, n in blank for w in places.get(n, {"": None})]
        order = {name: i for i, name in enumerate(self.chosen)}
        rows.sort(key=lambda row: (row[0], order[row[2]]))
        self.result.frame = pd.DataFrame(rows, columns=COLUMNS)


def missing_steps(subject: Subject) -> list[str]:
    """A note on checkpoints that a run's plan says there should be, up to the last one, and are not."""
    source = Path(subject.origin.get("source", ""))
    if subject.series is None or not (source / "run.json").is_file():
        return []
    from interp.training.directory import RunDirectory  # training loads checkpoints, too

    steps = subject.series.steps
    planned = [s for s in RunDirectory.open(source).plan.checkpoints.within(steps[-1]) if s not in set(steps)]
    if not planned:
        return []
    named = ", ".join(f"{s:,}" for s in planned[:8]) + (" ..." if len(planned) > 8 else "")
    return [f"{len(planned)} checkpoints of the run's plan are not there: steps {named}; the curves have gaps."]


@dataclass(frozen=True)
class StepFound:
    """What one checkpoint gave: an outcome per measure, or why it could not be read."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    unreadable: str = ""


@dataclass(frozen=True)
class _Job:
    """One checkpoint to measure, in plain values, so that any worker can take it."""

    origin: Mapping[str, Any]
    precision: torch.dtype
    device: str
    step: int
    wanted: tuple[Wanted, ...]
    threads: int


def measure_in_worker(job: _Job) -> StepFound:
    """A job in a process of its own; the run is opened once per process."""
    torch.set_num_threads(job.threads)
    subject = _opened(tuple(sorted(job.origin.items())), job.device)
    return measure_step(replace(subject, precision=job.precision), job.step, job.wanted)


@lru_cache(maxsize=4)
def _opened(origin: tuple[tuple[str, Any], ...], device: str) -> Subject:
    return load(**dict(origin), device=device)


def open_step(subject: Subject, step: int) -> Snapshot:
    """The subject's network at another step of its series.

    Raises:
        InterpError: no such step, a file that cannot be read, or a network of another shape than the subject's.
    """
    series = subject.series
    model = subject.model if series is None or len(series) == 1 else series.at(step).to(subject.model.device)
    if model.config != subject.model.config:
        own, rest = model.config.to_dict(), subject.model.config.to_dict()
        differ = ", ".join(f"{n}={own.get(n)}, not {rest.get(n)}" for n in {**rest, **own} if own.get(n) != rest.get(n))
        raise InterpError(f"it is another network than that of step {subject.step:,}: {differ}")
    return Snapshot(replace(subject, model=model, step=step))


def kept_steps(subject: Subject, every: int = 1, most: int | None = None) -> list[int]:
    """The steps of a subject's checkpoints: every n-th, counted back from the last, and at most so many, evenly spread."""
    require_range("every", every, 1)
    steps = [subject.step] if subject.series is None else subject.series.steps[::-1][::every][::-1]
    if most is None or len(steps) <= most:
        return steps
    return [steps[round(i * (len(steps) - 1) / (most - 1))] for i in range(most)]


def walk(subject: Subject, steps: Sequence[int], notes: list[str]) -> Iterator[Snapshot]:
    """Snapshots at some steps, one at a time; those that cannot be read are left out, with a note."""
    for place, step in enumerate(steps):
        try:
            snapshot = open_step(subject, step)
        except (InterpError, OSError) as error:
            notes.append(left_out(step, str(error)))
            continue
        yield snapshot
        tick(f"{place + 1} of {len(steps)} checkpoints")


def left_out(step: int, reason: str) -> str:
    """How a report says that a checkpoint is missing from its curves."""
    return f"Step {step:,} was left out: {reason}"


def measure_step(subject: Subject, step: int, wanted: Sequence[Wanted]) -> StepFound:
    """All wanted measures of one checkpoint of a subject's series; a measure that fails does not stop the others."""
    try:
        snapshot = open_step(subject, step)
    except (InterpError, OSError) as error:
        return StepFound(unreadable=str(error))
    finite = all(bool(w.isfinite().all()) for w in snapshot.weights.values())
    known, outcomes = choose([name for name, _ in wanted]), {}
    for name, options in wanted:
        outcome = _outcome(known[name], snapshot, options, finite)
        outcomes[name] = outcome if finite else {**outcome, "nonfinite": True}
    return StepFound(outcomes)


def _outcome(one: Measure, snapshot: Snapshot, options: Mapping[str, Any], finite: bool) -> Outcome:
    try:
        return {"values": plain(one.values(snapshot, options))}
    except MissingCapability as reason:
        return {"skipped": str(reason)}
    except InterpError as error:
        return {"error": str(error), "refused": True} if finite else {}
    except Exception as error:  # a plugin's failure is one note, the others run
        if not finite:
            return {}  # decompositions refuse NaN; the curve shows a gap there
        return {"error": f"{type(error).__name__}: {error}"}
