"""`inspect`: what is in a checkpoint, before any conversion."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp.checkpoints.formats.reading import sha256
from interp.checkpoints.layouts import choose
from interp.checkpoints.source import Opened, Source, open_source
from interp.checkpoints.wrong_kinds import require_path
from interp.errors import InterpError
from interp.series import Entry

MOST_NUMBERS = 1 << 26  # that are read to see what a layout assumes


@dataclass(frozen=True)
class Inspection:
    """What a file holds, before any conversion.

    Attributes:
        facts: name and value, in the order in which they are shown.
        tensors: name, shape, dtype and device of every tensor of the weights.
        layout: the recognised layout's name, or why there is none.
    """

    facts: dict[str, str]
    tensors: tuple[tuple[str, tuple[int, ...], str, str], ...]
    layout: str


def inspect(source: str | Path, *, key: str | None = None, layout: str | None = None) -> Inspection:
    """Describe a checkpoint: tensors, shapes, dtypes, devices, step, config, layout, size and hash.

    Args:
        source: the path of a file, a run directory or a folder of steps; the last step is described.
        key: where the weights are inside the file, if it holds several.
        layout: read the tensors so, as `load` would, and say what comes of it.

    Returns:
        The facts. An unknown layout is one of them, not an error.

    Raises:
        UnreadableFile: a missing or damaged file.
        InterpError: ``source`` is not a path, or the file holds several sets of weights.
    """
    found = open_source(require_path(source, "inspect"), key)
    if not found.entries:
        return _of_curves(found)
    opened = found.open(found.entries[-1])
    weights, path, contents = opened.found.weights, opened.entry.path, opened.contents
    read_as, reading, ways = _layout(opened, layout)
    assumed = () if layout is not None or ways else _assumed(opened)
    of_genome = contents.genome.notes if contents.genome else ()
    facts = {
        "run of": found.tool,
        "file": str(path),
        "format": contents.format,
        "size": f"{path.stat().st_size:,} bytes",
        "sha256": sha256(path),
        "weights at": opened.found.where or "top",
        "genome": contents.genome.describe() if contents.genome else "",
        "step": _steps(found.entries),
        "layout": read_as,
        "reading": reading,
        "ways on": ways,
        "parameters": f"{sum(t.numel for t in weights.values()):,} numbers in {len(weights)} tensors",
        "config": _short(opened.header.get("config") or opened.info.config),
        "recorded curves": _listed(found),
        "stripped prefixes": " ".join(opened.found.stripped),
        "classes not read": ", ".join(contents.stubs),
        "notes": "\n".join([*found.notes, *contents.notes, *opened.notes, *assumed, *of_genome]),
    }
    tensors = tuple((n, t.shape, str(t.dtype).removeprefix("torch."), t.device) for n, t in weights.items())
    return Inspection({k: v for k, v in facts.items() if v}, tensors, read_as)


def _of_curves(found: Source) -> Inspection:
    """What a run without checkpoints holds."""
    facts = {
        "run of": found.tool,
        "file": str(found.path),
        "config": _short(found.config),
        "recorded curves": _listed(found),
        "notes": "\n".join(found.notes),
    }
    return Inspection({k: v for k, v in facts.items() if v}, (), "none: there is no checkpoint")


def _listed(found: Source) -> str:
    return ", ".join(f"{n} ({len(p):,})" for n, p in found.curves.items())


def _layout(opened: Opened, spec: str | None) -> tuple[str, str, str]:
    """The layout's name or why there is none, how it reads the tensors, and the ways on where there is none."""
    weights, info = opened.found.weights, opened.info
    try:
        chosen, options = choose(weights, info, spec)
        if spec is not None:
            converted = chosen.convert(weights, info, options)
            config = ", ".join(f"{k}={v}" for k, v in converted.config.to_dict().items() if v is not None)
            return chosen.name, "\n".join([config, *converted.notes, *converted.warnings]), ""
    except InterpError as error:
        reason, _, rest = str(error).partition("\nWhat you can do:\n")
        return reason.partition(" The tensors are:")[0], "", rest.partition("\nThe tensors are:")[0]
    fit = chosen.matches(weights, info)
    return chosen.name + (f", but {fit.question}" if fit.question else ""), fit.reading, ""


def _assumed(opened: Opened) -> tuple[str, ...]:
    """What reading the weights would assume, as `load` notes it; of a large file only ``--layout`` says it."""
    weights, info = opened.found.weights, opened.info
    if sum(t.numel for t in weights.values()) > MOST_NUMBERS:
        return ()
    try:
        layout, options = choose(weights, info, None)
        return layout.convert(weights, info, options).notes
    except InterpError:
        return ()  # a question to the user, which stands beside the layout


def _steps(entries: Sequence[Entry]) -> str:
    if len(entries) > 1:
        return f"{len(entries)} checkpoints, {entries[0].step:,} to {entries[-1].step:,}"
    return f"{entries[0].step:,}" if entries[0].known else "unknown"


def _short(config: Any) -> str:
    return re.sub(r"[{}']", "", str(dict(config)))[:500] if config else ""
