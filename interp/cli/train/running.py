"""Training what was typed, one run or a folder of runs, and resuming."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from interp._util.progress_context import watched
from interp.cli.progress import Bar
from interp.cli.terminal import escape, output
from interp.cli.train.architectures import architectures
from interp.cli.train.flags import as_flags
from interp.cli.train.members import read_typed
from interp.cli.train.phases import phase_settings, phases_line

if TYPE_CHECKING:
    import pandas as pd

    from interp.tasks import Task
    from interp.training.run import Run

ROWS_SHOWN = 20


def train_task(task: type[Task], given: Mapping[str, Any]) -> None:
    """Train on a task as a user typed it; several architectures make a folder of runs.

    Args:
        task: the class of the task.
        given: the values of the command's options, by name.

    Raises:
        InterpError: anything that does not fit; nothing is trained then.
    """
    from interp.tasks import build_task
    from interp.training.directory import RunDirectory
    from interp.training.launch import train
    from interp.training.loop import check_plan
    from interp.training.planning import make_plan

    RunDirectory.check_new(given["out"])  # before the data are read and the weights drawn
    typed, phases = read_typed(task, given), phase_settings(given)
    built = build_task(task.name, typed.options)
    for text in built.notes:
        note(text)
    shared = {**typed.settings, "members": typed.members}
    model = shared.pop("model")
    places = _places(task, given, model)
    if len(places) > 1:  # what does not fit must show before the first of them is trained
        for config in places.values():
            check_plan(make_plan(built, config, **shared))
    for place, config in places.items():
        with Bar() as bar, watched(bar.tell):
            run = train(
                built, config, **shared, out=place, device=given["device"], executor=given["executor"], progress=bar,
                shards_done=bar.shards, told=note,
            )  # fmt: skip
        show_run(run, phases)


def note(text: str) -> None:
    """Print what a user should know before the training."""
    typer.echo(f"note: {as_flags(text)}", err=True)


def _places(task: type[Task], given: Mapping[str, Any], model: str | None) -> dict[Path, Any]:
    """The network of every run, by the run's folder."""
    out, configs = given["out"], architectures(task, given)
    if len(configs) < 2:
        return {out: next(iter(configs.values()), model)}
    return {out / name: config for name, config in configs.items()}


def resume_run(path: Path, *, steps: int | None, device: str, executor: str | None, given: Mapping[str, Any]) -> None:
    """Train the run in a folder to its end, or on to more steps, and show it.

    Args:
        path: of the run.
        steps: number of updates in all; None: as planned.
        device: where it trains.
        executor: for a run that was begun with one.
        given: the options that say how its phases are shown, see `phase_settings`.

    Raises:
        InterpError: no run there, or one that cannot go on.
    """
    from interp.training.launch import resume

    phases = phase_settings(given)
    with Bar() as bar, watched(bar.tell):
        run = resume(path, steps=steps, device=device, executor=executor, progress=bar, shards_done=bar.shards)
    show_run(run, phases)


def show_run(run: Run, phases: Mapping[str, Any]) -> None:
    """Print a row per member, the phases of learning where there are several members, and how to get a report.

    Args:
        run: that was trained.
        phases: arguments of `Run.phases`; the phases are shown for a single member, too, where there are any.
    """
    from rich.table import Table

    from interp.training.masks import said

    console = output()
    table = Table(box=None, pad_edge=False)
    frame = run.members.reset_index()
    for column in frame.columns:
        table.add_column(str(column).replace("_", " "), justify="right")
    for row in frame.head(ROWS_SHOWN).itertuples(index=False):
        table.add_row(*(f"{v:.4g}" if isinstance(v, float) else escape(str(v)) for v in row))
    console.print(table)
    if len(frame) > ROWS_SHOWN:
        rest = len(frame) - ROWS_SHOWN
        console.print(f"... and {rest} more members, all in {escape(str(run.path / 'metrics.jsonl'))}")
    if "test_accuracy" in frame and (len(frame) > 1 or phases):
        console.print(escape(phases_line(run, phases)))
    if not (still := run.standing_still()).empty:
        console.print(escape(_still_line(still, len(frame))))
    for line in said(run.plan):
        console.print(f"Given {escape(line)}")
    path = escape(str(run.path))
    console.print(f"Run: {path}   Report: interp analyze {shlex.quote(str(path))}")


def _still_line(since: pd.Series, members: int) -> str:
    """That members have stopped learning, and what may help."""
    first = since.head(ROWS_SHOWN // 4)
    shown = ", ".join(f"{member} since step {step:,}" for member, step in first.items())
    more = f" and {len(since) - len(first):,} more" if len(since) > len(first) else ""
    who = f"the network, since step {since.iloc[0]:,}" if members == 1 else f"member {shown}{more} (of {members:,})"
    return (
        f"Standstill: {who}: the train loss no longer changes, by not a single bit. It has converged, or its gradient is 0, as "
        "where units are dead or outputs clipped: then a smaller --lr, or --warmup 100, may help"
    )
