"""Making the command of a task: its options are the task's fields and the settings of a run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interp.cli.failures import interruptible
from interp.cli.options import usually
from interp.cli.train.architectures import ARCHITECTURE_HELP, takes_architectures
from interp.cli.train.flags import in_words_of_the_shell
from interp.cli.train.phases import PHASE_OPTIONS
from interp.cli.train.settings import SETTINGS, TRAINING

if TYPE_CHECKING:
    from interp.tasks import Task
    from interp.training.recipes import Recipe

RUN, MEMBERS, ARCHITECTURE, PHASES = "The run", "Members", "Architecture", "Phases of learning"
SAMPLES = {"target": "skull.png --arch-of skull.zip", "p": "113", "table": "S_3", "path": "FILE"}  # for the example


def make_command(task: type[Task]) -> Any:
    """The command that trains on a task.

    Args:
        task: its class; its options become options of the command.

    Returns:
        a click command.
    """
    from interp.training.recipes import recipe_for

    recipe = recipe_for(task)
    parameters = [*run_options(), *task_options(task), *_architecture(task), *_members(), *setting_options(recipe)]

    def train(given: Mapping[str, Any]) -> None:
        from interp.cli.train.running import train_task

        train_task(task, given)

    about = f"{task.summary[:1].upper()}{task.summary[1:]}. By default {recipe.source}."
    return assemble(task.name, parameters, train, about, _example(task))


def assemble(
    name: str,
    parameters: Sequence[inspect.Parameter],
    run: Callable[[Mapping[str, Any]], None],
    about: str,
    example: str,
) -> Any:
    """A command of parameters that are known only when it is asked for.

    Args:
        name: of the command.
        parameters: made by `option`.
        run: called with the values of the options, by name.
        about: what ``--help`` says it does.
        example: a whole command line.

    Returns:
        a click command.
    """

    @interruptible
    def command(**given: Any) -> None:
        with in_words_of_the_shell(p.name for p in parameters):
            run(given)

    command.__doc__ = about
    command.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    single = typer.Typer(add_completion=False, rich_markup_mode="rich")
    context = {"help_option_names": ["-h", "--help"]}
    single.command(name, epilog=f"Example: {example}", context_settings=context)(command)
    return typer.main.get_command(single)


def run_options(out: str = "A new folder for the run.") -> list[inspect.Parameter]:
    """Where a run is written, as help says it, and where it trains."""
    return [
        option("out", Path, out, RUN, required=True, names=("--out", "-o")),
        option("device", str, "auto (CUDA where there is one), cpu, cuda, cuda:1, mps.", RUN, default="auto"),
        option(
            "executor",
            str,
            "Spread members over workers: process:4 or dask:ADDRESS (Slurm: dask-jobqueue starts the scheduler).",
            RUN,
        ),
    ]


def task_options(task: type[Task]) -> list[inspect.Parameter]:
    """The task's own fields; its seed is among the members' settings."""
    panel, required, found = f"Task: {task.name}", task.required_names(), []
    for name in task.option_names():
        if name != "seed":
            default = task.default(name)
            shown = None if name in required or default in (None, "") else str(default)
            found.append(option(name, str, task.HELP.get(name, ""), panel, shown=shown, required=name in required))
    return found


def _architecture(task: type[Task]) -> list[inspect.Parameter]:
    if not takes_architectures(task):
        return []
    return [option(name, str, text, ARCHITECTURE) for name, text in ARCHITECTURE_HELP.items()]


def _members() -> list[inspect.Parameter]:
    return [
        option(
            "seed",
            str,
            "Seed of everything random: data and split, initial weights, order of batches and dropout. Like "
            "the next three it takes several values: 0,1,2 or 0:9:10.",
            MEMBERS,
            shown="0",
        ),
        option("data_seed", str, "Seed of data and split, in place of the seed.", MEMBERS, shown="the seed"),
        option("init_seed", str, "Seed of the initial weights, in place of the seed.", MEMBERS, shown="the seed"),
        option("order_seed", str, "Seed of batches and dropout, in place of the seed.", MEMBERS, shown="the seed"),
        option("seeds", int, "Train this many members, with the seeds 0, 1, ...", MEMBERS),
        option(
            "grid",
            list[str],
            "Values by name, of any option, of the network's fields, and of width and depth: "
            "decoder_lr=1e-5:1e-2:10:log, hidden=32,64x64, dropout=0,0.1.",
            MEMBERS,
        ),
    ]


def setting_options(recipe: Recipe) -> list[inspect.Parameter]:
    """The settings of a run, with the recipe's values."""
    usual = _usual(recipe)
    found = [option(s.name, s.type, s.help, s.panel, shown=usual.get(s.name)) for s in SETTINGS]
    readout = "Compute a transformer's last block only where the answer is read."
    return [*found, option("readout", bool, readout, TRAINING, default=True), *phase_options()]


def phase_options() -> list[inspect.Parameter]:
    """What counts as reached."""
    return [option(name, kind, text, PHASES) for name, (kind, text) in PHASE_OPTIONS.items()]


def option(
    name: str,
    kind: Any,
    text: str,
    panel: str,
    *,
    default: Any = None,
    shown: str | None = None,
    required: bool = False,
    names: tuple[str, ...] | None = None,
) -> inspect.Parameter:
    """A parameter of a command.

    Args:
        name: of the argument; its flag has dashes for underscores.
        kind: the type that the text is read as.
        text: for ``--help``.
        panel: heading in ``--help``.
        default: None where it need not be given.
        shown: what ``--help`` names as its default, where that is decided elsewhere.
        required: it must be given.
        names: flags, where they are not the usual ones.

    Returns:
        what typer makes an option of.
    """
    flag = name.replace("_", "-")
    declared = names or ((f"--{flag}/--no-{flag}",) if kind is bool else (f"--{flag}",))
    told = text if shown is None else usually(text, shown)
    show = shown is None and default is not None
    option = typer.Option(*declared, help=told, rich_help_panel=panel, show_default=show)
    annotation = Annotated[kind if required or default is not None else kind | None, option]
    value = inspect.Parameter.empty if required else default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=annotation)


def _usual(recipe: Recipe) -> dict[str, str]:
    """What the recipe sets, as text for ``--help``."""
    values = {**recipe.optimizer, **recipe.plan, "optimizer": recipe.optimizer["name"], "model": _spec(recipe.model)}
    values |= {"epochs": recipe.epochs} if recipe.epochs else {}
    values.pop("name", None)
    return {k: ",".join(map(str, v)) if isinstance(v, tuple) else str(v) for k, v in values.items()}


def _spec(model: Mapping[str, Any]) -> str:
    fields = {k: "x".join(map(str, v)) if isinstance(v, tuple) else v for k, v in model.items() if k != "kind"}
    return f"{model['kind']}:" + ",".join(f"{k}={v}" for k, v in fields.items())


def _example(task: type[Task]) -> str:
    options = [f"--{name.replace('_', '-')} {SAMPLES.get(name, 'VALUE')}" for name in task.required_names()]
    return " ".join(["interp train", task.name, *options, "--seeds 5", f"--out runs/{task.name}"])
