"""``interp refine``: a command per task that makes a phase diagram and spends its networks where phases meet."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from interp.cli.progress import Bar
from interp.cli.terminal import escape, output
from interp.cli.train.command import assemble, option, run_options, setting_options, task_options
from interp.cli.train.members import read_typed
from interp.cli.train.phases import phase_settings
from interp.cli.train.running import note
from interp.errors import InterpError

if TYPE_CHECKING:
    from interp.tasks import Task

DIAGRAM = "The diagram"
OUT = "Folder of the diagram: a run for every round, tables and the figure. A new one, or that of the same command."


def make_refinement(task: type[Task]) -> Any:
    """The command that refines a phase diagram of a task.

    Args:
        task: its class; its options become options of the command.

    Returns:
        a click command.
    """
    from interp.training.recipes import recipe_for

    recipe = recipe_for(task)
    parameters = [*run_options(OUT), *_diagram(), *task_options(task), *setting_options(recipe)]
    about = (
        f"Phase diagram of {task.name}: a coarse grid, refined round by round where phases meet. "
        "The same command goes on where it stopped."
    )
    example = f"interp refine {task.name} --axis lr=1e-4:1e-1:log --axis weight_decay=0:2 --out runs/diagram"
    return assemble(task.name, parameters, partial(refine_task, task), about, example)


def _diagram() -> list[inspect.Parameter]:
    return [
        option("axis", list[str], "One or two settings: decoder_lr=1e-5:1e-2:log, batch_size=8:512:log.", DIAGRAM),
        option("seeds", int, "Networks a cell, with the seeds 0, 1, ...", DIAGRAM, default=3),
        option("cells", int, "Cells of the coarse grid along each axis.", DIAGRAM, default=5),
        option("rounds", int, "How often the squares in which phases meet are halved.", DIAGRAM, default=2),
        option(
            "where",
            str,
            "Halve a square unless all networks at its corners are of one phase (networks), or only where the "
            "majorities of its corners differ (majorities).",
            DIAGRAM,
            default="networks",
        ),
    ]


def refine_task(task: type[Task], given: Mapping[str, Any]) -> None:
    """Refine a phase diagram as a user typed it.

    Args:
        task: the class of the task.
        given: the values of the command's options, by name.

    Raises:
        InterpError: anything that does not fit; nothing is trained then.
    """
    from interp.tasks import build_task
    from interp.training.members import SEEDS
    from interp.training.refining import refine

    axes = dict(_axis(text) for text in given["axis"] or ())
    if len(axes) not in (1, 2):
        raise InterpError("give one or two axes, each as --axis NAME=LOW:HIGH, or NAME=LOW:HIGH:log")
    alone = dict.fromkeys(("grid", *SEEDS, "seeds"))
    typed = read_typed(task, {**given, **alone})
    if len(typed.members) > 1 or set(typed.members[0]) - {*SEEDS}:
        raise InterpError("a refinement varies its axes: give every other option one value, or use interp train")
    settings = {n: v for n, v in typed.settings.items() if v is not None and n != "model"}
    with Bar() as bar:
        found = refine(
            build_task(task.name, typed.options), typed.settings["model"], axes=axes, seeds=given["seeds"],
            cells=given["cells"], rounds=given["rounds"], where=given["where"], out=given["out"], device=given["device"],
            phases=phase_settings(given), executor=given["executor"], progress=bar,
            round_done=lambda done: typer.echo(done.summary, err=True),
            told=note, **settings,
        )  # fmt: skip
    console = output()
    console.print(escape(found.summary))
    console.print(f"Diagram: {escape(str(given['out'] / 'phase_diagram.html'))}, cells.csv beside it")


def _axis(text: str) -> tuple[str, tuple[Any, ...]]:
    """An axis as it is typed: ``NAME=LOW:HIGH`` or ``NAME=LOW:HIGH:log``."""
    from interp._util.specs import parse_value

    name, equals, rest = text.partition("=")
    if not equals or len(rest.split(":")) not in (2, 3):
        raise InterpError(f"cannot read --axis {text!r}: write --axis NAME=LOW:HIGH, or NAME=LOW:HIGH:log")
    return name.strip().replace("-", "_"), tuple(parse_value(part) for part in rest.split(":"))
