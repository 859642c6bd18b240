"""One pass over a series: each checkpoint is opened once, forwarded once, and forgotten."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interp._util.parallel import Workers, run_jobs
from interp._util.progress_context import tick
from interp.errors import InterpError, MissingCapability
from interp.history.cache import MeasureCache, OptionalCache
from interp.history.cache_keys import CacheKeys
from interp.history.measure_history import MeasureHistory
from interp.history.steps import kept_steps, missing_steps, open_step
from interp.history.stored_results import is_measured, is_settled
from interp.history.worker import Job, Measured, StepMeasured, Wanted, measure_in_worker, measure_step
from interp.plugins.measure import Measure
from interp.snapshot import Snapshot
from interp.subject import Subject


@dataclass(frozen=True)
class Due:
    """A measure that is due at a checkpoint, and the key of its result in the cache."""

    name: str
    options: dict[str, Any]
    key: str


class OnePass:
    """Measures over a subject's checkpoints.

    Args:
        subject: gives the series.
        measures: by name; each applies to the subject.
        options: by measure, all of them.
        set_by_user: measures whose options the user has set: what they refuse ends the run.
        every: take every n-th checkpoint, counting back from the last.
        cache: whether earlier results are used and new ones stored.
        result: is filled in.
    """

    def __init__(
        self,
        subject: Subject,
        measures: dict[str, Measure],
        options: dict[str, dict[str, Any]],
        set_by_user: frozenset[str],
        every: int,
        cache: bool,
        result: MeasureHistory,
    ):
        self.subject, self.measures, self.options, self.result = subject, measures, options, result
        self.set_by_user = set_by_user
        self.member = result.member = int(subject.origin.get("member", 0))
        self.steps = kept_steps(subject, every)
        storable = cache and (subject.task is None or subject.task.storable)
        self.keys = CacheKeys(subject) if storable else None
        self.cache = OptionalCache(MeasureCache() if storable else None, result.notes)
        result.notes += missing_steps(subject)

    def run(self, workers: Workers) -> MeasureHistory:
        """Measure what is not in the cache, and put the table together."""
        digests = [self.keys.digest(step) if self.keys else [] for step in self.steps]
        self._settle(digests[-1])
        due = [self._due(place, digest) for place, digest in enumerate(digests)]
        stored = self.cache.get(one.key for row in due for one in row if one.key)
        known = {where: value for where, value in stored.items() if is_measured(value)}
        missing = [[one for one in row if one.key not in known] for row in due]
        self.result.cached = sum(map(len, due)) - sum(map(len, missing))
        jobs = [(step, row) for step, row in zip(self.steps, missing, strict=True) if row]
        found: dict[int, StepMeasured] = {}
        try:
            self._measure(jobs, workers, found)
        except KeyboardInterrupt:
            if not self.cache.active:
                raise
            raise KeyboardInterrupt(
                f"interrupted after {len(found)} of {len(jobs)} checkpoints; their results are cached, and the same command "
                "continues from there"
            ) from None
        self._assemble(due, known, found)
        return self.result

    def _key(self, digest: list[Any], label: str, name: str) -> str:
        if self.keys is None:
            return ""
        return self.keys.of(digest, label, name, self.measures[name].fingerprint, self.options[name])

    def _due(self, place: int, digest: list[Any]) -> list[Due]:
        """The measures due at a checkpoint: expensive ones only at every n-th, counting back from the last."""
        back = len(self.steps) - 1 - place
        names = [name for name, one in self.measures.items() if back % one.every == 0]
        return [Due(n, self.options[n], self._key(digest, "measure", n)) for n in names]

    def _settle(self, digest: list[Any]) -> None:
        """Take open options from the last checkpoint, which is opened only if the cache does not hold them."""
        last: Snapshot | None = None
        for name, one in list(self.measures.items()):
            if one.anchor is None or not one.open_options(self.options[name]):
                continue
            where = self._key(digest, "anchor", name)
            settled = self.cache.get([where]).get(where)
            if settled is None or not is_settled(settled, one, self.options[name]):
                last = last or self._last()
                settled = _settled(one, self.options[name], last)
                self.cache.put({where: settled} if where and "error" not in settled else {})
            if "values" in settled:
                self.options[name] = settled["values"]
                continue
            del self.measures[name]
            if "skipped" in settled:
                self.result.skipped[name] = settled["skipped"]
            else:
                self.result.errors[name] = settled["error"]
        self.result.options = {name: self.options[name] for name in self.measures}

    def _last(self) -> Snapshot:
        """The last checkpoint that can be read and whose weights are finite."""
        for step in reversed(self.steps):
            try:
                snapshot = open_step(self.subject, step)
            except (InterpError, OSError):
                continue  # reported when its turn comes
            if snapshot.finite:
                return snapshot
        return Snapshot(self.subject)

    def _measure(self, jobs: Sequence[tuple[int, list[Due]]], workers: Workers, found: dict[int, StepMeasured]) -> None:
        """Fill ``found`` by step; each checkpoint is cached at once, so that Ctrl-C loses one checkpoint's work."""

        def arrived(place: int, one: StepMeasured) -> None:
            step, row = jobs[place]
            found[step] = one
            self._refuse(one)
            good = {n: m for n, m in one.measured.items() if "error" not in m}
            self.cache.put({due.key: good[due.name] for due in row if due.key and due.name in good})
            self.result.computed += len(one.measured)
            tick(f"{len(found)} of {len(jobs)} checkpoints measured", len(found), len(jobs))

        wanted = [tuple((one.name, one.options) for one in row) for _, row in jobs]
        if workers.count > 1 and len(jobs) > 1:
            if not self.subject.origin:
                raise InterpError(
                    f"{self.subject.name} was made in memory, so other processes cannot open it; leave out executor, or "
                    "save it and load the file"
                )
            run_jobs(workers, measure_in_worker, self._jobs([step for step, _ in jobs], wanted, workers.count), arrived)
        else:
            for place, (step, _) in enumerate(jobs):
                arrived(place, measure_step(self.subject, step, wanted[place]))

    def _refuse(self, one: StepMeasured) -> None:
        """End the run where a measure cannot work with the options that the user has set for it."""
        for name, measured in one.measured.items():
            if measured.get("refused") and name in self.set_by_user:
                raise InterpError(f"{name}: {measured['error']}")

    def _jobs(self, steps: Sequence[int], wanted: Sequence[tuple[Wanted, ...]], workers: int) -> list[Job]:
        threads = max(1, (os.cpu_count() or 1) // workers)
        subject = self.subject
        own = dict(subject.origin), subject.task, subject.precision, str(subject.model.device)
        n_steps = 1 if subject.series is None else len(subject.series)
        return [Job(*own, step, row, threads, n_steps) for step, row in zip(steps, wanted, strict=True)]

    def _assemble(
        self, due: Sequence[list[Due]], known: Mapping[str, Measured], found: Mapping[int, StepMeasured]
    ) -> None:
        rows: list[tuple[int, int, str, str, float]] = []
        blank: list[tuple[int, str]] = []  # measures without a number at a step whose weights are not finite
        for step, row in zip(self.steps, due, strict=True):
            own = found.get(step, StepMeasured())
            if own.unreadable:
                self.result.unreadable[step] = own.unreadable
                continue
            bad = False
            for one in row:
                name, measured = one.name, known.get(one.key) or own.measured[one.name]
                bad |= bool(measured.get("nonfinite"))
                if "skipped" in measured:
                    self.result.skipped.setdefault(name, measured["skipped"])
                elif "error" in measured:
                    self.result.errors.setdefault(name, f"step {step}: {measured['error']}")
                elif "values" not in measured:
                    blank.append((step, name))
                else:
                    rows += [(step, self.member, name, w, float(v)) for w, v in measured["values"].items()]
            if bad:
                self.result.nonfinite.append(step)
        places: dict[str, dict[str, None]] = {}
        for _, _, name, where, _ in rows:
            places.setdefault(name, {})[where] = None
        rows += [(s, self.member, n, w, float("nan")) for s, n in blank for w in places.get(n, {"": None})]
        order = {name: i for i, name in enumerate(self.measures)}
        rows.sort(key=lambda row: (row[0], order[row[2]]))
        self.result.fill(rows)


def _settled(one: Measure, options: Mapping[str, Any], last: Snapshot) -> Measured:
    """The options that the last checkpoint settles, as plain values."""
    try:
        settled = one.settle(options, last)
        json.dumps(settled)  # they are cached, and sent to other processes
        return {"values": settled}
    except MissingCapability as reason:
        return {"skipped": str(reason)}
    except (Exception, SystemExit) as error:  # a plugin's failure is one note, the others run
        return {"error": f"{type(error).__name__}: {error}"}
