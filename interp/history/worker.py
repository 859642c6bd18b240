"""The work at one checkpoint: all wanted measures on one snapshot, in this process or in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import torch

from interp.checkpoints import load
from interp.errors import InterpError, MissingCapability
from interp.history.steps import open_step
from interp.plugins.measure import Measure, choose, plain
from interp.snapshot import Snapshot
from interp.subject import Subject
from interp.tasks import Task

Wanted = tuple[str, dict[str, Any]]  # a measure's name and its options
Measured = dict[str, Any]  # plain JSON: "values" by where, or the reason it was "skipped", or its "error"


@dataclass(frozen=True)
class Job:
    """One checkpoint to measure, as plain values that any process can take.

    Attributes:
        origin: the arguments of `load` that open the run.
        task: replaces the task that the file names.
        precision: dtype in which the measures run the model.
        device: where the model is put.
        step: the checkpoint.
        wanted: measures with their options.
        threads: torch threads that this process may use.
        n_steps: number of checkpoints of the run; a run that has grown is opened again.
    """

    origin: Mapping[str, Any]
    task: Task | None
    precision: torch.dtype
    device: str
    step: int
    wanted: tuple[Wanted, ...]
    threads: int
    n_steps: int


@dataclass(frozen=True)
class StepMeasured:
    """The measures of one checkpoint.

    Attributes:
        measured: by measure.
        unreadable: why the checkpoint could not be opened; empty where it could.
    """

    measured: dict[str, Measured] = field(default_factory=dict)
    unreadable: str = ""


def measure_in_worker(job: Job) -> StepMeasured:
    """`measure_step` in another process, which opens each run once."""
    torch.set_num_threads(job.threads)
    subject = _opened(tuple(sorted(job.origin.items())), job.device, job.n_steps)
    return measure_step(replace(subject, task=job.task, precision=job.precision), job.step, job.wanted)


@lru_cache(maxsize=4)
def _opened(origin: tuple[tuple[str, Any], ...], device: str, n_steps: int) -> Subject:
    """A run with this number of checkpoints: one that has grown is another key, and is opened again."""
    return load(**dict(origin), device=device)


def measure_step(subject: Subject, step: int, wanted: Sequence[Wanted]) -> StepMeasured:
    """All wanted measures of one checkpoint; one that fails does not stop the others.

    Args:
        subject: gives the series.
        step: the checkpoint.
        wanted: names of measures with their options.

    Returns:
        What each measure found, or the reason why the checkpoint could not be read.
    """
    try:
        snapshot = open_step(subject, step)
    except (InterpError, OSError) as error:
        return StepMeasured(unreadable=str(error))
    finite = snapshot.finite
    known, measured = choose([name for name, _ in wanted]), {}
    for name, options in wanted:
        one = _measured(known[name], snapshot, options, finite)
        measured[name] = one if finite else {**one, "nonfinite": True}
    return StepMeasured(measured)


def _measured(one: Measure, snapshot: Snapshot, options: Mapping[str, Any], finite: bool) -> Measured:
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
