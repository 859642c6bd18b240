"""``interp inspect``: what is in a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from interp.cli.options import Json, Key, LayoutOption, Source
from interp.cli.terminal import escape, output

if TYPE_CHECKING:
    from interp.checkpoints import Inspection

TABLE = 60  # columns of a terminal from which tensors stand in a table


def inspect(source: Source, key: Key = None, layout: LayoutOption = None, json: Json = False) -> None:
    """Show what is in a checkpoint: tensors, shapes, dtypes, devices, step, config, layout, size, hash.

    With --layout it shows what analyze would read.
    """
    from interp.checkpoints import inspect as look

    found = look(source, key=key, layout=layout)
    if json:
        typer.echo(_as_json(found))
    else:
        _show(found)


def _as_json(found: Inspection) -> str:
    import json

    tensors = [{"name": n, "shape": s, "dtype": t, "device": d} for n, s, t, d in found.tensors]
    return json.dumps({"facts": found.facts, "layout": found.layout, "tensors": tensors}, indent=2)


def _show(found: Inspection) -> None:
    """Facts one below the other, unbroken, so that a hash or a path can be copied; then the tensors in columns."""
    console = output()
    narrow = console.is_terminal and console.width < TABLE
    width = max(map(len, found.facts))
    for name, text in found.facts.items():
        first, *rest = text.splitlines() or [""]
        label = f"[bold]{escape(name)}[/]" + ("  " if narrow else " " * (width - len(name) + 2))
        console.print(label + escape(first))
        for line in rest:
            console.print(("  " if narrow else " " * (width + 2)) + escape(line))
    console.print()
    rows = [("tensor", "shape", "dtype", "device")]
    rows += [
        (name, "x".join(map(str, shape)) or "scalar", dtype, device) for name, shape, dtype, device in found.tensors
    ]
    widths = [0 if narrow else max(map(len, column)) for column in zip(*rows, strict=True)]
    for i, row in enumerate(rows):
        cells = "  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip()
        console.print(escape(cells) if i else f"[bold]{cells}[/]")
