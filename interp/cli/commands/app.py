"""The program ``interp``: its commands, an example of each, and how it ends."""

from __future__ import annotations

import atexit
import gc
import itertools
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from interp._util.memory import keep_freed_memory
from interp.cli.commands.analyze import analyze
from interp.cli.commands.compare import compare
from interp.cli.commands.convert import convert
from interp.cli.commands.demo import demo
from interp.cli.commands.draw import draw
from interp.cli.commands.inspect import inspect
from interp.cli.commands.layout import app as layout
from interp.cli.commands.listing import analyses, measures
from interp.cli.commands.verify import verify
from interp.cli.failures import REFUSED, fail, interruptible
from interp.cli.train import app as train
from interp.cli.train import refine
from interp.errors import InterpError

EMPTY_OPTION = re.compile(r"--[\w-]+=\s*")
HELP = {"help_option_names": ["-h", "--help"]}
COMMANDS: tuple[tuple[Callable[..., None], tuple[str, ...]], ...] = (
    (inspect, ("interp inspect model.pth", "interp inspect model.pth --layout linear_chain:act_fn=tanh")),
    (
        analyze,
        (
            "interp analyze model.pth --only fourier,ablation --set fourier.top=5 "
            '--task "modular:p=113,operation=add,train_fraction=0.3,seed=1"',
            'interp analyze net.pt --module mypackage.nets:Net --module-args width=6 --task "digits:images=true"',
            "interp analyze runs/modadd --only progress --every 10 --executor process:2",
        ),
    ),
    (
        compare,
        (
            "interp compare skull.zip sgd_skull/ --out report",
            "interp compare skull.zip runs/skull",
            "interp compare runs/modadd runs/modadd --step 500 --step 20000",
            'interp compare a.pt b.pt --task "modular:p=113,seed=1" --layout b.pt=linear_chain:orientation=out_in',
        ),
    ),
    (draw, ("interp draw skull.zip skull.png", "interp draw skull.zip eye.png --x=-0.5,0 --y=-0.6,-0.1")),
    (demo, ("interp demo --out report", "interp demo --copy examples")),
    (convert, ("interp convert model.pth model.safetensors",)),
    (
        verify,
        (
            "interp verify",
            "interp verify data --out verified.html",
            "interp verify data --claims claims.toml --only test_loss",
        ),
    ),
    (analyses, ("interp analyses", "interp analyses fourier", "interp analyses model.pth")),
    (measures, ("interp measures runs/modadd", "interp measures loss")),
)

app = typer.Typer(
    name="interp", no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich",
    context_settings=HELP,
    epilog="Exit codes: 0 all that was asked for; 1 the report is written, and an analysis in it failed; 2 the input was "
    "refused, or an analysis named does not apply, and nothing was written; 130 Ctrl-C or SIGTERM: what was done is kept, "
    "and the same command goes on. Progress and errors go to standard error; NO_COLOR turns colours off.",
)  # fmt: skip
for command, examples in COMMANDS:
    app.command(epilog="\n\n".join(f"Example: {line}" for line in examples))(interruptible(command))
app.add_typer(train, name="train")
app.add_typer(refine, name="refine")
app.add_typer(layout, name="layout")


def main() -> None:
    """Run the command line: an error about the input is one message and exit code 2, never a traceback."""
    keep_freed_memory()
    atexit.register(gc.freeze)  # nothing is looked for among torch's modules before the process ends anyway
    try:
        _require_words(sys.argv[1:])
        app()
    except InterpError as error:
        fail(str(error), REFUSED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader of our output went away, as `| head` does
        sys.exit(0)
    except OSError as error:  # permissions, names that are too long, full disks
        place = error.filename or "the file system"
        fail(f"{place}: {error.strerror or error}; check the path and its permissions", REFUSED)


def _require_words(arguments: Sequence[str]) -> None:
    """Refuse an empty argument: as a path it would be the current folder."""
    for number, (before, argument) in enumerate(itertools.pairwise(["", *arguments]), 1):
        if argument.strip() and not EMPTY_OPTION.fullmatch(argument):
            continue
        named = argument.strip().rstrip("=") or (before if before.startswith("--") and "=" not in before else "")
        raise InterpError(
            f"{named or f'argument {number}'} is empty, as a variable that is not set leaves it: "
            f"{shlex.join(['interp', *arguments])}; give it, or leave it out"
        )


def _version(asked: bool) -> None:
    if asked:
        from interp._util.versions import versions

        (name, own), *others = versions().items()
        typer.echo(f"{name} {own} ({', '.join(f'{other} {found}' for other, found in others)})")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            help="Print the version, and those of Python, torch and other libraries that numbers depend on.",
        ),
    ] = False,
) -> None:
    """Take small neural networks apart: a checkpoint becomes a report."""
