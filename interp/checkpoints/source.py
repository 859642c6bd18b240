"""Sources: the file, run directory or folder of steps that a user names, as a list of entries."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from interp._util.files import leads_out, not_followed
from interp._util.wrong_files import describe_folder
from interp.checkpoints.folders import steps_of_files
from interp.checkpoints.formats.contents import Contents
from interp.checkpoints.formats.find import Findings, Found, find
from interp.checkpoints.formats.folders import checkpoints_in, distributed_in, refuse_piece, steps_in, weights_in
from interp.checkpoints.formats.header import HEADER, place_of, read_header
from interp.checkpoints.formats.keras_config import UNORDERED
from interp.checkpoints.formats.reading import SUFFIXES, read
from interp.checkpoints.formats.safetensors_files import BIN_INDEX_SUFFIX, INDEX_SUFFIX
from interp.checkpoints.formats.steps import step_in_name
from interp.checkpoints.formats.tensors import TensorRef
from interp.checkpoints.layouts import FileInfo, config_beside, weights_file
from interp.checkpoints.layouts.config_fields import usable_config
from interp.checkpoints.logged.folders import logged_run, run_below
from interp.checkpoints.logged.log import Log
from interp.checkpoints.logged.names import named
from interp.checkpoints.logged_checkpoints import logged_entries
from interp.checkpoints.reparametrised import resolve
from interp.checkpoints.run_files import RECORDED, points, read_config, read_curves, read_run, read_scalars
from interp.errors import InterpError, UnreadableFile, in_file
from interp.series import Entry

MOST_FOLDERS = 200  # in a folder, to look into
CONFIG_FILES = ("cfg.json", "config.json")


@dataclass(frozen=True)
class Opened:
    """An entry whose file has been opened; its tensors are read when they are loaded.

    Attributes:
        entry: which step, in which file.
        contents: of the file.
        found: the weights of the entry, each in one piece.
        info: what stands beside them: the format's header and the training config.
        header: the suite's own entry in the format's header; empty in other files.
        notes: what was put together of parts, and fields of the file's own config that could not be used.
    """

    entry: Entry
    contents: Contents
    found: Found
    info: FileInfo
    header: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """What a path stands for.

    Attributes:
        path: as the user gave it.
        entries: one per step, in their order.
        config: the training config of the folder; empty if there is none.
        run: the contents of ``run.json`` of a run directory.
        curves: recorded curves, each a list of (step, value) points.
        notes: what was left out.
        member: which network of a run that trained several.
        key: where the weights are inside a file, as the user gave it.
        tool: that logged the run, if it was another one; then there may be no entries.
    """

    path: Path
    entries: tuple[Entry, ...]
    config: dict[str, Any] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    member: int = 0
    key: str | None = None
    tool: str = ""
    _file: dict[Path, tuple[Contents, Findings]] = field(
        default_factory=dict, repr=False
    )  # the last one that was opened

    def open(self, entry: Entry) -> Opened:
        """Open the file of an entry.

        Args:
            entry: one of `entries`.

        Returns:
            Its weights, and what stands beside them.

        Raises:
            UnreadableFile: a damaged file.
            InterpError: the file does not hold the chosen member.
        """
        if entry.path not in self._file:
            contents = _read(entry.path, self.key)
            self._file.clear()
            self._file[entry.path] = contents, find(contents, self.key)
        contents, findings = self._file[entry.path]
        header = _header(contents)
        # safetensors sorts its names, and HDF5 does
        ordered = not contents.format.startswith("safetensors") and contents.metadata.get("order") != UNORDERED
        own, ignored = usable_config(findings.config, "the config in the file")
        config = {**self.config, **own}
        if entry.key is not None and findings.steps[1:]:
            found = next(f for f in findings.steps if f.where == entry.key)
        else:
            found, header = self._one_member(entry, findings.steps[0], header)
        weights, joined = (found.weights, []) if header else resolve(found.weights, config)
        notes = (*joined, *ignored)
        metadata = {**contents.metadata, HEADER: json.dumps(header)} if header else contents.metadata
        info = FileInfo(metadata, config, ordered, entry.path, notes)
        return Opened(entry, contents, replace(found, weights=weights), info, header, notes)

    def _one_member(self, entry: Entry, found: Found, header: Mapping[str, Any]) -> tuple[Found, Mapping[str, Any]]:
        """The weights and the header of the chosen member, if a file holds those of many networks stacked."""
        members = header.get("members")
        if members is None:
            if self.member:
                raise InterpError(f"{entry.path} holds one network; there is no member {self.member}")
            return found, header
        place = place_of(header, self.member)
        if place is None:
            raise InterpError(f"{entry.path} holds the members 0 to {members - 1}; there is no member {self.member}")
        own = {n.removeprefix(place.prefix): t for n, t in found.weights.items() if n.startswith(place.prefix)}
        return replace(found, weights={n: t.row(place.row) for n, t in own.items()}), place.header


def open_source(path: str | Path, key: str | None = None, member: int = 0) -> Source:
    """Find the checkpoints that a path stands for.

    Args:
        path: of a file, a run directory or a folder of steps.
        key: where the weights are inside a file.
        member: which network of a run that trained several.

    Returns:
        The source; of a single file its contents are kept.

    Raises:
        UnreadableFile: nothing there, a folder without checkpoints, a damaged file.
        InterpError: several sets of weights in a file, and no ``key`` to choose one.
    """
    path = Path(path)
    try:
        folder = path.is_dir()
    except OSError as error:
        raise UnreadableFile(f"cannot read {str(path)[:200]}: {error.strerror}; check the path") from None
    if folder:
        try:
            return _open_directory(path, key, member)
        except PermissionError as error:
            raise UnreadableFile(f"cannot read {error.filename}: {error.strerror}; check its permissions") from None
    log = logged_run(path)
    return _open_file(path, key, member) if log is None else _open_logged(path, log, key, member)


def _open_file(path: Path, key: str | None, member: int) -> Source:
    refuse_piece(path)
    config, notes = _sibling_config(path.parent)
    contents = _read(path, key)
    findings = find(contents, key)
    if findings.steps[1:]:
        entries = sorted((Entry(s.step or 0, path, s.where) for s in findings.steps), key=lambda e: e.step)
    else:
        named = step_in_name(path.name)
        if named is None and re.fullmatch(
            r"checkpoint-\d+", path.parent.name
        ):  # as the Trainer of Hugging Face names them
            named = step_in_name(path.parent.name)
        stated = (_header(contents).get("step"), findings.steps[0].step, named.step if named and named.said else None)
        step = next((s for s in stated if s is not None), None)
        entries = [Entry(step or 0, path, findings.steps[0].where or None, known=step is not None)]
    curves = points(findings.curves, entries[-1].step)
    opened = {path: (contents, findings)}
    return Source(path, tuple(entries), config, {}, curves, (*findings.notes, *notes), member, key, "", opened)


def _open_directory(path: Path, key: str | None, member: int) -> Source:
    if (file := weights_file(path)) is not None:
        if leads_out(file):
            raise UnreadableFile(f"{path} holds no checkpoint of its own: {not_followed([file])}")
        return replace(_open_file(file, key, member), path=path)
    if (path / "run.json").is_file() and (path / "checkpoints").is_dir():
        run = read_run(path)
        if run.get(RECORDED) is True:
            return _open_recorded(path, run, key, member)
        source = _open_directory(path / "checkpoints", key, member)
        return replace(source, path=path, run=run, curves=read_curves(path / "metrics.jsonl", member) or source.curves)
    if (metadata := distributed_in(path)) is not None:
        return replace(_open_file(metadata, key, member), path=path)
    if (log := logged_run(path)) is not None:
        return _open_logged(path, log, key, member)
    if steps := steps_in(path, SUFFIXES):
        return _open_steps(path, steps, key, member)
    indices = sorted([*path.glob(f"*{INDEX_SUFFIX}"), *path.glob(f"*{BIN_INDEX_SUFFIX}")])
    if len(indices) == 1 and not leads_out(indices[0]):
        return _open_file(indices[0], key, member)
    files, beside = checkpoints_in(path, SUFFIXES)
    if not files and (below := run_below(path)) is not None:
        source = _open_directory(below, key, member)
        return replace(source, notes=(f"{below.relative_to(path)} is the run in {path.name}", *source.notes))
    if not files and (what := describe_folder(path)) is not None:
        raise UnreadableFile(f"{path} is {what}")
    if not files:
        held = ", ".join(sorted(f.name for f in path.iterdir())[:8]) or "nothing"
        raise UnreadableFile(
            f"{path} is a folder without checkpoints (no run.json, and no file ending in {', '.join(SUFFIXES)}); "
            f"it holds: {held}; name {_below(path) or 'a checkpoint file, or the folder of a run'}"
        )
    if len(files) == 1:
        source = _open_file(files[0], key, member)
        return replace(source, path=path if beside else source.path, notes=(*source.notes, *beside))
    try:
        entries, notes = steps_of_files(files, lambda file: _inside(file, key))
    except UnreadableFile:
        if (weights := weights_in(path)) is None:
            raise
        left = ", ".join(f.name for f in files if f != weights)
        return replace(_open_file(weights, key, member), path=path, notes=(f"{weights.name} is read, {left} left out",))
    config, ignored = _sibling_config(path)
    return Source(path, entries, config, notes=(*notes, *beside, *ignored), member=member, key=key)


def _below(path: Path) -> str:
    """One of the folders in a folder that hold checkpoints, such as those of several runs; empty if none does."""
    inner = [f for f in sorted(path.iterdir())[:MOST_FOLDERS] if f.is_dir() and not f.is_symlink()]
    held = [f.name for f in inner if steps_in(f, SUFFIXES) or checkpoints_in(f, SUFFIXES)[0]]
    return f"one of the folders in it that hold checkpoints: {', '.join(held[:8])}" if held else ""


def _open_recorded(path: Path, run: dict[str, Any], key: str | None, member: int) -> Source:
    """A run of `interp.record`, finished or not: a loop of the user's own under our names for files."""
    log = Log(
        "interp.record", read_scalars(path / "metrics.jsonl"), run.get("config", {}), folders=(path / "checkpoints",)
    )
    curves, notes = named(log.points)
    return replace(_open_logged(path, replace(log, points=curves, notes=notes), key, member), run=run)


def _open_logged(path: Path, log: Log, key: str | None, member: int) -> Source:
    """A run of another tool: its curves, and what checkpoints it has."""
    entries, notes = logged_entries(log, lambda file: _inside(file, key))
    if not entries and not log.points:
        raise UnreadableFile(
            f"{path} is a run of {log.kind} without a curve and without a checkpoint; name another folder"
        )
    place = entries[0].path.parent if entries else path
    beside, ignored = _sibling_config(place)
    told, left = usable_config(log.config, f"the settings of {log.kind}")
    run = {"name": log.name} if log.name else {}
    all_notes = (*log.notes, *notes, *ignored, *left)
    return Source(path, entries, {**told, **beside}, run, log.points, all_notes, member, key, log.kind)


def _open_steps(path: Path, steps: dict[Path, int], key: str | None, member: int) -> Source:
    """The checkpoints in subfolders as a series; a model beside them says no step."""
    final = weights_in(path)
    notes = [] if final is None else [f"{final.name} is left out of the series: nothing says at which step it was saved "
                                      f"(name {final} to read it)"]  # fmt: skip
    kept: dict[int, Entry] = {}
    for file, step in steps.items():
        if kept.setdefault(step, Entry(step, file)).path != file:
            notes.append(
                f"step {step} occurs more than once: {kept[step].path.parent.name} is used, {file.parent.name} is left out"
            )
    config, ignored = _sibling_config(next(iter(steps)).parent)
    return Source(path, tuple(kept.values()), config, notes=(*notes, *ignored), member=member, key=key)


def _inside(path: Path, key: str | None) -> tuple[int | None, Mapping[str, TensorRef]]:
    """The step that a file states, and its weights."""
    contents = read(path)
    found = find(contents, key).steps[-1]
    return _header(contents).get("step", found.step), found.weights


def _read(path: Path, key: str | None) -> Contents:
    return read(path) if key is None else read(path, key)


def _header(contents: Contents) -> dict[str, Any]:
    with in_file(contents.path):
        return read_header(contents.metadata)


def _sibling_config(folder: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The training config in a folder, and notes on what of it could not be used."""
    found = [read_config(folder / name) for name in CONFIG_FILES if (folder / name).is_file()]
    config = next((config for config, _ in found if config), None) or config_beside(folder)
    return config, tuple(note for _, notes in found for note in notes)
