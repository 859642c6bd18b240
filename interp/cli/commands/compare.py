"""``interp compare``: one report on several networks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interp.cli.completion import compared_names
from interp.cli.failures import INCOMPLETE, hold
from interp.cli.options import (
    Device,
    Dtype,
    Explain,
    Force,
    Json,
    Out,
    Quiet,
    Seed,
    Settings,
    Verbose,
    check_names,
    parse_names,
    parse_settings,
    usually,
)
from interp.cli.per_network import each
from interp.cli.progress import working
from interp.cli.reporting import leave, require_applicable, resumable, show_argument
from interp.cli.saying import Saying
from interp.cli.terminal import escape

if TYPE_CHECKING:
    from interp.report.comparison import Comparison

EACH = "Once for all networks, once for each in their order, or SOURCE=VALUE for one."


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
        typer.Option(
            help=usually("Analyses to run, with commas; see interp analyses.", "those that apply to two"),
            autocompletion=compared_names,
            show_default=False,
        ),
    ] = None,
    set_: Settings = None,
    task: Annotated[list[str] | None, typer.Option(help=f"As in interp analyze. {EACH}", show_default=False)] = None,
    layout: Annotated[list[str] | None, typer.Option(help="As in interp analyze.", show_default=False)] = None,
    key: Annotated[list[str] | None, typer.Option(help="As in interp analyze.", show_default=False)] = None,
    step: Annotated[
        list[str] | None, typer.Option(help=usually("Which checkpoint of a series.", "the last"), show_default=False)
    ] = None,
    member: Annotated[
        list[str] | None,
        typer.Option(help=usually("Which network of a run, from 0.", "all of them"), show_default=False),
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "float64",
    seed: Seed = 0,
    explain: Explain = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compare networks: run the same analyses on each, and those that see them together, and write one report.

    --task, --layout, --key, --step and --member count for all networks; given as often as there are networks, for each in
    its order; as SOURCE=VALUE, for that one. After Ctrl-C the same command goes on.
    """  # noqa: DOC501 (typer shows the docstring)
    from interp.report import reserved

    saying = Saying.of(quiet=quiet, verbose=verbose, as_json=json)
    hold(reserved(out, force=force))
    names, options = parse_names(only), parse_settings(set_ or [])
    check_names(names, options, joint=True)
    how = each(sources, task=task, layout=layout, key=key, step=step, member=member)
    from interp.checkpoints.loading import resolve_dtype
    from interp.plugins.outcome import Stopped
    from interp.report import write_comparison
    from interp.report.comparison import compare as run
    from interp.report.sources import expand

    resolved = resolve_dtype(dtype)
    with working(saying.loudness) as tell, resumable(out) as earlier:
        networks = expand(sources, device=device, how=how)
        require_applicable(list(networks.values()), names, joint=True)
        try:
            found = run(networks, names, options, dtype=resolved, seed=seed)
        except Stopped as stop:
            tell("writing what is done")
            done = stop.found
            leave(earlier, out, lambda: write_comparison(done, out, force=force))
        tell("writing the report")
        page = write_comparison(found, out, force=force)
    saying.note_taken(earlier.taken)
    failed = _show(found, saying, explain)
    saying.point_to(page)
    if failed:
        raise typer.Exit(INCOMPLETE)


def _show(found: Comparison, saying: Saying, explain: bool) -> bool:
    """Print the verdicts and what failed; whether anything failed."""
    failed = bool(found.failed or found.skipped)
    saying.out(f"[bold]{escape(found.title)}[/]")
    for name, result in found.together.items():
        saying.out(f"  {escape(name)}: {escape(result.headline)}")
    show_argument(found.argument, saying, explain=explain)
    for name, outcomes in found.outcomes.items():
        for warning in found.subjects[name].warnings:
            saying.complain(f"[red]WARNING[/] {escape(name)}: {escape(warning)}")
        for outcome in outcomes.values():
            if outcome.status == "failed":
                failed = True
                saying.complain(f"[red]failed[/] {escape(name)}, {outcome.name}: {escape(outcome.error)}")
    for name, reason in found.skipped.items():
        saying.complain(f"  skipped {escape(name)}: {escape(reason)}")
    for name, reason in found.failed.items():
        saying.complain(f"[red]failed[/] comparison of {escape(name)}: {escape(reason)}")
    return failed
