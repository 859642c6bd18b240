"""Sources: what a user points at (a file, a run directory, a folder of steps) becomes a list of entries."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from interp.checkpoints.formats.find import Findings, Found, find
from interp.checkpoints.formats.pickled_values import Stub
from interp.checkpoints.formats.reading import INDEX_SUFFIX, SUFFIXES, Contents, read
from interp.checkpoints.layouts import FileInfo
from interp.checkpoints.layouts.suite import read_header
from interp.errors import InterpError, UnreadableFile, naming
from interp.series import Entry, steps_of

CONFIG_FILES = ("cfg.json", "config.json")
RUN_FORMAT = 1  # of the run directory; raised when an older version could not read it
CURVES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")


@dataclass
class Source:
    """Entries by step, and the files that have been opened for them.

    Attributes:
        entries: one per step, in their order.
        config: the training config of the folder (``cfg.json``), empty where there is none.
        run: the contents of ``run.json`` of a run directory.
        curves: recorded curves, each a list of (step, value) points.
        notes: what was left out.
    """

    path: Path
    entries: tuple[Entry, ...]
    config: dict[str, Any] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    _opened: dict[Path, tuple[Contents, Findings]] = field(default_factory=dict, repr=False)
    member: int = 0
    _key: str | None = None

    def open(self, entry: Entry) -> tuple[Contents, Findings]:
        """The file of an entry; only the last one opened is kept."""
        if entry.path not in self._opened:
            contents = read(entry.path)
            self._opened.clear()
            self._opened[entry.path] = contents, find(contents, self._key)
        return self._opened[entry.path]

    def found(self, entry: Entry) -> Found:
        """The weights of an entry, not yet read."""
        _, findings = self.open(entry)
        if entry.key is None or len(findings.steps) == 1:
            return self._one_member(entry, findings.steps[0])
        return next(f for f in findings.steps if f.where == entry.key)

    def _one_member(self, entry: Entry, found: Found) -> Found:
        """The weights of the chosen member, where a file holds those of many networks stacked."""
        members = header_of(self.open(entry)[0]).get("members")
        if members is None:
            if self.member:
                raise InterpError(f"{entry.path} holds one network; there is no member {self.member}")
            return found
        if not 0 <= self.member < members:
            raise InterpError(f"{entry.path} holds the members 0 to {members - 1}; there is no member {self.member}")
        return replace(found, weights={n: t.row(self.member) for n, t in found.weights.items()})

    def info(self, entry: Entry) -> FileInfo:
        contents, findings = self.open(entry)
        ordered = not contents.format.startswith("safetensors")  # which sorts its names
        return FileInfo(contents.metadata, {**self.config, **findings.config}, ordered)


def open_source(path: str | Path, key: str | None = None, member: int = 0) -> Source:
    """Find the checkpoints that a path stands for.

    Raises:
        UnreadableFile: nothing there, a folder of something else, a damaged file.
        InterpError: several sets of weights in a file, and no ``key`` to choose one.
    """
    path = Path(path)
    try:
        folder = path.is_dir()
    except OSError as error:
        raise UnreadableFile(f"cannot read {str(path)[:200]}: {error.strerror}; check the path") from None
    if folder:
        return _open_directory(path, key, member)
    entry = Entry(0, path)
    source = Source(path, (entry,), config=_sibling_config(path.parent), member=member, _key=key)
    contents, findings = source.open(entry)
    found, *others = findings.steps
    if others:
        entries = [Entry(s.step or 0, path, s.where) for s in findings.steps]
        source.entries = tuple(sorted(entries, key=lambda e: e.step))
    else:
        stored = header_of(contents).get("step")
        named = (steps_of([path]) or {}).get(path) if "step" in path.name or "epoch" in path.name else None
        step = next((s for s in (stored, found.step, named) if s is not None), 0)
        source.entries = (Entry(step, path, found.where or None),)
    source.curves = _points(findings.curves, source.entries[-1].step)
    return source


def _open_directory(path: Path, key: str | None, member: int) -> Source:
    if (path / "params.pkl").is_file() and (path / "arch.pkl").is_file():  # a folder of akarshkumar0101/fer
        source = open_source(path / "params.pkl", key, member)
        source.path = path
        return source
    if (path / "run.json").is_file() and (path / "checkpoints").is_dir():
        run = read_json(path / "run.json")
        source = _open_directory(path / "checkpoints", key, member)
        source.path, source.run = path, run
        source.curves = _metrics(path / "metrics.jsonl", member) or source.curves
        return source
    indices = sorted(path.glob(f"*{INDEX_SUFFIX}"))
    if len(indices) == 1:
        return open_source(indices[0], key, member)
    files = sorted(f for f in path.iterdir() if f.is_file() and f.suffix in SUFFIXES and not f.name.startswith("."))
    if not files:
        held = ", ".join(sorted(f.name for f in path.iterdir())[:8]) or "nothing"
        raise UnreadableFile(
            f"{path} is a folder without checkpoints (no run.json, and no file ending in {', '.join(SUFFIXES)}); "
            f"it holds: {held}; name a checkpoint file, or the folder of a run"
        )
    if len(files) == 1:
        return open_source(files[0], key, member)
    steps = steps_of(files)
    if steps is None:
        raise UnreadableFile(
            f"{path} holds several checkpoints, and not all names carry a step: {', '.join(f.name for f in files[:8])}; "
            "name one of the files"
        )
    entries, notes = _once([Entry(step, file) for file, step in steps.items()])
    return Source(path, entries, config=_sibling_config(path), notes=notes, member=member, _key=key)


def _once(entries: list[Entry]) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """Entries in the order of their steps; of a step that occurs twice the first file by name, and a note on the others."""
    kept: dict[int, Entry] = {}
    notes = []
    for entry in sorted(entries, key=lambda e: (e.step, e.path.name)):
        if entry.step in kept:
            first = kept[entry.step].path.name
            notes.append(f"step {entry.step} occurs more than once: {first} is used, {entry.path.name} is left out")
        kept.setdefault(entry.step, entry)
    return tuple(kept.values()), tuple(notes)


def header_of(contents: Contents) -> dict[str, Any]:
    """Our entry in a file's header; errors name the file."""
    try:
        return read_header(contents.metadata)
    except UnreadableFile as error:
        raise naming(contents.path, error) from None


def read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableFile(f"{path} is no JSON: {error}; write it again, or remove it") from None
    if not isinstance(value, dict):
        raise UnreadableFile(f"{path} holds a JSON {type(value).__name__}, expected an object")
    return value


def _sibling_config(folder: Path) -> dict[str, Any]:
    for name in CONFIG_FILES:
        if (folder / name).is_file():
            return read_json(folder / name)
    return _fer_config(folder)


def _fer_config(folder: Path) -> dict[str, Any]:
    """What akarshkumar0101/fer stores beside its weights: ``arch.pkl`` (a text), and ``args.pkl`` where it was trained."""
    config: dict[str, Any] = {}
    for name in ("args.pkl", "arch.pkl") if (folder / "arch.pkl").is_file() else ():
        if (folder / name).is_file():
            tree = read(folder / name).tree
            value = tree.state if isinstance(tree, Stub) else tree
            config |= {str(k): v for k, v in value.items()} if isinstance(value, dict) else {"arch": value}
    if config and not isinstance(config.get("arch"), str):
        raise UnreadableFile(f"{folder / 'arch.pkl'} holds no text, so the weights beside it have no architecture")
    return config


def _points(curves: dict[str, list[float]], step: int) -> dict[str, list[tuple[int, float]]]:
    """Give recorded lists their steps: the longest has one value per step, shorter ones were taken at intervals."""
    longest = max((len(values) for values in curves.values()), default=0)
    placed = {}
    for name, values in curves.items():
        if len(values) == 1:
            placed[name] = [(step, values[0])]
            continue
        interval = -(-longest // len(values))
        placed[name] = [(i * interval, v) for i, v in enumerate(values)]
    return placed


def _metrics(path: Path, member: int) -> dict[str, list[tuple[int, float]]]:
    """The curves in a run's ``metrics.jsonl`` of one member."""
    curves: dict[str, list[tuple[int, float]]] = {}
    if not path.is_file():
        return curves
    with path.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.endswith("\n"):
                break  # the run is writing it, or was killed while it did
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                raise UnreadableFile(f"{path}, line {number}: no JSON; cut the file there") from None
            if not isinstance(row, dict) or not isinstance(row.get("step"), int):
                raise UnreadableFile(f"{path}, line {number}: no object with a whole number as its step")
            if row.get("member", 0) == member:
                for name in CURVES:
                    if isinstance(row.get(name), (int, float)):
                        curves.setdefault(name, []).append((row["step"], float(row[name])))
    return curves
