"""``interp compare``: one report on several networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interp.cli.failures import INCOMPLETE, hold
from interp.cli.options import (
    Device,
    Dtype,
    Explain,
    Force,
    Out,
    Seed,
    Settings,
    check_names,
    parse_names,
    parse_settings,
)
from interp.cli.progress import working
from interp.cli.reporting import show_argument
from interp.cli.terminal import errors, escape, output

if TYPE_CHECKING:
    from interp.report.comparison import Comparison


def compare(
    sources: Annotated[
        list[Path],
        typer.Argument(
            help="Two or more: checkpoints, genomes, runs (all members), folders of runs.", show_default=False
        ),
    ],
    out: Out = Path("report"),
    only: Annotated[
        str | None,
        typer.Option(help="Analyses to run, with commas; see interp analyses.", show_default="those that apply to two"),
    ] = None,
    set_: Settings = None,
    device: Device = "auto",
    dtype: Dtype = "float64",
    seed: Seed = 0,
    explain: Explain = False,
    force: Force = False,
) -> None:
    """Run the same analyses on several networks and write one report; the others are compared with the first."""
    from interp.report import reserved, write_comparison

    hold(reserved(out, force=force))
    names, options = parse_names(only), parse_settings(set_ or [])
    check_names(names, options)
    from interp.checkpoints.loading import resolve_dtype
    from interp.report.comparison import compare as run
    from interp.report.sources import expand

    resolved = resolve_dtype(dtype)
    with working() as tell:
        found = run(expand(sources, device=device), names, options, dtype=resolved, seed=seed, progress=tell)
        tell("writing the report")
        page = write_comparison(found, out, force=force)
    if _show(found, page, explain):
        raise typer.Exit(INCOMPLETE)


def _show(found: Comparison, page: Path, explain: bool) -> bool:
    """Print the verdicts, what failed, and where the report is; whether anything failed."""
    console, complaints, failed = output(), errors(), bool(found.failed)
    console.print(f"[bold]{escape(' and '.join(found.subjects))}[/]")
    for name, result in found.together.items():
        console.print(f"  {escape(name)}: {escape(result.headline)}")
    show_argument(found.argument, explain=explain)
    for name, outcomes in found.outcomes.items():
        for warning in found.subjects[name].warnings:
            complaints.print(f"[red]WARNING[/] {escape(name)}: {escape(warning)}")
        for outcome in outcomes.values():
            if outcome.status == "failed":
                failed = True
                complaints.print(f"[red]failed[/] {escape(name)}, {outcome.name}: {escape(outcome.error)}")
    for name, reason in found.failed.items():
        complaints.print(f"[red]failed[/] comparison of {escape(name)}: {escape(reason)}")
    console.print(f"Report: {escape(str(page))}")
    return failed
