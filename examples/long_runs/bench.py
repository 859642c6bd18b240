"""Where the steps of the evidence run, and what was done there: a record beside each, and a lock while it is at work."""

from __future__ import annotations

import fcntl
import json
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from interp._util.files import atomic

from long_runs.steps import Step

HERE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Bench:
    """Where steps run, and what was done there.

    Attributes:
        runs: the folder of runs.
        data: the folder of files of others.
        here: examples/, with the scripts and measured/.
    """

    runs: Path
    data: Path
    here: Path = HERE

    def argv(self, step: Step) -> list[str]:
        """The command of a step; a training that has a folder goes on in it."""
        if step.kind == "runs" and self._begun(step):
            return [*_interp(), "train", "--resume", step.name]
        words = [word.format(data=self.data, here=self.here) for word in shlex.split(step.command)]
        program = {"interp": _interp(), "python": [sys.executable]}.get(words[0], words[:1])
        return [*program, *words[1:], *(["--out", step.name] if step.kind == "runs" else [])]

    def missing(self, step: Step) -> list[str]:
        """Files of others that a step reads and that are not there."""
        named = (word.removeprefix("{data}/") for word in shlex.split(step.command) if word.startswith("{data}"))
        return [name for name in named if not (self.data / name).exists()]

    def obstacle(self, step: Step) -> str:
        """What keeps a step from being begun or resumed: a folder that this command did not make. Empty if nothing does."""
        folder = self.runs / step.name
        if step.kind != "runs" or not folder.exists():
            return ""
        told = self.record(step)
        if not self._begun(step):
            return f"{folder} holds no run; remove it"
        if not told:
            return f"nothing says that {folder} was made by this step's command; rename or remove it"
        if told["command"] != step.shown:
            return f"{folder} was made by another command ({told['command']}); rename or remove it"
        return "" if self._same(step, told) else f"{folder} stands on what another command made; rename or remove it"

    def _same(self, step: Step, told: Mapping[str, object]) -> bool:
        """Whether a record is of the step as it stands now, and of what it stands on."""
        return told.get("command") == step.shown and told.get("after", step.made_by) == step.made_by

    def _begun(self, step: Step) -> bool:
        return (self.runs / step.name / "run.json").is_file()

    def state(self, step: Step) -> str:
        """``done``, ``begun`` or ``to do``."""
        return "done" if self.done(step) else "begun" if step.kind == "runs" and self._begun(step) else "to do"

    def done(self, step: Step) -> bool:
        """Whether a step is finished, by the command that stands in the table now; a measure, of runs by theirs."""
        told = self.record(step)
        return bool(told.get("done")) and self._same(step, told) and not self.unwritten(step)

    def unwritten(self, step: Step) -> list[str]:
        """The files that a step writes and that are not there."""
        if step.kind == "runs":
            return [] if self._begun(step) else [f"{step.name}/run.json"]
        folder = self.here / "measured" if step.kind == "measures" else self.runs
        return [name for name in step.writes if not (folder / name).is_file()]

    def record(self, step: Step) -> dict[str, object]:
        """What the step took so far: ``command``, ``core_minutes``, ``done``, and by which commands what it stands on was made.

        Raises:
            SystemExit: the record cannot be read.
        """
        path = self._path(step)
        try:
            told = json.loads(path.read_text(encoding="utf8"))
            return {"command": str(told["command"]), "core_minutes": float(told["core_minutes"])} | told
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as error:
            folder = f", and {self.runs / step.name}" if step.kind == "runs" else ""
            raise SystemExit(
                f"{path} is damaged ({type(error).__name__}): remove it{folder}, and {step.name} is run again"
            ) from None

    def minutes(self, step: Step) -> float:
        """Core minutes that the step took so far, by its command."""
        told = self.record(step)
        return float(str(told["core_minutes"])) if self._same(step, told) else 0.0

    def whole(self, step: Step) -> bool:
        """Whether the time of every process of the step is known: none was left to itself by a driver that was killed."""
        return bool(self.record(step).get("whole", True))

    def begin(self, step: Step) -> None:
        """Say that a process of this step is at work."""
        told = self.record(step)
        whole = not self._same(step, told) or (self.whole(step) and not told.get("at_work"))
        self._write(step, self.minutes(step), at_work=True, whole=whole)

    def end(self, step: Step, core: float, done: bool) -> None:
        """Add the CPU time that the process took, in seconds."""
        self._write(step, self.minutes(step) + core / 60, done=done, whole=self.whole(step))

    def _write(
        self, step: Step, minutes: float, *, done: bool = False, at_work: bool = False, whole: bool = True
    ) -> None:
        told = {
            "command": step.shown, "core_minutes": minutes, "done": done, "at_work": at_work, "whole": whole,
            "after": step.made_by,
        }  # fmt: skip
        with atomic(self._path(step)) as partial:
            partial.write_text(json.dumps(told, indent=1), encoding="utf8")

    def _path(self, step: Step) -> Path:
        return self.runs / f"{step.name}.step.json"

    @contextmanager
    def at_work(self, step: Step) -> Iterator[IO[str] | None]:
        """The lock of a step, held until the block and all processes that inherit it end; None where another holds it."""
        with (self.runs / f"{step.name}.lock").open("a", encoding="utf8") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                yield None
            else:
                yield handle


def _interp() -> list[str]:
    return [str(Path(sys.executable).with_name("interp"))]
