"""Files of a run directory beside its checkpoints: ``run.json`` and the curves in ``metrics.jsonl``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from interp._util.files import no_follow, refuse_links
from interp.errors import UnreadableFile

RUN_FORMAT = 1  # of the run directory; raised when an older version could not read it
RUN_FILES = ("run.json", "metrics.jsonl", "state", "checkpoints", "shards")
CURVES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
Points = dict[str, list[tuple[int, float]]]


def read_run(folder: Path) -> dict[str, Any]:
    """What ``run.json`` holds, after a look at what else is in the folder of the run.

    Args:
        folder: of the run; it may be a link, what is inside may not.

    Returns:
        its fields.

    Raises:
        UnreadableFile: a link, pipe or device among the files of the run; a ``run.json`` that cannot be read.
    """
    refuse_links(folder, RUN_FILES)
    return read_json(folder / "run.json")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        path: of the file.

    Returns:
        Its fields.

    Raises:
        UnreadableFile: damaged, or not an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableFile(f"{path} is not JSON: {error}; write it again, or remove it") from None
    if not isinstance(value, dict):
        raise UnreadableFile(f"{path} holds a JSON {type(value).__name__}, expected an object")
    return value


def read_curves(path: Path, member: int) -> Points:
    """The curves of one member in a run's ``metrics.jsonl``.

    Args:
        path: of the file; it need not exist.
        member: index of the network.

    Returns:
        (step, value) points by name.

    Raises:
        UnreadableFile: a damaged line, which is named.
    """
    curves: Points = {}
    refuse_links(path.parent, [path.name])
    if not path.is_file():
        return curves
    with open(path, encoding="utf-8", errors="replace", opener=no_follow) as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith("\n"):
                break  # the run is writing it, or was killed while it did
            row = _row(path, number, line)
            if row.get("member", 0) == member:
                for name in CURVES:
                    if isinstance(row.get(name), (int, float)):
                        curves.setdefault(name, []).append((row["step"], float(row[name])))
    return curves


def _row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        raise UnreadableFile(f"{path}, line {number}: not JSON; cut the file there") from None
    if not isinstance(row, dict) or not isinstance(row.get("step"), int):
        raise UnreadableFile(f"{path}, line {number}: not an object with a whole number as its step")
    return row


def points(curves: Mapping[str, list[float]], step: int) -> Points:
    """Give recorded lists their steps: the longest has one value a step, shorter ones were recorded at intervals.

    Args:
        curves: the values by name.
        step: of the curves with a single value.

    Returns:
        (step, value) points by name.
    """
    longest = max((len(values) for values in curves.values()), default=0)
    placed: Points = {}
    for name, values in curves.items():
        if len(values) == 1:
            placed[name] = [(step, values[0])]
            continue
        interval = -(-longest // len(values))
        placed[name] = [(i * interval, v) for i, v in enumerate(values)]
    return placed
