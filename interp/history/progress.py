"""Measures over the checkpoints of a run: one pass, in which each is opened once, forwarded once, and forgotten.

What was measured before is taken from the cache (`interp.history.cache`), so that a second call computes what is new.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from interp._util.parallel import Workers, parse_executor, run_jobs
from interp._util.progress_context import tick
from interp._util.versions import __version__
from interp.checkpoints import load
from interp.errors import InterpError, MissingCapability, require_range
from interp.history.cache import MeasureCache, contents_digest, file_digest, key
from interp.plugins.measure import Measure, choose, plain
from interp.plugins.measure import measures as find_measures
from interp.series import CheckpointSeries, weights_digest
from interp.snapshot import Snapshot
from interp.subject import Subject
from interp.tasks import Task, task_to_dict

if TYPE_CHECKING:
    from interp.training.run import Run

TYPES = {"step": "int64", "member": "int64", "measure": "str", "where": "str", "value": "float64"}
COLUMNS = pd.Index(list(TYPES))
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
        member: which network of the run.
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
    member: int = 0


def progress(
    source: Subject | Run | CheckpointSeries | str | Path,
    measures: str | Iterable[str] | None = None,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    every: int = 1,
    executor: str | None = None,
    cache: bool = True,
    members: Iterable[int] | None = None,
    device: str = "auto",
    dtype: torch.dtype = torch.float64,
) -> pd.DataFrame:
    """Measures over all checkpoints: a tidy table ``step, member, measure, where, value``.

    What could not be measured is said in the table's ``attrs``: ``skipped``, ``errors``, ``unreadable``, ``nonfinite``, ``notes``
    (of several members, by member and name).

    Args:
        source: a path, a Run (all its members), a Subject, or a series alone (then weights alone are measured).
        measures: names (see ``interp measures``), or text with commas; all that apply by default.
        options: by measure, such as ``{"local_complexity": {"masks": 10}}``.
        every: take every n-th checkpoint, counted back from the last.
        executor: ``"process:4"`` or ``"dask:ADDRESS"`` spreads the checkpoints over workers.
        cache: use what was measured before, and keep what is measured now.
        members: of a Run or a path; all of a Run, and the first of a path, by default.
        device, dtype: where and in what the networks of a Run or a path are computed.

    Raises:
        InterpError: an unknown measure or option, or nothing that can be read.
    """
    found: list[Tracking] = []
    for subject in _subjects(source, members, device, dtype):
        found.append(track(subject, measures, options=options, every=every, executor=executor, cache=cache))
    if not found:
        raise InterpError("no members were asked for, so there is nothing to measure")
    frame = pd.concat([one.frame for one in found], ignore_index=True)
    for name in ("skipped", "errors", "unreadable"):
        said = [(one, k, v) for one in found for k, v in getattr(one, name).items()]
        frame.attrs[name] = {k if len(found) == 1 else (one.member, k): v for one, k, v in said}
    frame.attrs["nonfinite"] = [s if len(found) == 1 else (one.member, s) for one in found for s in one.nonfinite]
    frame.attrs["notes"] = list(dict.fromkeys(note for one in found for note in one.notes))
    return frame


def _subjects(source: Any, members: Iterable[int] | None, device: str, dtype: torch.dtype) -> Iterator[Subject]:
    if isinstance(source, Subject):
        yield source
    elif isinstance(source, CheckpointSeries):
        if not len(source):
            raise InterpError("the series has no checkpoints, so there is nothing to measure")
        yield Subject("series", source[-1], series=source, step=source.steps[-1])
    else:
        path = source if isinstance(source, (str, Path)) else source.path
        usual = [0] if isinstance(source, (str, Path)) else range(len(source))
        for member in usual if members is None else members:
            yield replace(load(path, member=member, device=device), precision=dtype)


def track(
    subject: Subject,
    measures: str | Iterable[str] | None = None,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    every: int = 1,
    executor: str | None = None,
    cache: bool = True,
) -> Tracking:
    """`progress` of one network, with all that there is to say about it; arguments and errors as there."""
    require_range("every", every, 1)
    chosen, broken = choose(measures), {} if measures is not None else find_measures()[1]
    given = {name: choose([name])[name].parse(values) for name, values in (options or {}).items()}
    given = {name: given[name] if name in given else one.parse({}) for name, one in chosen.items()}
    result = Tracking(pd.DataFrame(columns=COLUMNS).astype(TYPES), errors=dict(broken))
    for name, one in chosen.items():
        if missing := subject.lacks(one.needs):
            result.skipped[name] = missing[0]
    chosen = {name: m for name, m in chosen.items() if name not in result.skipped}
    asked = frozenset(options or {})
    if not chosen:
        return result
    return _Pass(subject, chosen, given, asked, every, cache, result).run(parse_executor(executor))


@dataclass(frozen=True)
class _Due:
    """A measure that is due at a checkpoint, and the key under which its result is kept."""

    name: str
    options: dict[str, Any]
    key: str


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
        self.asked = asked  # measures whose options a user has set: what they refuse ends the run
        self.member = int(subject.origin.get("member", 0))
        result.member = self.member
        self.steps = kept_steps(subject, every)
        # what examples given as tensors are, no key could say
        self.cache = MeasureCache() if cache and (subject.task is None or subject.task.storable) else None
        self.common = self._common() if self.cache is not None else []
        result.notes += missing_steps(subject)

    def _common(self) -> list[Any]:
        """What results depend on besides the checkpoint and the measure."""
        subject, device = self.subject, self.subject.model.device.type
        task = None if subject.task is None else task_to_dict(subject.task)
        read = [str(subject.origin.get(name)) for name in ("layout", "key", "dtype")]
        read += [contents_digest(Path(str(getattr(subject.task, name)))) for name in getattr(subject.task, "paths", ())]
        return [__version__, task, subject.model.config.to_dict(), str(subject.precision), device, self.member, *read]

    def run(self, workers: Workers) -> Tracking:
        digests = [self._digest(step) for step in self.steps]
        self._settle(digests[-1])
        due = [self._due(place, digest) for place, digest in enumerate(digests)]
        known = self._get(one.key for row in due for one in row if one.key)
        missing = [[one for one in row if one.key not in known] for row in due]
        self.result.kept = sum(map(len, due)) - sum(map(len, missing))
        jobs = [(step, row) for step, row in zip(self.steps, missing, strict=True) if row]
        measured: dict[int, StepFound] = {}
        try:
            self._measure(jobs, workers, measured)
        except KeyboardInterrupt:
            if self.cache is None:
                raise
            raise KeyboardInterrupt(
                f"interrupted after {len(measured)} of {len(jobs)} checkpoints; what was measured is kept, and the same command "
                "goes on from there"
            ) from None
        self._assemble(due, known, measured)
        return self.result

    def _digest(self, step: int) -> list[Any]:
        """What tells a checkpoint from all others, or nothing, where results cannot be kept.

        A network in memory, which may have been edited, is known by its weights.
        """
        series = self.subject.series
        if self.cache is None:
            return []
        if series is None or len(series) == 1:
            return [step, weights_digest(self.subject.model)]
        entry = next(e for e in series.entries if e.step == step)
        if not self.subject.origin:  # nobody knows which member of the file's it opens
            return []
        try:
            return [step, file_digest(entry.path), entry.key]
        except OSError:  # gone, or never there
            return []

    def _key(self, digest: list[Any], label: str, name: str, options: Mapping[str, Any]) -> str:
        return key(digest, *self.common, label, name, self.chosen[name].fingerprint, dict(options)) if digest else ""

    def _due(self, place: int, digest: list[Any]) -> list[_Due]:
        """The measures that are due at a place: expensive ones at some alone, counted back from the last."""
        back = len(self.steps) - 1 - place
        names = [name for name, one in self.chosen.items() if back % one.every == 0]
        return [_Due(n, self.given[n], self._key(digest, "measure", n, self.given[n])) for n in names]

    def _settle(self, digest: list[Any]) -> None:
        """Options that the last checkpoint settles; its snapshot is made only if they are not known."""
        last: Snapshot | None = None
        for name, one in list(self.chosen.items()):
            if one.anchor is None or not one.open_options(self.given[name]):
                continue
            where = self._key(digest, "anchor", name, self.given[name])
            outcome = self._get([where]).get(where)
            if outcome is None:
                last = last or self._last()
                outcome = _settled(one, self.given[name], last)
                self._put({where: outcome} if where and "error" not in outcome else {})
            if "values" in outcome:
                self.given[name] = outcome["values"]
                continue
            del self.chosen[name]
            if "skipped" in outcome:
                self.result.skipped[name] = outcome["skipped"]
            else:
                self.result.errors[name] = outcome["error"]
        self.result.options = {name: self.given[name] for name in self.chosen}

    def _last(self) -> Snapshot:
        """The last checkpoint that can be read and whose weights are finite."""
        for step in reversed(self.steps):
            try:
                snapshot = open_step(self.subject, step)
            except (InterpError, OSError):
                continue  # told when its turn comes
            if snapshot.finite:
                return snapshot
        return Snapshot(self.subject)

    def _get(self, keys: Iterable[str]) -> dict[str, Any]:
        wanted = list(keys)
        return self._guarded(lambda cache: cache.get(wanted)) or {}

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

    def _measure(
        self, jobs: Sequence[tuple[int, list[_Due]]], workers: Workers, measured: dict[int, StepFound]
    ) -> None:
        """Put what every job found into ``measured``, by step; each is kept at once, so that Ctrl-C loses one step's work."""

        def arrived(place: int, found: StepFound) -> None:
            step, row = jobs[place]
            measured[step] = found
            self._refuse(found)
            good = {n: o for n, o in found.outcomes.items() if "error" not in o}
            self._put({one.key: good[one.name] for one in row if one.key and one.name in good})
            self.result.computed += len(found.outcomes)
            tick(f"{len(measured)} of {len(jobs)} checkpoints measured")

        wanted = [tuple((one.name, one.options) for one in row) for _, row in jobs]
        if workers.count > 1 and len(jobs) > 1:
            if not self.subject.origin:
                raise InterpError(
                    f"{self.subject.name} was made in memory, and other processes cannot open it; leave out executor"
                )
            run_jobs(
                workers, measure_in_worker, self._packed([step for step, _ in jobs], wanted, workers.count), arrived
            )
        else:
            for place, (step, _) in enumerate(jobs):
                arrived(place, measure_step(self.subject, step, wanted[place]))

    def _refuse(self, found: StepFound) -> None:
        """End the run where a measure cannot work with the options that a user has set for it."""
        for name, outcome in found.outcomes.items():
            if outcome.get("refused") and name in self.asked:
                raise InterpError(f"{name}: {outcome['error']}")

    def _packed(self, steps: Sequence[int], wanted: Sequence[tuple[Wanted, ...]], workers: int) -> list[_Job]:
        threads = max(1, (os.cpu_count() or 1) // workers)
        subject = self.subject
        own = dict(subject.origin), subject.task, subject.precision, str(subject.model.device)
        n = 1 if subject.series is None else len(subject.series)
        return [_Job(*own, step, row, threads, n) for step, row in zip(steps, wanted, strict=True)]

    def _assemble(
        self, due: Sequence[list[_Due]], known: Mapping[str, Outcome], measured: Mapping[int, StepFound]
    ) -> None:
        rows: list[tuple[int, int, str, str, float]] = []
        blank: list[tuple[int, str]] = []
        for step, row in zip(self.steps, due, strict=True):
            found = measured.get(step, StepFound())
            if found.unreadable:
                self.result.unreadable[step] = found.unreadable
                continue
            bad = False
            for one in row:
                name, outcome = one.name, known.get(one.key) or found.outcomes[one.name]
                bad |= bool(outcome.get("nonfinite"))
                if "skipped" in outcome:
                    self.result.skipped.setdefault(name, outcome["skipped"])
                elif "error" in outcome:
                    self.result.errors.setdefault(name, f"step {step}: {outcome['error']}")
                elif "values" not in outcome:
                    blank.append((step, name))
                else:
                    rows += [(step, self.member, name, w, float(v)) for w, v in outcome["values"].items()]
            if bad:
                self.result.nonfinite.append(step)
        places: dict[str, dict[str, None]] = {}
        for _, _, name, where, _ in rows:
            places.setdefault(name, {})[where] = None
        rows += [(s, self.member, n, w, float("nan")) for s, n in blank for w in places.get(n, {"": None})]
        order = {name: i for i, name in enumerate(self.chosen)}
        rows.sort(key=lambda row: (row[0], order[row[2]]))
        self.result.frame = pd.DataFrame(rows, columns=COLUMNS).astype(TYPES)


def missing_steps(subject: Subject) -> list[str]:
    """A note on checkpoints that a run's plan says there should be, up to the last one, and are not."""
    source = Path(subject.origin.get("source", ""))
    if subject.series is None or not (source / "run.json").is_file():
        return []
    from interp.training.directory import RunDirectory  # training loads checkpoints, too

    steps = subject.series.steps
    try:
        plan = RunDirectory.open(source).plan
    except InterpError:  # a stranger's run.json plans nothing that we know
        return []
    planned = [s for s in plan.checkpoints.within(steps[-1]) if s not in set(steps)]
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
    task: Task | None
    precision: torch.dtype
    device: str
    step: int
    wanted: tuple[Wanted, ...]
    threads: int
    steps: int


def measure_in_worker(job: _Job) -> StepFound:
    """A job in a process of its own; the run is opened once per process."""
    torch.set_num_threads(job.threads)
    subject = _opened(tuple(sorted(job.origin.items())), job.device, job.steps)
    return measure_step(replace(subject, task=job.task, precision=job.precision), job.step, job.wanted)


@lru_cache(maxsize=4)
def _opened(origin: tuple[tuple[str, Any], ...], device: str, steps: int) -> Subject:
    """A run with so many checkpoints: one that has grown since is opened anew."""
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
    if most == 1:
        return steps[-1:]
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
    finite = snapshot.finite
    known, outcomes = choose([name for name, _ in wanted]), {}
    for name, options in wanted:
        outcome = _outcome(known[name], snapshot, options, finite)
        outcomes[name] = outcome if finite else {**outcome, "nonfinite": True}
    return StepFound(outcomes)


def _settled(one: Measure, options: Mapping[str, Any], last: Snapshot) -> Outcome:
    """The options that the last checkpoint settles, as plain values."""
    try:
        settled = one.settle(options, last)
        json.dumps(settled)  # they are kept, and handed to other processes
        return {"values": settled}
    except MissingCapability as reason:
        return {"skipped": str(reason)}
    except (Exception, SystemExit) as error:  # a plugin's failure is one note, the others run
        return {"error": f"{type(error).__name__}: {error}"}


def _outcome(one: Measure, snapshot: Snapshot, options: Mapping[str, Any], finite: bool) -> Outcome:
    try:
        return {"values": plain(one.values(snapshot, options))}
    except MissingCapability as reason:
        return {"skipped": str(reason)}
    except InterpError as error:
        return {"error": str(error), "refused": True} if finite else {}
    except (Exception, SystemExit) as error:  # a plugin's failure is one note, the others run
        if not finite:
            return {}  # decompositions refuse NaN; the curve shows a gap there
        return {"error": f"{type(error).__name__}: {error}"}
