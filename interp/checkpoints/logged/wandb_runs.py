"""Folders of Weights & Biases: ``wandb/run-DATE-ID`` with its transaction log and ``files/``, synced or not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from interp._util.files import no_follow
from interp._util.schema import parse_json
from interp.checkpoints.logged.log import Log, Points, continued, scalars
from interp.checkpoints.logged.wandb_files import Transactions, read_transactions
from interp.checkpoints.logged.yaml_files import read_yaml
from interp.errors import InterpError, UnreadableFile

KIND = "Weights & Biases"
RUN = re.compile(r"(?:offline-)?run-\d{8}_\d{6}-(.+)")
HISTORY, SUMMARY, CONFIG, METADATA = "wandb-history.jsonl", "wandb-summary.json", "config.yaml", "wandb-metadata.json"
# what people, Lightning and the Trainer call the step of training; W&B's own counts calls of log
STEPS = (
    "trainer/global_step",
    "train/global_step",
    "global_step",
    "trainer.global_step",
    "train.global_step",
    "step",
    "iteration",
)
MOST_ROWS, LINE, JSON_BYTES = 2_000_000, 1 << 20, 16 << 20


def runs_in(folder: Path) -> dict[str, list[Path]]:
    """The runs in a folder ``wandb``, by their ids; a run that was resumed has several folders. Links are not followed."""
    found: dict[str, list[Path]] = {}
    for inner in sorted(folder.iterdir(), key=lambda p: p.name.removeprefix("offline-")):
        match = RUN.fullmatch(inner.name)
        if match and inner.is_dir() and not inner.is_symlink():
            found.setdefault(match[1], []).append(inner)
    return found


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's, or its ``files``."""
    return bool(_log_file(folder)) or any(
        (files / n).is_file() for files in _files(folder) for n in (HISTORY, SUMMARY, METADATA)
    )


def read_runs(folders: list[Path]) -> Log:
    """A run that was logged to one folder, or to several since it was resumed.

    Args:
        folders: in the order in which they were written.

    Returns:
        The log.

    Raises:
        UnreadableFile: a file of W&B's that is another one.
    """
    log = Log(KIND, folders=tuple(place for folder in reversed(folders) for place in _files(folder)))
    points: Points = {}
    for folder in folders:
        read = _read(folder, log)
        points, replaced = continued(points, read)
        if replaced:
            log.notes.append(f"{folder.name} goes on from an earlier step: {replaced:,} points after it are replaced")
    log.points = points
    log.name = log.name or folders[-1].name
    return log


def read_file(path: Path) -> Log:
    """A transaction log alone."""
    log = Log(KIND)
    log.points = _points(_transactions(path, log), log)
    return log


def _log_file(folder: Path) -> Path | None:
    return next((f for f in sorted(folder.glob("*.wandb")) if f.is_file() and not f.is_symlink()), None)


def _files(folder: Path) -> list[Path]:
    """Where a run's files are: in ``files``, or in the folder itself where that is the one."""
    return [place for place in (folder / "files", folder) if place.is_dir() and not place.is_symlink()]


def _read(folder: Path, log: Log) -> Points:
    own = _log_file(folder)
    rows = [] if own is None else _transactions(own, log)
    for place in _files(folder):
        _settings(place, log)
        rows = rows or list(_history(place / HISTORY, log))
    points = _points(rows, log)
    if not points:
        points = next((found for place in _files(folder) if (found := _summary(place / SUMMARY, log))), {})
    return points


def _transactions(path: Path, log: Log) -> list[dict[str, float]]:
    found: Transactions = read_transactions(path, MOST_ROWS)
    log.config |= {name: value for name, value in found.config.items() if name != "_wandb"}
    log.name = found.name or log.name
    log.notes += [found.fault] if found.fault else []
    return found.rows


def _settings(place: Path, log: Log) -> None:
    """``config.yaml`` of W&B: a description and a value for each setting."""
    if not (place / CONFIG).is_file():
        return
    try:
        stored = read_yaml(place / CONFIG)
    except UnreadableFile as error:
        log.notes.append(f"the settings were ignored: {error}")
        return
    values = {n: v["value"] for n, v in stored.items() if isinstance(v, Mapping) and "value" in v}
    log.config |= {name: value for name, value in values.items() if name not in ("_wandb", "wandb_version")}


def _history(path: Path, log: Log) -> Iterable[dict[str, float]]:
    """The rows of ``wandb-history.jsonl``; what is damaged is left out with a note, a last line without an end in silence."""
    if not path.is_file():
        return
    with open(path, encoding="utf-8", errors="replace", opener=no_follow) as file:
        for number, line in enumerate(iter(lambda: file.readline(LINE), ""), start=1):
            try:
                row = parse_json(line)
            except InterpError as error:
                if line.endswith("\n"):
                    log.notes.append(f"{path.name}, line {number}: {error}; what follows is left out")
                return
            if isinstance(row, dict) and number <= MOST_ROWS:
                yield dict(pair for name, value in row.items() for pair in scalars(name, value))


def _summary(path: Path, log: Log) -> Points:
    """The last values, where there is no history: curves of one point."""
    if not path.is_file() or path.stat().st_size > JSON_BYTES:
        return {}
    try:
        with open(path, encoding="utf-8", errors="replace", opener=no_follow) as file:
            stored = parse_json(file.read())
    except InterpError as error:
        log.notes.append(f"{path.name} was ignored: {error}")
        return {}
    row = (
        dict(pair for name, value in stored.items() for pair in scalars(name, value))
        if isinstance(stored, dict)
        else {}
    )
    log.notes.append(f"only the last values are here ({path.name}): the history of this run is on W&B's server alone")
    return _points([row], log) if row else {}


def _points(rows: Iterable[Mapping[str, float]], log: Log) -> Points:
    """Curves over the step of training that the rows name, or over W&B's own counter."""
    rows = list(rows)
    own = next((name for name in STEPS if _counts(rows, name)), None)
    if own is not None and rows:
        log.notes.append(f"steps are those logged as {own!r}; W&B's own counter, _step, counts calls of log")
    step, kept = next((int(row[own]) for row in rows if own in row), 0) if own is not None else 0, Log(KIND)
    for number, row in enumerate(rows):
        step = int(_whole(row.get("_step"), number)) if own is None else int(row.get(own, step))
        for name, value in row.items():
            if name != own and not name.startswith("_"):
                kept.add(name, step, value)
    log.notes += kept.notes
    return kept.points


def _counts(rows: list[Mapping[str, float]], name: str) -> bool:
    """Whether a logged name holds whole numbers that never go back."""
    values = [row[name] for row in rows if name in row]
    whole = bool(values) and all(0 <= v < 1 << 62 and v == int(v) for v in values)
    return whole and all(a <= b for a, b in pairwise(values))


def _whole(value: Any, otherwise: int) -> float:
    return value if isinstance(value, (int, float)) and value == value and abs(value) < 1 << 62 else otherwise
