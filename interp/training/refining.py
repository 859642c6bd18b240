"""`refine`: a phase diagram that spends its networks where phases meet."""

from __future__ import annotations

import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from interp._util.counted import counted
from interp.errors import InterpError, OutputExists, UnknownName, kind_of, unknown
from interp.hooked import Config
from interp.phase_diagrams import PhaseDiagram, diagram_of
from interp.tasks import Task, make_task
from interp.training.directory import RunDirectory
from interp.training.launch import resume, train
from interp.training.loop import RunInterrupted, Watcher
from interp.training.member_plans import is_whole
from interp.training.members import seeds as several_seeds
from interp.training.plan import require_whole
from interp.training.planning import make_plan
from interp.training.recipes import make_model
from interp.training.refinement import WHERE, Axis, Point, first_squares, meeting, read_axis
from interp.training.run import Run


@dataclass(frozen=True)
class Round:
    """How far a refinement is.

    Attributes:
        number: of the round that ended; the coarse grid is round 0.
        cells: trained so far.
        networks: trained so far.
        meeting: squares in which phases meet, which the next round halves.
    """

    number: int
    cells: int
    networks: int
    meeting: int

    @property
    def summary(self) -> str:
        """One line.

        >>> Round(1, 40, 120, 7).summary
        'round 1: 40 cells, 120 networks; phases meet in 7 squares'
        """
        return (
            f"round {self.number}: {self.cells:,} cells, {self.networks:,} networks; "
            f"phases meet in {counted(self.meeting, 'square')}"
        )


def refine(
    task: str | Task,
    model: str | Config | None = None,
    *,
    axes: Mapping[str, Sequence[Any]],
    seeds: int = 3,
    cells: int = 5,
    rounds: int = 2,
    where: str = "networks",
    phases: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    executor: str | None = None,
    progress: Watcher | None = None,
    round_done: Callable[[Round], None] | None = None,
    told: Callable[[str], None] | None = None,
    **settings: Any,
) -> PhaseDiagram:
    """A phase diagram over one or two settings whose networks are spent where phases meet.

    First a coarse grid is trained, with several seeds a cell. Then each square of it is halved in both directions, unless all
    networks at its corners are of one phase, and so on, round by round. An island of a phase within a square of the coarse
    grid is not found: `cells` is how fine it looks. Each round is a run in a folder of its own. The same call goes on where it
    stopped, and with more rounds it goes on from those that are there.

    Args:
        task: as in `interp.train`.
        model: as in `interp.train`.
        axes: one or two settings in which networks may differ, each with ``(low, high)`` or ``(low, high, "log")``.
        seeds: networks a cell, with the seeds 0, 1, ...
        cells: of the coarse grid along each axis.
        rounds: of halving, after the coarse grid.
        where: ``"networks"`` halves a square unless all networks at its corners are of one phase; ``"majorities"`` only where
            the majorities of its corners differ, or one of them has none. Fewer networks, where seeds differ over wide parts.
        phases: options of `Run.phases`, such as ``{"threshold": 0.9}``.
        out: the folder; by default a temporary one, which is removed together with the result.
        device: as in `interp.train`.
        executor: as in `interp.train`.
        progress: called with a `Progress` as a round advances.
        round_done: called with a `Round` after each.
        told: called with what a user should know before the coarse grid is trained; by default a warning.
        **settings: of `interp.train`, for all networks.

    Returns:
        the cells with phase and confidence, and their figure.

    Raises:
        UnknownName: a setting or an axis that does not exist.
        InterpError: anything that does not fit; a folder that holds another refinement.
        RunInterrupted: Ctrl-C; the same call goes on.
    """
    lines, task, out_of = _axes(axes, task, model), make_task(task), out
    require_whole("seeds", seeds)
    require_whole("rounds", rounds, 0)
    if where not in WHERE:
        raise UnknownName(unknown("value of where", where, WHERE))
    for name in settings:
        if name in ("members", "shards_done"):
            raise UnknownName(
                f"{name!r} is not a setting of a refinement, whose networks are those of its axes and seeds"
            )
    folder = Path(tempfile.mkdtemp(prefix="interp-refined-")) if out_of is None else Path(out_of)
    work = _Work(folder, lines, task, model, several_seeds(seeds), settings, device, executor, progress, told or _warn)
    squares, trained = first_squares(len(lines), cells), dict[tuple[Any, ...], list[str]]()
    tables: list[pd.DataFrame] = []
    for number in range(rounds + 1):
        points = dict.fromkeys(p for s in squares for p in s.corners())
        new = list(dict.fromkeys(v for v in map(work.values, points) if v not in trained))
        if new:
            run = work.run(number, new)
            table = run.phases(**(phases or {})).reset_index()
            own = {name: [m[name] for m in run.plan.members] for name in (*axes, "seed")}
            tables.append(table.assign(**own, round=number))
            for place, rows in zip(new, _cut(table["phase"].tolist(), seeds), strict=True):
                trained[place] = rows
        squares = meeting(squares, {p: trained[work.values(p)] for p in points}, where)
        if round_done is not None:
            round_done(Round(number, len(trained), len(trained) * seeds, len(squares)))
        squares = [half for square in squares for half in square.halves()]
        if not squares:
            break
    networks = pd.concat(tables, ignore_index=True).drop(columns="member")
    log = [axis.name for axis in lines if axis.log]
    found = diagram_of(networks, [axis.name for axis in lines], logarithmic=log, refined=True)
    if out_of is None:
        weakref.finalize(found, shutil.rmtree, folder, ignore_errors=True)
    else:
        found.save(folder)
    return found


def _axes(axes: Mapping[str, Sequence[Any]], task: str | Task, model: str | Config | None) -> list[Axis]:
    if not isinstance(axes, Mapping) or not 1 <= len(axes) <= 2:
        raise InterpError(f'axes are one or two settings, such as {{"lr": (1e-4, 1e-1, "log")}}, got {kind_of(axes)}')
    made = make_task(task)
    kind = make_model(made, model).kind
    return [read_axis(name, given, is_whole(name, made, kind)) for name, given in axes.items()]


def _warn(note: str) -> None:
    warnings.warn(note, stacklevel=7)  # where refine was called: it calls run, train, start, tell, and that calls this


def _said_before(note: str) -> None:
    """Later rounds have the train sets of the first."""


def _cut(values: list[str], size: int) -> list[list[str]]:
    return [values[i : i + size] for i in range(0, len(values), size)]


@dataclass(frozen=True)
class _Work:
    """What all rounds share."""

    folder: Path
    axes: list[Axis]
    task: Task
    model: str | Config | None
    seeds: list[dict[str, int]]
    settings: Mapping[str, Any]
    device: str
    executor: str | None
    progress: Watcher | None
    told: Callable[[str], None]

    def values(self, point: Point) -> tuple[Any, ...]:
        """The settings of a cell."""
        return tuple(axis.value(at) for axis, at in zip(self.axes, point, strict=True))

    def run(self, number: int, places: Sequence[tuple[Any, ...]]) -> Run:
        """Train a round, or go on with it, or read what it came to."""
        names = [axis.name for axis in self.axes]
        members = [{**dict(zip(names, place, strict=True)), **seed} for place in places for seed in self.seeds]
        path = self.folder / f"round_{number}"
        try:
            if not (path / "run.json").exists():
                if number == 0:
                    RunDirectory.check_new(self.folder)
                return train(
                    self.task, self.model, **self.settings, members=members, out=path, device=self.device,
                    executor=self.executor, progress=self.progress, told=self.told if number == 0 else _said_before,
                )  # fmt: skip
            run = Run(path)
            if run.plan != make_plan(self.task, self.model, members=members, **self.settings):
                raise OutputExists(
                    f"{path} belongs to a refinement with other settings, axes, seeds or cells; name another folder"
                )
            if run.finished:
                return run
            return resume(path, device=self.device, executor=self.executor, progress=self.progress)
        except RunInterrupted as stopped:
            raise RunInterrupted(
                f"{str(stopped).partition('; go on')[0]} of round {number} in {self.folder}; the same call goes on"
            ) from None
