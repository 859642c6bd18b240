"""Training a run from its first step, or from where it stopped, to its last."""

from __future__ import annotations

import shlex
import signal
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from interp.checkpoints.loading import resolve_device
from interp.errors import InterpError
from interp.training.cohorts import Cohorts, check_members
from interp.training.counts import Counts
from interp.training.directory import RunDirectory
from interp.training.plan import Plan
from interp.training.standstill import Standstill
from interp.training.updates.lr_schedule import LRSchedule

SAVE_SECONDS = 30.0  # a kill loses at most about this much work
PACE_SECONDS = 0.25  # how often a run looks at the clock and at Ctrl-C


class RunInterrupted(KeyboardInterrupt):
    """Ctrl-C: the state has been saved, and the message says how to resume."""


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        step: updates made.
        steps: updates planned.
        members: number of members.
        retired: number of members that have retired.
        train_accuracy: mean over the members that train, at the last measurement; None where there is none.
        test_accuracy: the same on the test examples.
        train_loss: the same of the loss.
        test_loss: the same of the loss on the test examples.
        still: number of members whose train loss has stopped changing, as `interp.training.standstill` says.
    """

    step: int
    steps: int
    members: int
    retired: int
    train_accuracy: float | None = None
    test_accuracy: float | None = None
    train_loss: float | None = None
    test_loss: float | None = None
    still: int = 0

    @property
    def summary(self) -> str:
        """Accuracies, or losses where there are no accuracies, and how many members are done.

        Returns:
            one line.

        >>> Progress(5, 20, members=3, retired=1, train_accuracy=0.5, test_loss=0.25).summary
        'train 50.0%, test loss 0.25, 1 of 3 members done'
        """
        parts = [
            f"{part} {accuracy:.1%}" if accuracy is not None else f"{part} loss {loss:.3g}"
            for part, accuracy, loss in (
                ("train", self.train_accuracy, self.train_loss), ("test", self.test_accuracy, self.test_loss)
            )
            if accuracy is not None or loss is not None
        ]  # fmt: skip
        if self.members > 1:
            parts.append(f"{self.retired} of {self.members} members done")
        if self.still:
            parts.append(f"{self.still} of {self.members} at a standstill")
        return ", ".join(parts)

    @property
    def said(self) -> str:
        """The former name of `summary`."""
        warnings.warn("Progress.said is now Progress.summary", DeprecationWarning, stacklevel=2)
        return self.summary


Watcher = Callable[[Progress], None]


def check_plan(plan: Plan) -> list[Counts]:
    """Build what a plan describes for the first member of each cohort, so that mistakes show here and not in a worker.

    Returns:
        how many examples each member has.

    Raises:
        InterpError: anything that does not fit.
    """
    return check_members(plan, resolve_device("cpu"))


def start(
    plan: Plan, path: Path, device: str = "auto", progress: Watcher | None = None,
    tell: Callable[[Plan, Sequence[Counts]], None] | None = None,
) -> RunDirectory:  # fmt: skip
    """Train a plan into a new folder.

    Args:
        plan: what to train.
        path: the folder.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
        progress: called with a `Progress` as the run advances.
        tell: called before the training, with the numbers of examples of its members.

    Returns:
        the folder of the finished run.

    Raises:
        OutputExists: the folder holds something already.
        InterpError: members that fit neither the model nor the memory; a folder that cannot be written.
        RunInterrupted: Ctrl-C.
    """
    ensemble = Cohorts(plan, resolve_device(device))
    RunDirectory.check_new(path)
    if tell is not None:
        tell(plan, ensemble.counts)
    directory = RunDirectory.create(path, plan, ensemble.counts)
    with directory.locked():
        _train(directory, ensemble, progress, resumed=False)
    return directory


def proceed(
    path: Path, steps: int | None = None, device: str = "auto", progress: Watcher | None = None
) -> RunDirectory:
    """Train the run in a folder to its end.

    Args:
        path: the folder.
        steps: a new, larger number of steps; as planned by default.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
        progress: called with a `Progress` as the run advances.

    Returns:
        the folder of the finished run.

    Raises:
        UnreadableFile: no run there, one of another version, a damaged state.
        InterpError: fewer steps than were planned.
        RunInterrupted: Ctrl-C.
    """
    directory = RunDirectory.open(path)
    with directory.locked():
        if steps is not None and steps != directory.plan.steps:
            if steps < directory.plan.steps:
                raise InterpError(f"{path} is planned for {directory.plan.steps:,} steps; --steps can only raise that")
            if directory.plan.lr_times_steps is not None:
                raise InterpError(f"{path}: lr_times_steps decides its steps; train again with a larger one")
            if LRSchedule.parse(directory.plan.lr_schedule).spans:
                raise InterpError(
                    f"{path}: its learning rate has fallen towards step {directory.plan.steps:,} ({directory.plan.lr_schedule}), "
                    "so its steps cannot be raised: train again with more"
                )
            directory.plan = replace(directory.plan, steps=steps)
            directory.write_plan()
        state = directory.state()
        sizes, groups = (None, None) if state is None else state.blocks()
        ensemble = Cohorts(directory.plan, resolve_device(device), sizes, groups)
        resumed = directory.restore(ensemble)
        if not (resumed and directory.finished()):
            _train(directory, ensemble, progress, resumed)
    return directory


def _train(directory: RunDirectory, ensemble: Cohorts, progress: Watcher | None, resumed: bool) -> None:
    plan, saved, pace = ensemble.plan, float("-inf"), 1  # the first state is saved at once
    seen, standstill = _seen(ensemble, []), Standstill()
    with Interrupts() as interrupts:
        while True:
            if not resumed:  # a saved state includes the events of its step
                rows = _events(directory, ensemble)
                standstill.add(rows)
                seen = replace(_seen(ensemble, rows) if rows else seen, step=ensemble.step, still=len(standstill.since))
            resumed = False
            if progress is not None:
                progress(seen)
            if ensemble.step >= plan.steps or not ensemble.blocks:
                break
            if interrupts.asked:
                directory.save_state(ensemble)
                raise RunInterrupted(
                    f"stopped at step {ensemble.step:,} of {plan.steps:,}; go on with: "
                    f"interp train --resume {shlex.quote(str(directory.path))}"
                )
            if time.monotonic() - saved > SAVE_SECONDS:
                directory.save_state(ensemble)
                saved = time.monotonic()
            began = time.monotonic()
            stop = min(ensemble.step + pace, _next_event(ensemble))
            made = stop - ensemble.step
            ensemble.advance(stop)
            # the number of updates between two looks at the clock does not change the results
            pace = _pace(pace, made, time.monotonic() - began)
            seen = replace(seen, step=ensemble.step)
    directory.save_state(ensemble)


def _events(directory: RunDirectory, ensemble: Cohorts) -> list[dict[str, Any]]:
    """Everything that happens at the ensemble's step before the next update; the rows that were measured."""
    plan, step = ensemble.plan, ensemble.step
    last, rows = step >= plan.steps, []
    ensemble.raise_weight_decay()
    if last or step in plan.metrics or ensemble.ended:
        # a member that has made its own last update is measured there, alone
        rows = ensemble.measure(None if last or step in plan.metrics else ensemble.ended)
        directory.append(rows)
        ensemble.retire()
    if last or step in plan.checkpoints or not ensemble.blocks:
        directory.checkpoint(ensemble)
    return rows


def _next_event(ensemble: Cohorts) -> int:
    plan, step = ensemble.plan, ensemble.step
    candidates = [
        plan.steps,
        plan.metrics.after(step),
        plan.checkpoints.after(step),
        ensemble.next_late(),
        ensemble.next_end(),
    ]
    return min(c for c in candidates if c is not None)


def _pace(pace: int, made: int, seconds: float) -> int:
    if seconds < PACE_SECONDS / 2 and made == pace:
        return pace * 2
    return max(1, pace // 2) if seconds > PACE_SECONDS * 2 else pace


def _seen(ensemble: Cohorts, rows: Sequence[Mapping[str, Any]]) -> Progress:
    means = {}
    for name in ("train_accuracy", "test_accuracy", "train_loss", "test_loss"):
        values = [row[name] for row in rows if row.get(name) is not None]
        means[name] = sum(values) / len(values) if values else None
    return Progress(ensemble.step, ensemble.plan.steps, len(ensemble.plan.members), len(ensemble.retired), **means)


class Interrupts:
    """Ctrl-C sets a flag that the loop reads between updates; a second one stops at once.

    SIGTERM does the same where the program has taken it in hand, as ``interp train`` has; elsewhere it ends a process as ever.
    """

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():  # only there can signals be caught
            caught = [signal.SIGINT, *([signal.SIGTERM] if callable(signal.getsignal(signal.SIGTERM)) else [])]
            self._before = {number: signal.signal(number, self._ask) for number in caught}
        return self

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
