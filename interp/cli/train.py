"""``interp train``: one command per task, whose options are the task's fields and the settings of a run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from interp.cli.architectures import ARCHITECTURE_HELP, architectures
from interp.cli.failures import escape, interruptible
from interp.cli.progress import Bar
from interp.errors import InterpError

if TYPE_CHECKING:
    from interp.tasks import Task
    from interp.training.run import Run

RUN, MANY, OPTIMISER, TRAINING, WATCH = "The run", "Members", "Optimiser", "Training", "What is kept"


@dataclass(frozen=True)
class Setting:
    """An option of ``interp train``; those of type str may list values where members can differ in them."""

    name: str
    type: type
    help: str
    panel: str


SETTINGS = (
    Setting(
        "model",
        str,
        "The network, over the recipe's: mlp:hidden=200x200,act_fn=tanh or transformer:d_mlp=256.",
        TRAINING,
    ),
    Setting("optimizer", str, "sgd, adam (weight decay as L2) or adamw (decoupled).", OPTIMISER),
    Setting("lr", str, "Learning rate.", OPTIMISER),
    Setting("weight_decay", str, "Weight decay.", OPTIMISER),
    Setting("embedding_lr", str, "Learning rate of the embeddings.", OPTIMISER),
    Setting("decoder_lr", str, "Learning rate of everything but the embeddings.", OPTIMISER),
    Setting("last_lr", str, "Learning rate of the last layer.", OPTIMISER),
    Setting("embedding_weight_decay", str, "Weight decay of the embeddings.", OPTIMISER),
    Setting("decoder_weight_decay", str, "Weight decay of everything but the embeddings.", OPTIMISER),
    Setting("last_weight_decay", str, "Weight decay of the last layer.", OPTIMISER),
    Setting("momentum", float, "Momentum of SGD.", OPTIMISER),
    Setting("nesterov", bool, "Nesterov's momentum.", OPTIMISER),
    Setting("betas", str, "Adam's betas: 0.9,0.98.", OPTIMISER),
    Setting("eps", float, "Adam's epsilon.", OPTIMISER),
    Setting("steps", int, "Number of updates.", TRAINING),
    Setting("epochs", int, "The same, in passes over the train set.", TRAINING),
    Setting("batch_size", str, "Examples per update, or full; the full batch where the recipe has none.", TRAINING),
    Setting("warmup", int, "Steps over which the learning rate rises from 0.", TRAINING),
    Setting(
        "init",
        str,
        "Initial weights: normal (variance 1/fan-in), truncated (cut at two deviations), or torch (what torch's modules draw).",
        TRAINING,
    ),
    Setting("init_scale", str, "Every initial parameter times this.", TRAINING),
    Setting("embedding_scale", str, "The embeddings' initial parameters times this besides.", TRAINING),
    Setting("l1", str, "Adds l1 * sum |theta| to the loss.", TRAINING),
    Setting("norm_penalty", str, "Subtracts this times sum theta^2 from the loss: the norm grows.", TRAINING),
    Setting("clip_norm", float, "Clip each network's gradient to this norm.", TRAINING),
    Setting("normalise", bool, "Divide each network's gradient by its norm.", TRAINING),
    Setting("late_weight_decay", float, "What the weight decay becomes later.", TRAINING),
    Setting("late_at", str, "When: a step, or memorised (train accuracy above 0.999).", TRAINING),
    Setting("retire", float, "Stop members whose train and test accuracy have reached this.", TRAINING),
    Setting("dtype", str, "float32 or float64.", TRAINING),
    Setting("metrics", str, "When to measure: every:100, log:60, 0,10,100, or epoch.", WATCH),
    Setting("checkpoints", str, "When to save: every:1000, log:60, or 0,10,100.", WATCH),
    Setting("name", str, "What the run calls itself.", WATCH),
)


class TaskCommands(TyperGroup):
    """One command per task, made when it is asked for: only then is torch imported."""

    def list_commands(self, ctx: Any) -> list[str]:
        from interp.tasks import TASKS

        return list(TASKS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        from interp.errors import UnknownName, unknown
        from interp.tasks import TASKS

        if cmd_name not in TASKS:
            raise UnknownName(unknown("task", cmd_name, TASKS))
        return _command(TASKS[cmd_name])


app = typer.Typer(
    cls=TaskCommands, rich_markup_mode="rich", invoke_without_command=True, no_args_is_help=True, add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Examples: interp train modular --p 113 --steps 20000 --weight-decay 1.0 --out runs/modadd   |   "
    "interp train parity --label-noise 0.02,0.05 --weight-decay 0.01,0.1 --seeds 5 --out runs/noise   |   "
    "interp train --resume runs/modadd",
)  # fmt: skip


@app.callback()
@interruptible
def root(
    context: typer.Context,
    resume: Annotated[
        Path | None, typer.Option(help="Train the run in this folder to its end.", show_default=False)
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="With --resume: go on to this many steps.", show_default=False)
    ] = None,
    device: Annotated[str, typer.Option(help="With --resume: auto, cpu, cuda, cuda:1, mps.")] = "auto",
    executor: Annotated[
        str | None, typer.Option(help="With --resume, for a run that was begun with one.", show_default=False)
    ] = None,
) -> None:
    """Train many small networks at once. TASK --help lists the options of a task, with their defaults.

    Options that networks of a run may differ in take several values, 0.1,0.2 or low:high:count or low:high:count:log; all
    combinations are trained.
    """
    if resume is None:
        if context.invoked_subcommand is None:
            raise InterpError("name a task to train on, or a run to --resume; see interp train --help")
        return
    if context.invoked_subcommand is not None:
        raise InterpError("--resume takes everything from the run's folder: leave the task out")
    from interp.training.run import resume as go_on

    with Bar() as bar:
        run = go_on(resume, steps=steps, device=device, executor=executor, progress=bar, shards_done=bar.shards)
    _summary(run)


def _command(task: type[Task]) -> Any:
    """The command of a task. Its parameters are made here, because they are the task's fields."""
    parameters = [
        _parameter("out", Path, "A new folder for the run.", RUN, ..., names=("--out", "-o")),
        _parameter("device", str, "auto (CUDA where there is one), cpu, cuda, cuda:1, mps.", RUN, "auto"),
        _parameter("executor", str, "Spread members over workers: process:4 or dask:ADDRESS.", RUN, None),
    ]
    recipe_defaults = _recipe_texts(task)
    for name in task.option_names():
        if name != "seed":
            default = ... if name in task.required_names() else _default(task, name)
            parameters.append(_parameter(name, str, task.HELP.get(name, ""), f"Task: {task.name}", None, shown=default))
    if task.name == "image":
        for name, text in ARCHITECTURE_HELP.items():
            parameters.append(_parameter(name, str, text, "Architecture", None))
    parameters += [
        _parameter(
            "seed", str, "Of everything random: data and split, initial weights, batches.", MANY, None, shown="0"
        ),
        _parameter("data_seed", str, "Of data and split alone, where they shall not follow the seed.", MANY, None),
        _parameter("seeds", int, "So many members, of seeds 0, 1, ...", MANY, None),
        _parameter("grid", list[str], "Values of any option by name: decoder_lr=1e-5:1e-2:10:log.", MANY, None),
    ]
    for setting in SETTINGS:
        shown = recipe_defaults.get(setting.name)
        parameters.append(_parameter(setting.name, setting.type, setting.help, setting.panel, None, shown=shown))
    readout = "Compute a transformer's last block where the answer is read, alone."
    parameters.append(_parameter("readout", bool, readout, TRAINING, True))

    @interruptible
    def command(**given: Any) -> None:
        _train(task, given)

    command.__doc__ = f"{task.summary[:1].upper()}{task.summary[1:]}. {_source(task)}"
    command.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    single = typer.Typer(add_completion=False, rich_markup_mode="rich")
    settings = {"help_option_names": ["-h", "--help"]}
    single.command(task.name, epilog=f"Example: {_example(task)}", context_settings=settings)(command)
    return typer.main.get_command(single)


def _parameter(
    name: str, kind: Any, text: str, panel: str, default: Any, shown: Any = None, names: tuple[str, ...] | None = None
) -> inspect.Parameter:
    flag = "--" + name.replace("_", "-")
    declared = names or ((f"{flag}/--no-{name.replace('_', '-')}",) if kind is bool else (flag,))
    note: bool | str = (shown if isinstance(shown, str) else False) if default in (None, ...) else True
    required = shown is ... or default is ...
    option = typer.Option(*declared, help=text, rich_help_panel=panel, show_default=note)
    annotation = Annotated[kind if required or default is not None else kind | None, option]
    value = inspect.Parameter.empty if required else default
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=annotation)


def _default(task: type[Task], name: str) -> str | None:
    value = task.default(name)
    return None if value is None or value == "" else str(value)


def _recipe_texts(task: type[Task]) -> dict[str, str]:
    """What the task's recipe sets, as text for ``--help``."""
    from interp.training.recipes import recipe_for

    recipe = recipe_for(task)
    values = {**recipe.optimizer, **recipe.plan, "optimizer": recipe.optimizer["name"]}
    values |= {"epochs": recipe.epochs} if recipe.epochs else {}
    values["model"] = (
        recipe.model["kind"]
        + ":"
        + ",".join(
            f"{k}={'x'.join(map(str, v)) if isinstance(v, tuple) else v}"
            for k, v in recipe.model.items()
            if k != "kind"
        )
    )
    values.pop("name", None)
    return {k: ",".join(map(str, v)) if isinstance(v, tuple) else str(v) for k, v in values.items()}


def _source(task: type[Task]) -> str:
    from interp.training.recipes import recipe_for

    return f"By default {recipe_for(task).source}."


def _example(task: type[Task]) -> str:
    required = {"target": "skull.png --arch-of skull.zip", "p": "113", "table": "S_3", "path": "FILE"}
    options = [f"--{name} {required.get(name, 'VALUE')}" for name in task.required_names()]
    return " ".join(["interp train", task.name, *options, "--seeds 5", f"--out runs/{task.name}"])


def _train(task: type[Task], given: Mapping[str, Any]) -> None:
    from interp.training.directory import RunDirectory
    from interp.training.loop import check_plan
    from interp.training.recipes import make_plan
    from interp.training.run import train

    out, device, executor = given["out"], given["device"], given["executor"]
    RunDirectory.check_new(out)  # before the data are read and the weights drawn
    options, members, settings = _read(task, given)
    from interp.tasks import build_task

    built = build_task(task.name, options)
    for note in built.notes:
        typer.echo(f"note: {note}", err=True)
    configs = architectures(given)
    if len(configs) < 2:
        places = {out: next(iter(configs.values()), settings.pop("model"))}
    else:
        places = {out / name: config for name, config in configs.items()}
    settings.pop("model", None)
    if len(places) > 1:  # what does not fit shall show before the first of them is trained
        for model in places.values():
            check_plan(make_plan(built, model, members=members, **settings))
    for place, model in places.items():
        with Bar() as bar:
            run = train(
                built, model, members=members, out=place, device=device, executor=executor, progress=bar,
                shards_done=bar.shards, **settings,
            )  # fmt: skip
        _summary(run)


def _read(task: type[Task], given: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    """The task's options, the members and the settings that a user typed.

    Raises:
        InterpError: several values for something that all members share, or a value given twice.
    """
    from interp.training.members import OWN, grid, parse_values

    axes: dict[str, list[Any]] = {}
    for name, text in given.items():
        listed = name in OWN or (name in task.option_names() and name not in task.paths)
        if listed and isinstance(text, str):
            axes[name] = parse_values(name, text)
    for entry in given["grid"] or ():
        name, equals, text = entry.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise InterpError(f"cannot read --grid {entry!r}: write --grid NAME=VALUES, such as lr=1e-4:1e-2:5:log")
        if name in axes:
            raise InterpError(f"{name} is given twice, as --{name.replace('_', '-')} and in --grid")
        axes[name] = parse_values(name, text)
    if given["seeds"] is not None:
        if "seed" in axes:
            raise InterpError("give --seed or --seeds, not both")
        if given["seeds"] < 1:
            raise InterpError(f"--seeds must be at least 1, got {given['seeds']}")
        axes["seed"] = list(range(given["seeds"]))
    axes.setdefault("seed", [0])
    options = {n: given[n] for n in task.paths if given.get(n) is not None}
    for name in [n for n in axes if n in task.option_names() and n != "seed"]:
        options[name] = axes[name][0]
        if len(axes[name]) == 1:  # what all members share belongs to the task
            del axes[name]
    options["seed"] = (axes.get("data_seed") or axes["seed"])[0]
    members = [m if "data_seed" in m else {**m, "data_seed": m["seed"]} for m in grid(axes)]
    settings = {s.name: given[s.name] for s in SETTINGS if s.name not in OWN}
    settings["readout"] = given["readout"]
    if settings["betas"] is not None:
        settings["betas"] = tuple(parse_values("betas", settings["betas"]))
    for name in ("late_at", "batch_size"):
        if settings[name] is not None and settings[name].strip("-").isdigit():
            settings[name] = int(settings[name])
    # what all members share belongs to the run, not to each of them
    for name in [n for n in axes if len(axes[n]) == 1 and n in OWN and n not in ("seed", "data_seed")]:
        settings[name] = axes[name][0]
        members = [{k: v for k, v in m.items() if k != name} for m in members]
    return options, members, settings


def _summary(run: Run) -> None:
    """What the run came to, in a few lines."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, soft_wrap=True, emoji=False)
    table = Table(box=None, pad_edge=False)
    frame = run.members.reset_index().drop(columns=["data_seed"], errors="ignore")
    for column in frame.columns:
        table.add_column(str(column).replace("_", " "), justify="right")
    for row in frame.head(20).itertuples(index=False):
        table.add_row(*(f"{v:.4g}" if isinstance(v, float) else escape(str(v)) for v in row))
    console.print(table)
    if len(frame) > 20:
        console.print(f"... and {len(frame) - 20} more members, all in {escape(str(run.path / 'metrics.jsonl'))}")
    if "test_accuracy" in frame and len(frame) > 1:
        counts = run.phases()["phase"].value_counts()
        console.print("Phases (threshold 0.9): " + ", ".join(f"{n} {name}" for name, n in counts.items()))
    path = escape(str(run.path))
    console.print(f"Run: {path}   Report: interp analyze {path}")
