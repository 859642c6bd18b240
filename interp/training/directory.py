"""The run directory: what a run leaves on disk. A kill at any moment loses minutes of work and nothing else.

    run.json                             the plan and the versions, written once
    start.safetensors                    weights and masks that were given, where there are any
    metrics.jsonl                        one object per line: step, member, losses, accuracies, weight norm
    checkpoints/step_00001000.safetensors   all members stacked ``[member, ...]``, readable one by one
    state/state.safetensors              weights, moments and counters to continue from

A state is written after everything else of its step, and holds the length of ``metrics.jsonl`` at that moment: what was
written later is cut off when the run is resumed, and written again.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any

import torch

from interp._util.files import atomic, no_follow, refuse_links
from interp._util.versions import __version__
from interp.checkpoints.formats.header import HEADER, header_text
from interp.checkpoints.rows import Rows, Shapes, write_rows
from interp.checkpoints.run_files import RECORDED, RUN_FILES, RUN_FORMAT, current, read_json
from interp.errors import InterpError, OutputExists, UnreadableFile, naming
from interp.training.cohorts import Cohorts
from interp.training.counts import Counts, read_counts, write_counts
from interp.training.plan import Plan
from interp.training.state import State, read_state, restore, state_rows

CHECKPOINT = re.compile(r"step_(\d{1,18})\.safetensors")


class RunDirectory:
    """A folder with a run in it.

    Args:
        path: the folder.
        plan: what ``run.json`` holds.
        counts: how many examples each member has; None where ``run.json`` is of an older version.
    """

    def __init__(self, path: Path, plan: Plan, counts: Sequence[Counts] | None = None):
        self.path, self.plan, self.counts = path, plan, counts
        self.metrics_path, self.state_path = path / "metrics.jsonl", path / "state" / "state.safetensors"

    @classmethod
    def create(cls, path: Path, plan: Plan, counts: Sequence[Counts] | None = None) -> RunDirectory:
        """Start a run in a new or empty folder.

        Args:
            path: the folder.
            plan: what will be trained.
            counts: how many examples each member has.

        Returns:
            the directory, with ``run.json`` in it.

        Raises:
            OutputExists: something is there already.
            InterpError: the folder cannot be written.
        """
        cls.check_new(path)
        run = cls(path, plan, counts)
        plan.starts.write(path)  # before the plan, which names them
        run.write_plan()
        try:
            (path / "checkpoints").mkdir(exist_ok=True)
            (path / "state").mkdir(exist_ok=True)
        except OSError as error:
            raise InterpError(f"cannot write {path}: {error.strerror or error}") from None
        return run

    @staticmethod
    def check_new(path: Path) -> None:
        """Refuse a folder that is not empty.

        Raises:
            OutputExists: a run, or anything else, is there already.
        """
        if path.exists() and not path.is_dir():
            raise OutputExists(f"{path} is a file; name a new folder for the run")
        if (path / "run.json").exists():
            raise OutputExists(
                f"{path} holds a run already; continue it with interp train --resume {quote(str(path))}, or name another folder"
            )
        if path.is_dir() and any(path.iterdir()):
            raise OutputExists(f"{path} holds something else; name a new folder for the run")

    def write_plan(self) -> None:
        """Write ``run.json``: the plan, and the versions of what trains it."""
        versions = {"interp": __version__, "torch": torch.__version__, "python": platform.python_version()}
        examples = write_counts(self.counts)
        run = {"format": RUN_FORMAT, "versions": versions, **self.plan.to_dict(), "examples": examples}
        with atomic(self.path / "run.json") as temporary:
            temporary.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """The run in a folder.

        Args:
            path: the folder.

        Returns:
            the directory with its plan.

        Raises:
            UnreadableFile: no run there, one of another version, or a link among its files.
            InterpError: a plan with values that do not fit.
        """
        refuse_links(path, RUN_FILES)
        file = path / "run.json"
        if not file.is_file():
            raise UnreadableFile(f"{path} holds no run (run.json is missing); name the folder that was given to --out")
        stored = current(read_json(file))
        if stored.get(RECORDED):
            raise UnreadableFile(
                f"{path} was recorded from a loop of its own: interp.load opens it, interp.record(resume=True) goes on with it"
            )
        if stored.get("format") != RUN_FORMAT:
            raise UnreadableFile(
                f"{file} is of run format {stored.get('format')!r}, this version of interp reads formats 1 to {RUN_FORMAT}; "
                f"use the version that wrote it ({(stored.get('versions') or {}).get('interp', 'unknown')})"
            )
        try:
            plan = Plan.from_dict(stored)
            plan = replace(plan, starts=plan.starts.at(path))
            return cls(path, plan, read_counts(stored.get("examples"), len(plan.members)))
        except InterpError as error:
            named = naming(file, error)
            raise named from None

    def locked(self) -> AbstractContextManager[None]:
        """Keep other processes out for as long as this one trains; a kill releases the lock."""
        return locked(self.path)

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows to ``metrics.jsonl``."""
        append_rows(self.metrics_path, rows, self._advice())

    def checkpoint(self, ensemble: Cohorts) -> Path:
        """Write the weights of all members at the ensemble's step."""
        model = ensemble.cohorts[0].ensemble.plan.model
        header = header_text(model, self.plan.task, ensemble.step, len(self.plan.members), ensemble.described())
        path = self.path / "checkpoints" / f"step_{ensemble.step:08d}.safetensors"
        self._write(path, *ensemble.weight_rows(), {HEADER: header})
        return path

    def save_state(self, ensemble: Cohorts) -> None:
        """Write everything that resuming needs; the previous state stays until this one is complete."""
        self._sync_metrics()
        held = self.metrics_path.stat().st_size if self.metrics_path.exists() else 0
        state = State.of(ensemble, held)
        self._write(self.state_path, *state_rows(ensemble, state), state.metadata)

    def _sync_metrics(self) -> None:
        """Flush the metrics to the disk: the state, which holds their length, must not get there first."""
        if self.metrics_path.exists():
            with self.metrics_path.open("rb") as file:
                os.fsync(file.fileno())

    def _write(self, path: Path, shapes: Shapes, rows: Rows, metadata: dict[str, str]) -> None:
        try:
            write_rows(path, shapes, rows, metadata)
        except InterpError as error:
            raise InterpError(f"{error}{self._advice()}") from None

    def _advice(self) -> str:
        return f"; what was saved before is intact: make room, and go on with interp train --resume {quote(str(self.path))}"

    def saved_steps(self) -> dict[int, Path]:
        """The checkpoints by their steps."""
        return saved_checkpoints(self.path)

    def finished(self) -> bool:
        """Whether the run has nothing left to do."""
        state = self.state()
        return state is not None and (state.step >= self.plan.steps or not state.ids)

    def state(self) -> State | None:
        """The step, the members and the counters of the saved state; None where none was saved yet."""
        return read_state(self.state_path, len(self.plan.members))

    def restore(self, ensemble: Cohorts) -> bool:
        """Put the saved state into an ensemble, and cut off what was written after it.

        Args:
            ensemble: of this run's plan.

        Returns:
            whether there was a state; without one the run starts from step 0.

        Raises:
            UnreadableFile: the state is damaged or gone, or metrics are missing; nothing was cut off.
        """
        state = self.state()
        if state is None and any(later > 0 for later in self.saved_steps()):
            raise UnreadableFile(
                f"{self.state_path} is missing, so the run cannot be resumed; train again into another folder"
            )
        length = 0 if state is None else state.metrics_bytes
        held = self.metrics_path.stat().st_size if self.metrics_path.exists() else 0
        if held < length:
            raise UnreadableFile(
                f"{self.metrics_path} holds {held:,} bytes, fewer than the {length:,} of the saved state: rows are missing; "
                "restore the file, or train again into another folder"
            )
        if state is None:
            self._cut(-1, 0)
            return False
        restored = restore(self.state_path, state, ensemble)
        self._cut(state.step, length)
        restored()
        return True

    def _cut(self, step: int, length: int) -> None:
        try:
            for later, file in self.saved_steps().items():
                if later > step:
                    file.unlink()
            for place in (self.path, self.path / "checkpoints", self.path / "state"):
                for partial in place.glob(".*.partial"):  # a kill while a file was being written
                    partial.unlink()
            if self.metrics_path.exists():
                with open(self.metrics_path, "r+b", opener=no_follow) as file:
                    file.truncate(length)
        except OSError as error:
            raise InterpError(f"cannot write {self.path}: {error.strerror or error}") from None


def append_rows(path: Path, rows: Sequence[Mapping[str, Any]], advice: str = "") -> None:
    """Add rows to a run's ``metrics.jsonl``.

    Args:
        path: of the file; it is created if needed.
        rows: of plain values.
        advice: what a user can do when it cannot be written, for the message.

    Raises:
        InterpError: the file cannot be written.
    """
    text = "".join(json.dumps(row, allow_nan=False) + "\n" for row in rows)
    try:
        with open(path, "a", encoding="utf-8", opener=no_follow) as file:
            file.write(text)
    except OSError as error:
        raise InterpError(f"cannot write {path}: {error.strerror or error}{advice}") from None


def saved_checkpoints(folder: Path) -> dict[int, Path]:
    """The checkpoints in a run's folder by their steps, in order.

    Args:
        folder: of the run.

    Returns:
        paths by step.
    """
    files = sorted((folder / "checkpoints").glob("step_*.safetensors"))
    named = ((CHECKPOINT.fullmatch(file.name), file) for file in files)
    return {int(match[1]): file for match, file in named if match}


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes out for as long as this one trains; a kill releases the lock.

    Args:
        path: the folder of a run.

    Raises:
        InterpError: another process trains here.
    """
    try:
        import fcntl
    except ImportError:  # Windows: nothing keeps a second process out
        yield
        return
    try:
        (path / "state").mkdir(exist_ok=True)
        # to append is not to truncate: what is there stays as it is
        handle = open(path / "state" / "lock", "a", opener=no_follow)  # noqa: SIM115  held below
    except OSError as error:
        raise InterpError(f"cannot write {path}: {error.strerror or error}") from None
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InterpError(f"{path}: another process is training this run; wait for it, or stop it") from None
        yield
