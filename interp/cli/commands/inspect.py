"""``interp inspect``: what is in a file."""

from __future__ import annotations

from interp.cli.options import Key, LayoutOption, Source
from interp.cli.terminal import escape, output


def inspect(source: Source, key: Key = None, layout: LayoutOption = None) -> None:
    """Show what is in a checkpoint: tensors, shapes, dtypes, devices, step, config, layout, size, hash.

    With --layout it shows what analyze would read.
    """
    from rich.table import Table

    from interp.checkpoints import inspect as look

    found = look(source, key=key, layout=layout)
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, text in found.facts.items():
        facts.add_row(name, escape(text))
    tensors = Table(box=None, pad_edge=False)
    for column in ("tensor", "shape", "dtype", "device"):
        tensors.add_column(column, overflow="fold")
    for name, shape, dtype, device in found.tensors:
        tensors.add_row(escape(name), "x".join(map(str, shape)) or "scalar", dtype, device)
    console = output(wrap=True)
    console.print(facts)
    console.print()
    console.print(tensors)
