"""A folder of checkpoints as a series: which file is which step, and what is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import torch

from interp.checkpoints.formats.steps import Named, settings_in_name, step_in_name
from interp.checkpoints.formats.tensors import TensorRef
from interp.errors import InterpError, UnreadableFile
from interp.series import Entry

# opens a file: the step that it states, and its weights
Look = Callable[[Path], tuple[int | None, Mapping[str, TensorRef]]]


def steps_of_files(files: Sequence[Path], look: Look) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """The checkpoints of a folder in the order of their steps.

    A file whose name has no number (``last``, ``best``) takes its step from inside; where it states none it is left out,
    as a copy if its weights are those of a numbered file.

    Args:
        files: the checkpoints of a folder.
        look: opens a file.

    Returns:
        One entry a step; notes on what was assumed, and on every file that was left out.

    Raises:
        UnreadableFile: no name has a step, and not every file states one; or the names say that they are several runs.
    """
    _require_one_run(files)
    named = {file: step_in_name(file.name) for file in files}
    numbered = {file: found for file, found in named.items() if found is not None}
    if said := any(found.said for found in numbered.values()):
        numbered = {file: found for file, found in numbered.items() if found.said}
    if not said and len({found.step for found in numbered.values()}) == 1 < len(numbered):
        numbered = {}  # a number in every name is not a step
    unnamed = [file for file in files if file not in numbered]
    stated = {file: step for file in unnamed if (step := _stated(file, look)) is not None} if unnamed else {}
    if not numbered and len(stated) < len(files):
        raise UnreadableFile(
            f"{files[0].parent} holds several checkpoints, and neither their names nor the files say at which steps they were "
            f"saved: {', '.join(f.name for f in files[:8])}; name one of the files, or rename them to step_100, step_200, ..."
        )
    entries, notes = _once([Entry(found.step, file) for file, found in numbered.items()], look)
    notes += _bare(numbered)
    for file in unnamed:
        entries, note = _placed(entries, file, stated.get(file), look)
        notes.append(note)
    return tuple(sorted(entries, key=lambda e: e.step)), tuple(notes)


def _require_one_run(files: Sequence[Path]) -> None:
    """Refuse files whose names give one setting several values, such as seeds: they are not steps of one run."""
    told = {file: settings_in_name(file.name) for file in files}
    for setting in dict.fromkeys(s for settings in told.values() for s in settings):
        held = {settings[setting]: file for file, settings in told.items() if setting in settings}
        if len(held) > 1 and any(step_in_name(file.name) for file in files):
            one, other, *_ = held.values()
            raise UnreadableFile(
                f"{one.parent} holds checkpoints of several runs, which differ in {setting} ({one.name}, {other.name}): put each "
                "run into a folder of its own, or name one file"
            )


def _stated(file: Path, look: Look) -> int | None:
    try:
        return look(file)[0]
    except InterpError:
        return None  # it is left out with a note, whatever it is: the numbered files make the series


def _bare(numbered: Mapping[Path, Named]) -> list[str]:
    """A note where the numbers in the names are not said to be steps."""
    bare = next((file for file, found in numbered.items() if not found.said), None)
    return [] if bare is None else [f"the numbers in the names of the files ({bare.name}) are read as steps"]


def _once(entries: list[Entry], look: Look) -> tuple[list[Entry], list[str]]:
    """One entry a step: of several files of a step the first by name, and a note on the others."""
    kept: dict[int, Entry] = {}
    notes = []
    for entry in sorted(entries, key=lambda e: (e.step, e.path.name)):
        first = kept.setdefault(entry.step, entry)
        if first is not entry:
            copy = " (a copy)" if _equal(first.path, entry.path, look) else ""
            notes.append(
                f"step {entry.step} occurs more than once: {first.path.name} is used, {entry.path.name} is left out{copy}"
            )
    return list(kept.values()), notes


def _placed(entries: list[Entry], file: Path, step: int | None, look: Look) -> tuple[list[Entry], str]:
    """The entries with a file whose name says no step, if it adds one; and a note on it."""
    if step is not None and step not in {e.step for e in entries}:
        return [*entries, Entry(step, file)], f"{file.name} is step {step:,}, as it states itself"
    likely = [e for e in entries if e.step == step] or sorted(entries, key=lambda e: -e.step)
    same = next((e for e in likely if _equal(e.path, file, look)), None)
    if same is not None:
        return entries, f"{file.name} is left out: it is a copy of {same.path.name}"
    if step is not None:
        return (
            entries,
            f"{file.name} is left out: it says step {step:,}, as {likely[0].path.name} does, with other weights",
        )
    return (
        entries,
        f"{file.name} is left out of the series: neither its name nor the file says at which step it was saved",
    )


def _equal(one: Path, other: Path, look: Look) -> bool:
    """Whether two files hold the same tensors; bytes beside the weights may differ."""
    try:
        a, b = look(one)[1], look(other)[1]
        return {n: t.shape for n, t in a.items()} == {n: t.shape for n, t in b.items()} and _all_equal(
            (a[n], b[n]) for n in a
        )
    except InterpError:
        return False  # a damaged file is not a copy; it is named when it is read


def _all_equal(pairs: Iterable[tuple[TensorRef, TensorRef]]) -> bool:
    return all(torch.equal(a.load(), b.load()) for a, b in pairs)
