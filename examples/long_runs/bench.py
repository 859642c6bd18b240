"""Where the steps of the evidence run, and what was done there: a record beside each, and a lock while it is at work."""

from __future__ import annotations

import fcntl
import json
import shlex
import sys
from collections.abc import Iterator
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
        made_by = self.record(step).get("command")
        if not self._begun(step):
            return f"{folder} holds no run; remove it"
        if made_by is None:
            return f"nothing says that {folder} was made by this step's command; rename or remove it"
        return "" if made_by == step.shown else f"{folder} was made by another command ({made_by}); rename or remove it"

    def _begun(self, step: Step) -> bool:
        return (self.runs / step.name / "run.json").is_file()

    def state(self, step: Step) -> str:
        """``done``, ``begun`` or ``to do``."""
        return "done" if self.done(step) else "begun" if step.kind == "runs" and self._begun(step) else "to do"

    def done(self, step: Step) -> bool:
        """Whether a step is finished, by the command that stands in the table now; a measure, of runs by theirs."""
        told = self.record(step)
        if not told.get("done") or told["command"] != step.shown or told.get("after", step.made_by) != step.made_by:
            return False
        return self._begun(step) if step.kind == "runs" else not self.unwritten(step)

    def unwritten(self, step: Step) -> list[str]:
        """The files that a step writes and that are not there."""
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
            raise SystemExit(
                f"{path} is damaged ({type(error).__name__}): remove it, and {step.name} is run again"
            ) from None

    def minutes(self, step: Step) -> float:
        """Core minutes that the step took so far, by its command."""
        told = self.record(step)
        same = told.get("command") == step.shown and told.get("after", step.made_by) == step.made_by
        return float(str(told["core_minutes"])) if same else 0.0

    def add(self, step: Step, core: float, done: bool) -> None:
        """Add the CPU time that a process of this step took, in seconds."""
        told = {
            "command": step.shown,
            "core_minutes": self.minutes(step) + core / 60,
            "done": done,
            "after": step.made_by,
        }
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
