"""``interp analyses`` and ``interp measures``: what is installed, and what of it applies to a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from interp.cli.options import Key, LayoutOption, Task
from interp.cli.terminal import escape, output

if TYPE_CHECKING:
    from interp.subject import Subject

OptionalSource = Annotated[
    Path | None, typer.Argument(help="A checkpoint: also say which of them apply to it.", show_default=False)
]


def analyses(source: OptionalSource = None, task: Task = None, layout: LayoutOption = None, key: Key = None) -> None:
    """List the analyses: summary, needs, options; for a file also which apply, and what the others need."""
    from interp.plugins.analysis import analyses as find

    known, broken = find()
    _list("analysis", known, broken, _subject(source, task, layout, key))


def measures(source: OptionalSource = None, task: Task = None, layout: LayoutOption = None, key: Key = None) -> None:
    """List the measures of the analysis progress: summary, needs, options; for a file also which apply."""
    from interp.plugins.measure import measures as find

    known, broken = find()
    _list("measure", known, broken, _subject(source, task, layout, key))


def _subject(source: Path | None, task: str | None, layout: str | None, key: str | None) -> Subject | None:
    if source is None:
        return None
    from interp.checkpoints import load

    return load(source, task=task, layout=layout, key=key)


def _list(kind: str, known: Mapping[str, Any], broken: Mapping[str, str], subject: Subject | None) -> None:
    """A line per plugin; with a subject, whether it applies to it."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in (kind, "summary", "needs", "options", *(["applies"] if subject else [])):
        table.add_column(column, overflow="fold")
    for name, one in known.items():
        options = ", ".join(f"{o.name}: {o.type_name} = {o.default}" for o in one.options)
        row = [name, one.summary, ", ".join(one.needs), options or "none"]
        if subject is not None:
            missing = subject.lacks(one.needs)
            row.append(f"no: {missing[0]}" if missing else "yes")
        table.add_row(*map(escape, row))
    for name, error in broken.items():
        table.add_row(f"[red]{escape(name)}[/]", f"[red]{escape(error)}[/]")
    output(wrap=True).print(table)
