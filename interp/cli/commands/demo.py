"""``interp demo``: a report on the run that ships with the package, or small files to try things on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from interp.cli.commands.demo_files import FILES, RUN, copy_files
from interp.cli.failures import hold
from interp.cli.options import Device, Force, Json, Out, Quiet, Verbose
from interp.cli.reporting import Request, report
from interp.cli.saying import Saying

Copy = Annotated[
    Path | None,
    typer.Option(
        "--copy",
        help="In place of a report, put small files into this folder: a checkpoint, a run, a genome, its SGD twin.",
        show_default=False,
    ),
]


def demo(
    out: Out = Path("report"), device: Device = "auto", force: Force = False, copy: Copy = None, json: Json = False,
    quiet: Quiet = False, verbose: Verbose = False,
) -> None:  # fmt: skip
    """Analyse the run that ships with the package: a small transformer that groks (a + b) mod 53."""
    if copy is not None:
        copy_files(copy, force=force)
        for name, what in FILES.items():
            typer.echo(f"{copy / name}: {what}")
        return
    from interp.report import reserved

    saying = Saying.of(quiet=quiet, verbose=verbose, as_json=json)
    hold(reserved(out, force=force))
    from interp.checkpoints import load

    report(load(RUN, device=device), Request(out, force=force), saying)
