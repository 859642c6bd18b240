"""``interp convert``: a foreign checkpoint as one of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from interp.cli.options import Force, Key, LayoutOption, Member, Source, Step, Task, usually
from interp.errors import InterpError


def convert(
    source: Source,
    target: Annotated[Path, typer.Argument(help="The file to write, ending in .safetensors.", show_default=False)],
    task: Task = None,
    layout: LayoutOption = None,
    key: Key = None,
    step: Step = None,
    member: Member = 0,
    dtype: Annotated[
        str | None,
        typer.Option(help=usually("Convert the weights to this precision.", "as stored"), show_default=False),
    ] = None,
    force: Force = False,
) -> None:
    """Write a foreign checkpoint as our safetensors: our names and shapes, config and task in the header."""
    if target.suffix != ".safetensors":
        raise InterpError(f"{target} must end in .safetensors, the only format that is written")
    from interp.checkpoints import load, save

    subject = load(source, task=task, layout=layout, key=key, step=step, member=member, dtype=dtype, device="cpu")
    save(subject.model, target, task=subject.task, step=subject.step, force=force)
    for warning in [*subject.warnings, *subject.provenance.notes]:
        typer.echo(f"note: {warning}", err=True)
    typer.echo(f"{target}: {type(subject.model).__name__}, {target.stat().st_size:,} bytes")
