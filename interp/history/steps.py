"""The checkpoints of a subject's series, one at a time: which steps to use, how to open one, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from interp._util.progress_context import tick
from interp.errors import InterpError, require_range
from interp.snapshot import Snapshot
from interp.subject import Subject
from interp.training.directory import RunDirectory


def kept_steps(subject: Subject, every: int = 1, most: int | None = None) -> list[int]:
    """The steps at which a subject is evaluated.

    Args:
        subject: one with a series, or a single checkpoint.
        every: take every n-th checkpoint, counting back from the last.
        most: an upper limit; more than that are thinned out evenly, keeping the first and the last.

    Returns:
        Steps in ascending order; the subject's own step where it has no series, 0 where that is not known.

    Raises:
        InterpError: ``every`` is not a whole number from 1 on.
    """
    check_every(every)
    steps = [subject.step or 0] if subject.series is None else subject.series.steps[::-1][::every][::-1]
    if most is None or len(steps) <= most:
        return steps
    if most == 1:
        return steps[-1:]
    return [steps[round(i * (len(steps) - 1) / (most - 1))] for i in range(most)]


def check_every(every: int) -> None:
    """Refuse an ``every`` that is not a whole number from 1 on."""
    if not isinstance(every, int):
        raise InterpError(f"every must be a whole number, got {every!r}")
    require_range("every", every, 1)


def open_step(subject: Subject, step: int) -> Snapshot:
    """The subject's network at another step of its series.

    Args:
        subject: gives the series, the task and the precision.
        step: one of the steps of its series.

    Returns:
        A snapshot that has computed nothing yet.

    Raises:
        InterpError: the series has no such step, the file cannot be read, or its network has another config than the
            subject's.
    """
    series = subject.series
    model = subject.model if series is None or len(series) == 1 else series.at(step).to(subject.model.device)
    if model.config != subject.model.config:
        own, rest = model.config.to_dict(), subject.model.config.to_dict()
        differ = ", ".join(f"{n}={own.get(n)}, not {rest.get(n)}" for n in {**rest, **own} if own.get(n) != rest.get(n))
        raise InterpError(f"its network differs from the one at step {subject.step or 0:,}: {differ}")
    return Snapshot(replace(subject, model=model, step=step))


def walk(subject: Subject, steps: Sequence[int], notes: list[str]) -> Iterator[Snapshot]:
    """Open checkpoints one after the other, skipping those that cannot be read.

    Args:
        subject: gives the series.
        steps: which checkpoints, in order.
        notes: gets a sentence for every checkpoint that is skipped.

    Yields:
        One snapshot per readable checkpoint.
    """
    for place, step in enumerate(steps):
        try:
            snapshot = open_step(subject, step)
        except (InterpError, OSError) as error:
            notes.append(left_out(step, str(error)))
            continue
        yield snapshot
        tick(f"{place + 1} of {len(steps)} checkpoints", place + 1, len(steps))


def left_out(step: int, reason: str) -> str:
    """The note on a checkpoint that is missing from a report's curves."""
    return f"Step {step:,} was left out: {reason}"


def missing_steps(subject: Subject) -> list[str]:
    """A note on checkpoints that the run's plan asks for, up to the last one found, but that do not exist."""
    source = Path(subject.origin.get("source", ""))
    if subject.series is None or not (source / "run.json").is_file():
        return []
    steps = subject.series.steps
    try:
        plan = RunDirectory.open(source).plan
    except InterpError:  # another tool's run.json does not hold a plan
        return []
    planned = [s for s in plan.checkpoints.within(steps[-1]) if s not in set(steps)]
    if not planned:
        return []
    named = ", ".join(f"{s:,}" for s in planned[:8]) + (" ..." if len(planned) > 8 else "")
    count = f"{len(planned)} planned checkpoint{'s are' if len(planned) > 1 else ' is'} missing"
    return [f"{count}: step{'s' if len(planned) > 1 else ''} {named}. The curves have gaps there."]
