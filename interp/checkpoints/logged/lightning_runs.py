"""Folders of Lightning: ``version_N`` with hparams.yaml, metrics.csv or event files, and checkpoints."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path

from interp._util.files import no_follow
from interp.checkpoints.logged.log import Log
from interp.checkpoints.logged.yaml_files import read_yaml
from interp.errors import UnreadableFile

KIND = "Lightning"
HPARAMS, METRICS, CHECKPOINTS = "hparams.yaml", "metrics.csv", "checkpoints"
VERSION = re.compile(r"version_(\d+)")
SUFFIX = ".ckpt"


def versions_in(folder: Path) -> list[Path]:
    """The runs in a folder ``lightning_logs``, in their order; links are not followed."""
    found = [(int(m[1]), p) for p in folder.iterdir() if (m := VERSION.fullmatch(p.name)) and len(m[1]) < 18]
    return [path for _, path in sorted(found) if path.is_dir() and not path.is_symlink()]


def is_run(folder: Path) -> bool:
    """Whether a folder is one that Lightning wrote: its settings or metrics, or checkpoints under its name for them."""
    if (folder / HPARAMS).is_file() or ((folder / METRICS).is_file() and _has_steps(folder / METRICS)):
        return True
    inner = folder / CHECKPOINTS
    return inner.is_dir() and not inner.is_symlink() and any(f.suffix == SUFFIX for f in inner.iterdir())


def read_run(folder: Path) -> Log:
    """What Lightning's CSV logger and its settings say; checkpoints stand in ``checkpoints``, or beside them."""
    inner = [p for p in (folder / CHECKPOINTS, folder) if p.is_dir() and not p.is_symlink()]
    by_lightning = len(inner) > 1 or (folder / HPARAMS).is_file()
    log = Log(KIND if by_lightning else f"a loop that wrote {METRICS}", folders=tuple(inner))
    if (folder / HPARAMS).is_file():
        try:
            log.config = read_yaml(folder / HPARAMS)
        except UnreadableFile as error:
            log.notes.append(f"the settings were ignored: {error}")
    if (folder / METRICS).is_file():
        _metrics(folder / METRICS, log)
    return log


def _has_steps(path: Path) -> bool:
    with open(path, encoding="utf-8", errors="replace", newline="", opener=no_follow) as file:
        return bool({"step", "epoch"} & set(file.readline(1 << 16).strip().split(",")))


def _metrics(path: Path, log: Log) -> None:
    """The rows of ``metrics.csv``: a column a name, a cell empty where nothing was logged."""
    try:
        with open(path, encoding="utf-8", errors="replace", newline="", opener=no_follow) as file:
            rows = csv.DictReader(file)
            clock = next((c for c in ("step", "epoch") if c in (rows.fieldnames or ())), None)
            if clock is None:
                log.notes.append(f"{path.name} was ignored: it has no column step or epoch")
                return
            if clock == "epoch":
                log.notes.append(f"{path.name} has no column step: its epochs stand for the steps")
            for row in rows:
                step = _number(row.get(clock))
                if step is None or not 0 <= step < 1 << 62:
                    continue
                for name, cell in row.items():
                    value = _number(cell) if name and name != clock else None
                    if name and value is not None:
                        log.add(name, int(step), value)
    except OSError as error:
        log.notes.append(f"{path.name} cannot be read: {error.strerror or error}")
    except csv.Error as error:
        log.notes.append(f"{path.name} is damaged ({error}); what follows is left out")


def _number(cell: object) -> float | None:
    """The number in a cell; None for an empty one, a text, and what csv adds to a row of another length."""
    if not isinstance(cell, str) or not cell.strip():
        return None
    try:
        value = float(cell)
    except ValueError:
        tensor = re.fullmatch(r"tensor\(([^,()]+).*\)", cell.strip())  # as a tensor prints itself
        return _number(tensor[1]) if tensor else None
    return value if not math.isnan(value) else math.nan
