"""``interp verify``: published numbers, replayed against published files."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interp.cli.failures import INCOMPLETE
from interp.cli.options import Force, Json, Quiet, Verbose, usually
from interp.cli.progress import Loudness, working
from interp.cli.saying import Saying
from interp.cli.terminal import escape
from interp.errors import InterpError, OutputExists, UnknownName, unknown
from interp.plugins.options import REQUIRED

if TYPE_CHECKING:
    from interp.verification.quantity import Quantity
    from interp.verification.result import Verification

STYLES = {"title": "bold", "agrees": "", "disagrees": "red", "cannot be replayed": "yellow", "more": "dim"}


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
    quantities: Annotated[
        bool,
        typer.Option(
            "--quantities", help="List what a claim can have computed (--only some, --explain in full); replay nothing."
        ),
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Print every claim with its place, quantity, file and tolerance.")
    ] = False,
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
    if quantities:
        _list(only, explain, json)
        return
    if out is not None and check_ending(out).exists() and not force:
        raise OutputExists(f"{out} is there already; name another file, or replace it with --force")
    if only is not None and not only.strip(" ,"):
        raise InterpError(f"--only {only!r} names no claim")
    with working(saying.loudness) as tell:
        found = run(folder, claims, only=only, slow=slow, progress=tell)
    if json:
        typer.echo(found.as_json())
    _show(found, saying, explain)
    for note in found.notes:
        saying.note(escape(note))
    if out is not None:
        found.save(out)
        saying.out(f"Written: {escape(str(out))}")
    if not found.agrees:
        raise typer.Exit(INCOMPLETE)


def _show(found: Verification, saying: Saying, explain: bool) -> None:
    """A line per fact, coloured by its verdict; then the summary."""
    from interp.verification.text import lines

    for kind, line in lines(found.replayed, explain):
        style = STYLES[kind]
        text = f"[{style}]{escape(line)}[/]" if style else escape(line)
        aloud = kind in ("disagrees", "cannot be replayed") and (saying.as_json or saying.loudness is Loudness.QUIET)
        (saying.complain if aloud else saying.out)(text)
    saying.out(f"{escape(found.headline)}; {found.seconds:.0f} s")


def _list(only: str | None, explain: bool, json: bool) -> None:
    """The quantities that a claim may name, with their fields, and what these mean."""
    import inspect
    import json as formats
    from fnmatch import fnmatchcase

    from interp.plugins.options import as_names
    from interp.verification.quantity import quantities

    good, broken = quantities()
    patterns = as_names(only or "*", "quantities")
    good = {name: one for name, one in good.items() if any(fnmatchcase(name, pattern) for pattern in patterns)}
    if not good:
        raise UnknownName(unknown("quantity", only, quantities()[0]))
    if json:
        found = [{"name": name, "summary": one.summary, "fields": _fields(one)} for name, one in good.items()]
        found += [{"name": name, "error": error} for name, error in broken.items()]
        typer.echo(formats.dumps(found, indent=1, default=str))
        return
    saying = Saying()
    for name, one in good.items():
        fields = ", ".join(option.name + ("" if option.default is REQUIRED else "?") for option in one.options)
        saying.out(
            f"[bold]{escape(name)}[/]: {escape(one.summary)}" + (f" [dim]({escape(fields)})[/]" if fields else "")
        )
        if explain and one.function.__doc__:
            saying.out(escape(indent(inspect.cleandoc(one.function.__doc__), "    ")))
    for name, error in broken.items():
        saying.complain(f"[bold]{escape(name)}[/]: [red]{escape(error)}[/]")


def _fields(one: Quantity) -> list[dict[str, Any]]:
    known = [({"name": option.name, "type": option.type_name}, option.default) for option in one.options]
    return [field | ({"required": True} if default is REQUIRED else {"default": default}) for field, default in known]
