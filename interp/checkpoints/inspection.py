"""`inspect`: what is in a checkpoint, before any conversion."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interp.checkpoints.formats.reading import sha256
from interp.checkpoints.layouts import choose
from interp.checkpoints.source import Opened, open_source
from interp.checkpoints.wrong_kinds import require_path
from interp.errors import InterpError


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


def inspect(source: str | Path, *, key: str | None = None) -> Inspection:
    """Describe a checkpoint: tensors, shapes, dtypes, devices, step, config, layout, size and hash.

    Args:
        source: the path of a file, a run directory or a folder of steps; the last step is described.
        key: where the weights are inside the file, if it holds several.

    Returns:
        The facts. An unknown layout is one of them, not an error.

    Raises:
        UnreadableFile: a missing or damaged file.
        InterpError: ``source`` is not a path, or the file holds several sets of weights.
    """
    found = open_source(require_path(source, "inspect"), key)
    opened = found.open(found.entries[-1])
    weights, path, contents = opened.found.weights, opened.entry.path, opened.contents
    steps = [e.step for e in found.entries]
    layout = _layout(opened)
    facts = {
        "file": str(path),
        "format": contents.format,
        "size": f"{path.stat().st_size:,} bytes",
        "sha256": sha256(path),
        "weights at": opened.found.where or "top",
        "genome": contents.genome.describe() if contents.genome else "",
        "step": f"{steps[-1]:,}" if len(steps) == 1 else f"{len(steps)} checkpoints, {steps[0]:,} to {steps[-1]:,}",
        "layout": layout,
        "parameters": f"{sum(t.numel for t in weights.values()):,} numbers in {len(weights)} tensors",
        "config": _short(opened.header.get("config") or opened.info.config),
        "recorded curves": ", ".join(f"{n} ({len(p):,})" for n, p in found.curves.items()),
        "stripped prefixes": " ".join(opened.found.stripped),
        "classes not read": ", ".join(contents.stubs),
    }
    tensors = tuple((n, t.shape, str(t.dtype).removeprefix("torch."), t.device) for n, t in weights.items())
    return Inspection({k: v for k, v in facts.items() if v}, tensors, layout)


def _layout(opened: Opened) -> str:
    try:
        chosen = choose(opened.found.weights, opened.info)[0]
    except InterpError as error:
        return str(error).split(" The tensors are:")[0]
    question = chosen.matches(opened.found.weights, opened.info).question
    return chosen.name + (f", but {question}" if question else "")


def _short(config: Any) -> str:
    return re.sub(r"[{}']", "", str(dict(config)))[:500] if config else ""
