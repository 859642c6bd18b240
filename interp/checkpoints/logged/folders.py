"""Which folder is a run of which tool."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from interp._util.files import refuse_link
from interp.checkpoints.logged import event_files, lightning_runs, trainer_runs, wandb_runs
from interp.checkpoints.logged.log import Log
from interp.checkpoints.logged.names import PARTS, named
from interp.errors import InterpError

DEPTH, MOST_FOLDERS = 3, 3000  # below a folder that is not a run itself
PART_WORDS = set().union(*PARTS.values())


def logged_run(path: Path) -> Log | None:
    """The run of another tool that a folder is, its curves under the names that analyses know.

    Args:
        path: of a folder, or of a single log.

    Returns:
        The log; None if it is not such a run.

    Raises:
        InterpError: it holds several runs; they are named.
        UnreadableFile: a log that cannot be read.
    """
    log = _of_file(path) if path.is_file() else _of_folder(path) if path.is_dir() else None
    if log is None:
        return None
    curves, notes = named(log.points)
    return replace(log, points=curves, notes=[*log.notes, *notes])


def run_below(folder: Path) -> Path | None:
    """The only run among the folders below one that is not a run itself, such as a project with ``lightning_logs`` in it.

    Args:
        folder: any.

    Returns:
        The run's folder; None where there is none.

    Raises:
        InterpError: there are several; they are named.
    """
    found = list(_runs_below(folder, DEPTH, [MOST_FOLDERS])) if folder.is_dir() else []
    _refuse_several(folder, [str(p.relative_to(folder)) for p in found])
    return found[0] if found else None


def _of_file(path: Path) -> Log | None:
    if event_files.is_event_file(path):
        return event_files.read_folder(path.parent, {"": [path]})
    return wandb_runs.read_file(path) if path.suffix == ".wandb" else None


def _of_folder(folder: Path) -> Log | None:
    if trainer_runs.is_run(folder):
        return trainer_runs.read_run(folder)
    events = _event_files(folder)
    if lightning_runs.is_run(folder):
        log = lightning_runs.read_run(folder)
        if events:
            own = event_files.read_folder(folder, events)
            log.points = {**own.points, **log.points}
            log.notes += own.notes
        return log
    if versions := lightning_runs.versions_in(folder):
        _refuse_several(folder, [p.name for p in versions])
        return _of_folder(versions[0])
    if wandb_runs.is_run(folder):
        return wandb_runs.read_runs([folder])
    if runs := wandb_runs.runs_in(folder):
        _refuse_several(folder, [paths[-1].name for paths in runs.values()])
        return wandb_runs.read_runs(next(iter(runs.values())))
    if events:
        return replace(event_files.read_folder(folder, events), folders=(folder,))
    return None


def _refuse_several(folder: Path, names: list[str]) -> None:
    if len(names) < 2:
        return
    shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    raise InterpError(f"{folder} holds {len(names)} runs: {shown}; name one of them, such as {folder / names[-1]}")


def _event_files(folder: Path) -> dict[str, list[Path]]:
    """The event files of a run by the prefix of their names.

    They are its own, and those of folders below, as ``add_scalars`` and Keras write them. Folders below alone are a run if
    they are called train, validation and the like.

    Returns:
        The files; none if the folder is not a run.
    """
    own = _events_in(folder)
    if not own and not any(inner.name.lower() in PART_WORDS for inner in _folders(folder, 1, [MOST_FOLDERS])):
        return {}
    below = {inner.relative_to(folder).as_posix(): _events_in(inner) for inner in _folders(folder, 2, [MOST_FOLDERS])}
    found = {f"{place}/": files for place, files in below.items() if files}
    if own:
        return {"": own, **found}
    return found if all(prefix.strip("/").lower() in PART_WORDS for prefix in found) else {}


def _events_in(folder: Path) -> list[Path]:
    files = sorted(f for f in folder.iterdir() if event_files.is_event_file(f))
    for file in files:
        refuse_link(file)
    return [f for f in files if f.is_file()]


def _folders(folder: Path, depth: int, budget: list[int]) -> list[Path]:
    """The folders below one; links are not followed, hidden ones are left out."""
    found: list[Path] = []
    with os.scandir(folder) as entries:
        inner = sorted(e.path for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith("."))
    for path in map(Path, inner):
        budget[0] -= 1
        if budget[0] < 0:
            return found
        found += [path, *(_folders(path, depth - 1, budget) if depth > 1 else ())]
    return found


def _runs_below(folder: Path, depth: int, budget: list[int]) -> Iterator[Path]:
    """Folders that are runs; what is inside a run is not looked into."""
    for inner in _folders(folder, 1, budget):
        if _is_run(inner):
            yield inner
        elif runs := wandb_runs.runs_in(inner):
            yield from ([inner] if len(runs) == 1 else [paths[-1] for paths in runs.values()])
        elif depth > 1:
            yield from _runs_below(inner, depth - 1, budget)


def _is_run(folder: Path) -> bool:
    return (
        trainer_runs.is_run(folder)
        or lightning_runs.is_run(folder)
        or wandb_runs.is_run(folder)
        or bool(_event_files(folder))
    )
