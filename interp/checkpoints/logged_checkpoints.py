"""The checkpoints of a logged run, each at its step."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from interp.checkpoints.folders import Look, steps_of_files
from interp.checkpoints.formats.folders import TRAINING_STATE
from interp.checkpoints.formats.reading import SUFFIXES
from interp.checkpoints.formats.steps import step_in_name
from interp.checkpoints.logged.log import Log
from interp.errors import InterpError, UnreadableFile
from interp.series import Entry

NOT_HERE = {"media", "artifacts", "artifact", "code", "logs", "tmp"}
NO_WEIGHTS = {".xml", ".npy"}  # in the folders of these tools they are data
EPOCH, STEP = re.compile(r"ep(och)?s?(?![a-z])", re.IGNORECASE), re.compile(r"step|iter|update|batch", re.IGNORECASE)


def logged_entries(log: Log, look: Look) -> tuple[tuple[Entry, ...], list[str]]:
    """The checkpoints of a run in the order of their steps.

    Args:
        log: says where they may be.
        look: opens a file.

    Returns:
        One entry a step, none where nothing was kept or nothing says which file is which; and notes.
    """
    if log.files:
        known = [Entry(step or 0, path, known=step is not None) for path, step in log.files.items()]
        return tuple(sorted(known, key=lambda e: e.step)), []
    files, notes = [], []
    for folder in log.folders:
        found = [f for place in (folder, *_inside(folder)) for f in sorted(place.iterdir()) if _may_be(f)]
        notes += [
            f"{f.name} is a link, which is not followed; name the file that it leads to"
            for f in found
            if f.is_symlink()
        ]
        files = [f for f in found if not f.is_symlink()]
        if files:
            break
    if not files:
        return (), notes
    if len(files) == 1:
        return (_only(files[0], look),), notes
    try:
        entries, more = by_epoch(log, files, look) or steps_of_files(files, look)
    except UnreadableFile as error:
        return (), [*notes, f"no checkpoint is read: {error}"]
    return entries, [*notes, *more]


def _inside(folder: Path) -> Iterator[Path]:
    """The folders in one, such as ``checkpoints``, without links, hidden ones and those that hold no weights."""
    for inner in sorted(folder.iterdir()):
        if inner.is_dir() and not inner.is_symlink() and inner.name not in NOT_HERE and not inner.name.startswith("."):
            yield inner


def _may_be(file: Path) -> bool:
    usual = file.suffix in SUFFIXES and file.suffix not in NO_WEIGHTS and not file.name.startswith(".")
    return usual and not TRAINING_STATE.match(file.name) and (file.is_file() or file.is_symlink())


def _only(file: Path, look: Look) -> Entry:
    named = step_in_name(file.name)
    step = named.step if named is not None and named.said and not _says_epoch(file) else _stated(file, look)
    step = named.step if step is None and named is not None and named.said else step
    return Entry(step or 0, file, known=step is not None)


def _stated(file: Path, look: Look) -> int | None:
    try:
        return look(file)[0]
    except InterpError:
        return None  # whoever reads it says what is wrong with it


def _says_epoch(file: Path) -> bool:
    return bool(EPOCH.search(file.stem)) and not STEP.search(file.stem)


def by_epoch(log: Log, files: Sequence[Path], look: Look) -> tuple[tuple[Entry, ...], list[str]] | None:
    """Checkpoints whose names count epochs, at the steps that the files state, or at which the run logged these epochs.

    Args:
        log: of the run; its curve ``epoch`` says when each began and ended.
        files: the checkpoints.
        look: opens a file.

    Returns:
        One entry a step, and notes; None where names count steps, or nothing says which step an epoch is.
    """
    if not any(map(_says_epoch, files)):
        return None
    ends = {int(epoch): step for step, epoch in log.points.get("epoch", []) if epoch == int(epoch)}
    kept: dict[int, Entry] = {}
    notes: list[str] = []
    for file in files:
        named, step = step_in_name(file.name), _stated(file, look)
        if step is None and named is not None and named.said:
            step = ends.get(named.step)
        if step is None and _says_epoch(file):
            return None
        if step is None:
            notes.append(f"{file.name} is left out of the series: nothing says at which step it was saved")
        elif kept.setdefault(step, Entry(step, file)).path != file:
            notes.append(f"step {step} occurs more than once: {kept[step].path.name} is used, {file.name} is left out")
    notes.append("names of checkpoints count epochs; their steps are those that the files state, or the run logged")
    return tuple(sorted(kept.values(), key=lambda e: e.step)), notes
