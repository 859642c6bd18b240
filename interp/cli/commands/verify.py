"""``interp verify``: published numbers, replayed against published files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from interp.cli.failures import INCOMPLETE
from interp.cli.options import Explain, Force, Json, Quiet, Verbose, usually
from interp.cli.progress import working
from interp.cli.saying import Saying
from interp.cli.terminal import escape
from interp.errors import InterpError, OutputExists

if TYPE_CHECKING:
    from interp.verification.result import Row, Verification

WIDEST = 36  # columns of a value on the terminal


def verify(
    folder: Annotated[
        Path | None,
        typer.Argument(
            help="With the published files. Without it, the demo that ships is verified.", show_default=False
        ),
    ] = None,
    claims: Annotated[
        Path | None,
        typer.Option(
            help=usually(
                "A TOML file: what was published, about which file.", "claims.toml there, else the facts that ship"
            ),
            show_default=False,
        ),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(help=usually("Claims or collections, by name or glob, with commas.", "all"), show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Also write a page, rows or both: .html, .csv, .json.", show_default=False),
    ] = None,
    slow: Annotated[bool, typer.Option("--slow", help="Also claims that take more than a minute each.")] = False,
    explain: Explain = False,
    force: Force = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Compute published numbers again from published files, and say of each whether it agrees.

    A file of claims is data: nothing in it is run, and it cannot name files outside FOLDER.

    Exit code 0: all agree. 1: one disagrees, or cannot be replayed. 2: refused, nothing was replayed. 130: Ctrl-C.
    """  # noqa: DOC501 (typer shows the docstring)
    from interp.verification.replay import verify as run
    from interp.verification.result import check_ending

    saying = Saying.of(quiet=quiet, verbose=verbose, as_json=json)
    if out is not None and check_ending(out).exists() and not force:
        raise OutputExists(f"{out} is there already; name another file, or replace it with --force")
    if only is not None and not only.strip(" ,"):
        raise InterpError(f"--only {only!r} names no claim")
    with working(saying.loudness) as tell:
        found = run(folder, claims, only=only, slow=slow, progress=tell)
    if out is not None:
        found.save(out)
    if json:
        typer.echo(found.as_json())
    _show(found, saying, explain)
    for note in found.notes:
        saying.note(escape(note))
    if out is not None:
        saying.out(f"Written: {escape(str(out))}")
    if not found.agrees:
        raise typer.Exit(INCOMPLETE)


def _show(found: Verification, saying: Saying, explain: bool) -> None:
    """A table per collection: verdict, name, published and found value, difference."""
    from interp.verification.result import apart, shown

    rows = {id(r.collection): [s for s in found.replayed if s.collection is r.collection] for r in found.replayed}
    cells = {
        id(r): (r.verdict.agreement, r.fact.name, shown(r.verdict.published, WIDEST), shown(r.verdict.found, WIDEST))
        for r in found.replayed
    }
    widths = [max((len(cell) for cell in column), default=0) for column in zip(*cells.values(), strict=True)]
    for own in rows.values():
        about = own[0].collection
        saying.out(f"[bold]{escape(about.title)}[/]  {escape(f'{about.source} {about.link}'.strip())}")
        for row in own:
            line = "  ".join(cell.ljust(width) for cell, width in zip(cells[id(row)], widths, strict=True))
            end = apart(row.verdict)
            saying.out(f"  {_coloured(row, f'{line}  {end}'.rstrip())}")
            if row.verdict.reason:
                saying.out(f"      {escape(row.verdict.reason)}")
            if explain or row.verdict.agreement != "agrees":
                _explain(row, saying)
    saying.out(f"{escape(found.headline)}; {found.seconds:.0f} s")


def _coloured(row: Row, line: str) -> str:
    colour = {"agrees": "", "disagrees": "red", "cannot be replayed": "yellow"}[row.verdict.agreement]
    return f"[{colour}]{escape(line)}[/]" if colour else escape(line)


def _explain(row: Row, saying: Saying) -> None:
    """The claim in words, where it is published, how it was computed, and how far apart the values may be."""
    fact = row.fact
    saying.out(f"      {escape(fact.claim)}")
    place = f"{fact.where}; " if fact.where else ""
    saying.out(
        f"      [dim]{escape(f'{place}{fact.file}, {fact.quantity.name}; tolerance: {row.verdict.tolerance}')}[/]"
    )
