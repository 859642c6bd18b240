"""Options that several commands share, and how their text is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from interp.errors import InterpError, UnknownName, unknown
from interp.plugins.options import parse_settings as parse


def usually(text: str, default: str) -> str:
    """Help for an option that need not be given, with what holds then; typer would put that text into brackets.

    Args:
        text: of the help.
        default: what holds where the option is left out.

    Returns:
        text with rich's markup; the option itself has ``show_default=False``.
    """
    shown = default.replace("[", r"\[")
    return rf"{text} [dim]\[default: {shown}][/]"


Source = Annotated[
    Path, typer.Argument(help="A checkpoint file, a run directory, or a folder of steps.", show_default=False)
]
Task = Annotated[
    str | None,
    typer.Option(
        help=usually(
            "What it was trained on, such as modular:p=113,operation=add,train_fraction=0.3,seed=1.", "from the file"
        ),
        show_default=False,
    ),
]
LayoutOption = Annotated[
    str | None,
    typer.Option(
        "--layout",
        help=usually("Layout of the tensors, with options: linear_chain:orientation=out_in.", "recognised"),
        show_default=False,
    ),
]
ModuleOption = Annotated[
    str | None,
    typer.Option(
        "--module",
        help="Your PyTorch class, as Python imports it from here: package.module:Class. Its code runs; the file's does not.",
        show_default=False,
    ),
]
ModuleArgs = Annotated[
    str | None, typer.Option(help="What the class is called with: width=6,depth=2.", show_default=False)
]
Example = Annotated[
    str | None,
    typer.Option(
        help=usually(
            "The shape of one input of --module, 1x28x28; or tokens:POSITIONS:VOCABULARY.", "inputs of the task"
        ),
        show_default=False,
    ),
]
Key = Annotated[
    str | None,
    typer.Option(help="Where the weights are inside a file that holds several sets.", show_default=False),
]
Step = Annotated[
    int | None, typer.Option(help=usually("Which checkpoint of a series, by its step.", "the last"), show_default=False)
]
Member = Annotated[int, typer.Option(help="Which network of a run that trained several, from 0.", min=0)]
Device = Annotated[str, typer.Option(help="auto (CUDA where there is one), cpu, cuda, cuda:1, mps.")]
Dtype = Annotated[str, typer.Option(help="Precision of the computation: float64, float32, bfloat16, float16.")]
Force = Annotated[bool, typer.Option("--force", help="Write into a folder, or over a file, that holds something else.")]
Explain = Annotated[
    bool, typer.Option("--explain", help="Print every claim with its test, number, comparison and rule.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="An option of an analysis: fourier.top=5. May be repeated.", show_default=False),
]
Every = Annotated[
    int | None,
    typer.Option(
        help=usually("Use every n-th checkpoint of a series, counting back from the last.", "1"),
        min=1,
        show_default=False,
    ),
]
ExecutorOption = Annotated[
    str | None,
    typer.Option(
        help=usually("Spread the checkpoints over workers: process:4 or dask:ADDRESS.", "this process"),
        show_default=False,
    ),
]
Log = Annotated[
    str | None,
    typer.Option(
        "--log", help="Log the results to wandb or mlflow, too: numbers, tables, the page.", show_default=False
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of everything random in the analyses.", min=0, max=2**63 - 1)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors alone.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log every step on standard error, with the time.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output; the rest on standard error.")
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the report.")]


def parse_names(only: str | None) -> list[str] | None:
    """The names in ``--only``.

    Args:
        only: what was typed, with commas.

    Returns:
        the names; None where the option was not typed.

    Raises:
        InterpError: it was typed without a name.

    >>> parse_names("fourier, ablation"), parse_names(None)
    (['fourier', 'ablation'], None)
    """
    if only is None:
        return None
    names = [n.strip() for n in only.split(",") if n.strip()]
    if not names:
        raise InterpError(f"--only {only!r} names no analysis; interp analyses lists them")
    return names


def parse_settings(settings: list[str]) -> dict[str, dict[str, Any]]:
    """The values of ``--set``, by analysis and option."""
    return parse(settings, "--set", "fourier.top=5")


def shared_options(only: list[str] | None, **common: Any) -> dict[str, Any]:
    """The options that several analyses have in common, as far as they were typed.

    Args:
        only: names of the analyses that are run; None for all.
        **common: value by option; None where it was not typed.

    Returns:
        the typed ones.

    Raises:
        InterpError: none of the analyses has such an option, or there is no such executor.
    """
    from interp._util.parallel import parse_executor
    from interp.plugins.analysis import analyses as find

    typed = {name: value for name, value in common.items() if value is not None}
    chosen = [one for name, one in find()[0].items() if only is None or name in only]
    for name in typed:
        if not any(name == option.name for one in chosen for option in one.options):
            raise InterpError(f"none of {', '.join(one.name for one in chosen)} has the option --{name}; leave it out")
    parse_executor(typed.get("executor"))
    return typed


def check_names(only: list[str] | None, options: dict[str, dict[str, Any]], *, joint: bool = False) -> None:
    """Refuse unknown analyses and options before anything is loaded.

    Args:
        only: names of analyses.
        options: by analysis.
        joint: joint analyses count as well.

    Raises:
        UnknownName: an analysis that does not exist, or an option that it does not have; the nearest are named.
        InterpError: a joint analysis where one network is analysed.
    """
    from interp.plugins.analysis import analyses as find
    from interp.plugins.joint import joint_analyses as find_joint

    known, broken = find()
    together, unusable = find_joint()
    for name in [*(only or []), *options]:
        if not joint and (name in together or name in unusable):
            raise InterpError(f"{name} compares networks: interp compare A B --only {name}")
    if joint:
        known, broken = {**together, **known}, {**unusable, **broken}
    for name in [*(only or []), *options]:
        if name not in known and name not in broken:
            raise UnknownName(unknown("analysis", name, [*known, *broken]))
    for name, given in options.items():
        if name in known:
            known[name].parse(given)
