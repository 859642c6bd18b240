"""``interp layout``: the layouts that are known, a name map for a file, and a template for a layout of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from interp.cli.failures import interruptible
from interp.cli.options import Force, Key, Source
from interp.cli.terminal import escape, output

app = typer.Typer(
    no_args_is_help=True,
    help="Layouts: the known ones, a name map for a file, a template for one of your own.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
Like = Annotated[Path | None, typer.Option(help="A checkpoint of the kind that it is for.", show_default=False)]


@app.command("list", epilog="Example: interp layout list")
@interruptible
def list_() -> None:
    """List the known layouts with their options."""
    from interp.checkpoints.layouts import layouts

    console = output(wrap=True)
    for name, layout in sorted(layouts().items()):
        console.print(f"[bold]{name}[/]  {escape(layout.summary)}", highlight=False)
        for option, meaning in layout.options.items():
            console.print(f"    {option}: {meaning}", highlight=False, markup=False)


@app.command("map", epilog="Example: interp layout map model.pt > map.toml")
@interruptible
def map_(
    source: Source,
    to: Annotated[str, typer.Option(help="The layout whose names the tensors shall get.")] = "transformer_lens",
    key: Key = None,
) -> None:
    """Print a name map for a checkpoint, to be filled in: ``interp analyze FILE --layout map.toml``."""
    from interp.checkpoints.templates import name_map

    typer.echo(name_map(source, to, key))


@app.command("new", epilog="Example: interp layout new my_layout --like model.pt")
@interruptible
def new(
    name: Annotated[str, typer.Argument(help="Name of the layout, and of the folder that is written.")],
    like: Like = None,
    key: Key = None,
    force: Force = False,
) -> None:
    """Write a package with a layout of your own, to be filled in: NAME/pyproject.toml and NAME/NAME.py."""
    from interp.checkpoints.templates import new_layout

    for line in new_layout(name, Path(name), like, key, force=force):
        typer.echo(line)
