"""A run, finished or not: its metrics as a table, its checkpoints as a series, its members as subjects."""

from __future__ import annotations

import html
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from interp._util.parallel import parse_executor
from interp.checkpoints.loading import load
from interp.errors import InterpError, UnreadableFile
from interp.hooked import Config
from interp.series import CheckpointSeries
from interp.subject import Subject
from interp.tasks import Task, make_task
from interp.training.bar import shown
from interp.training.directory import RunDirectory
from interp.training.loop import Watcher, check_plan, proceed, start
from interp.training.members import varying
from interp.training.phases import phases
from interp.training.plan import Plan
from interp.training.recipes import make_plan
from interp.training.shards import Counter, train_in_shards

if TYPE_CHECKING:
    from interp.training.optimizers import Optimizer
    from interp.training.schedule import Schedule


class Run:
    """What a run directory holds.

    >>> run = train("addition:p=4", steps=20, members=[{"seed": 0}, {"seed": 1}])
    >>> run
    Run of 2 members, 20 of 20 steps: addition:p=4
    >>> run.metrics.columns.tolist()[:4], run.subject(member=1).step
    (['step', 'member', 'train_loss', 'train_accuracy'], 20)
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._directory = RunDirectory.open(self.path)

    @property
    def plan(self) -> Plan:
        return self._directory.plan

    @property
    def finished(self) -> bool:
        return self._directory.finished()

    @property
    def metrics(self) -> pd.DataFrame:
        """``metrics.jsonl`` as a table, one row per step and member, and a column for whatever members differ in."""
        path = self._directory.metrics_path
        if not path.is_file():
            return pd.DataFrame(columns=["step", "member"])
        try:
            rows = pd.DataFrame(pd.read_json(path, lines=True, precise_float=True))
        except ValueError as error:
            raise UnreadableFile(f"{path} is damaged ({error}); cut it at the last whole line") from None
        return rows.join(self._settings(), on="member")

    @property
    def members(self) -> pd.DataFrame:
        """One row per member: what it has for its own, and its last measured values."""
        last = self.metrics.sort_values("step").groupby("member").tail(1).set_index("member").sort_index()
        own = list(self._settings())
        return last.reindex(columns=[*(c for c in last.columns if c not in own), *own])

    def _settings(self) -> pd.DataFrame:
        members = self.plan.members
        return pd.DataFrame([{n: m.get(n) for n in varying(members)} for m in members], index=range(len(members)))

    def phases(self, threshold: float = 0.9, **limits: int) -> pd.DataFrame:
        """One row per member: when train and test accuracy reached the threshold, and the phase; see `phases`."""
        table = phases(self.metrics, threshold, **limits)
        return table.join(self._settings())

    def subject(self, member: int = 0, step: int | None = None) -> Subject:
        """A member as a `Subject`, at its last checkpoint or another."""
        return load(self.path, member=member, step=step)

    @property
    def subjects(self) -> list[Subject]:
        """All members, as subjects."""
        return [self.subject(member) for member in range(len(self.plan.members))]

    def series(self, member: int = 0) -> CheckpointSeries:
        """The checkpoints of a member."""
        series = self.subject(member).series
        assert series is not None  # a run directory always is one
        return series

    def __len__(self) -> int:
        return len(self.plan.members)

    def __repr__(self) -> str:
        steps = self.metrics["step"].tolist()
        reached = max(steps, default=0)
        count = f"{len(self)} member{'s' if len(self) > 1 else ''}"
        return f"Run of {count}, {reached:,} of {self.plan.steps:,} steps: {self.plan.name}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>{self.members.to_html()}"


def train(
    task: str | Task,
    model: str | Config | None = None,
    *,
    optimizer: str | Optimizer | None = None,
    steps: int | None = None,
    members: Sequence[Mapping[str, Any]] | None = None,
    checkpoints: str | Schedule | None = None,
    metrics: str | Schedule | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    executor: str | None = None,
    progress: Watcher | None = None,
    shards_done: Counter | None = None,
    **settings: Any,
) -> Run:
    """Train an ensemble, by the recipe of its task where nothing else is said.

    Args:
        task: a spec such as ``"modular:p=113,train_fraction=0.3"``, or a Task.
        model: a config, or a spec such as ``"mlp:hidden=48,d_embed=12"``.
        optimizer: ``"sgd"``, ``"adam"``, ``"adamw"`` or an `Optimizer`.
        members: per network, what it has for its own: ``seed``, ``data_seed``, ``init_scale``, learning rates, weight decays,
            options of the task such as ``label_noise``. See `grid` and `seeds`. One member by default.
        checkpoints, metrics: ``every(1000)``, ``log_spaced(60, steps)``, or as text, ``"log:60"``.
        out: a new folder for the run; a temporary one, removed with the Run, by default.
        executor: ``"process:4"`` or ``"dask:ADDRESS"`` spreads the members over workers, which must all see ``out``.
        progress, shards_done: called as the run, or its shards, get on; by default a notebook shows a bar.
        settings: fields of `Plan` and `Optimizer`: ``lr=1e-3``, ``weight_decay=1.0``, ``batch_size=32``, ``retire=0.9``, ...

    Raises:
        InterpError: anything that does not fit; nothing is written then.
        RunInterrupted: Ctrl-C; the run goes on with `resume`.
    """
    plan = make_plan(
        make_task(task), model, optimizer=optimizer, steps=steps, members=members, checkpoints=checkpoints,
        metrics=metrics, **settings,
    )  # fmt: skip
    temporary = out is None
    if out is None:
        out = tempfile.mkdtemp(prefix="interp-run-")
    if executor is None:
        with shown(progress) as watcher:
            start(plan, Path(out), device, watcher)
    else:
        workers = parse_executor(executor)
        check_plan(plan)
        train_in_shards(RunDirectory.create(Path(out), plan), workers, device, shards_done)
    run = Run(out)
    if temporary:
        weakref.finalize(run, shutil.rmtree, run.path, ignore_errors=True)
    return run


def resume(
    path: str | Path,
    *,
    steps: int | None = None,
    device: str = "auto",
    executor: str | None = None,
    progress: Watcher | None = None,
    shards_done: Counter | None = None,
) -> Run:
    """Train the run in a folder to its end, or on to a larger number of steps.

    Raises:
        InterpError: no run, a damaged one, fewer steps than planned, an executor for a run that was begun without one.
        RunInterrupted: Ctrl-C.
    """
    path = Path(path)
    if (path / "shards").is_dir():
        if steps is not None:
            raise InterpError(f"{path} is not finished: resume it first, then go on to more steps")
        train_in_shards(RunDirectory.open(path), parse_executor(executor), device, shards_done)
    elif executor is not None:
        raise InterpError(f"{path} was not begun in shards, or they are merged: resume it without --executor")
    else:
        with shown(progress) as watcher:
            proceed(path, steps, device, watcher)
    return Run(path)
