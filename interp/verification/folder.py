"""Paths of claims inside the folder of published files: none leads out of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from interp._util.files import is_file, refuse_link
from interp._util.schema import short
from interp._util.specs import format_spec, parse_spec
from interp.errors import InterpError, UnreadableFile, nearest

MOST_FILES, NAME_MAP = 10_000, ".toml"
NEVER_FILES = ("split", "operation", "loss", "form", "encoding")  # options of tasks


PLAIN = re.compile(r"[^,'\"()\[\]\\]*")


class Absent(UnreadableFile):
    """A file that is not in the folder."""


def check_inside(relative: str, place: str) -> None:
    """Refuse a path that leads out of a folder by its words alone.

    Args:
        relative: with slashes.
        place: where it stands, for the message.

    Raises:
        InterpError: an absolute path, one with ``..`` or a backslash, or an empty one.
    """
    path = PurePosixPath(relative)
    if relative == ".":  # the folder itself, where it is a run's
        return
    if (
        path.is_absolute()
        or ".." in path.parts
        or "\\" in relative
        or ":" in relative
        or "\0" in relative
        or not path.parts
    ):
        raise InterpError(
            f"{place} must be a path inside the folder, with slashes and without .. or a colon, got {short(relative)}"
        )


def inside(root: Path, relative: str) -> Path:
    """A file or folder of a folder.

    Args:
        root: the folder; it may itself be a link.
        relative: with slashes, without ``..``.

    Returns:
        its path.

    Raises:
        Absent: not there.
        UnreadableFile: a link on the way, or a device.
    """
    path = root
    for part in PurePosixPath(relative).parts:
        path = path / part
        refuse_link(path)
    try:
        there = path.exists()
    except OSError:
        there = False
    if not there:
        raise Absent(
            f"no {relative if relative == relative.strip() else short(relative)} in {root}{_near(root, relative)}"
        )
    return path


def _near(root: Path, relative: str) -> str:
    """The names that look most like the first part of a path that is not there."""
    part, before = "", PurePosixPath()
    for part in PurePosixPath(relative).parts:
        if not os.path.lexists(root / part):
            break
        root, before = root / part, before / part
    try:
        known = [entry.name for entry in islice(os.scandir(root), MOST_FILES)]
    except OSError:
        return ""
    close = [name for name in known if name.lower() == part.lower()] or nearest(part, known, 2)
    return f"; did you mean {' or '.join(repr(str(before / name)) for name in close)}?" if close else ""


def matching(root: Path, pattern: str) -> list[Path]:
    """All files of a folder that match a pattern, sorted.

    Args:
        root: the folder.
        pattern: a glob with slashes.

    Returns:
        their paths.

    Raises:
        Absent: none.
        InterpError: a link among them, or very many.
    """
    found: list[Path] = []
    for path in _globbed(root, pattern):
        at = root
        for part in path.relative_to(root).parts:
            at = at / part
            refuse_link(at)
        found.append(path)
        if len(found) > MOST_FILES:
            raise InterpError(f"{pattern} matches more than {MOST_FILES:,} files of {root}; narrow it")
    if not found:
        raise Absent(f"nothing matches {pattern} in {root}")
    return sorted(found)


def _globbed(root: Path, pattern: str) -> Iterator[Path]:
    try:
        yield from root.glob(pattern)
    except (ValueError, IndexError, NotImplementedError):  # pathlib's words for "." are of a tuple
        raise InterpError(f"{pattern} is not a glob pattern, such as checkpoints/*.pt") from None


def spec_inside(root: Path, spec: str, place: str) -> str:
    """A spec of a task or a start, whose files are those of the folder.

    Args:
        root: the folder.
        spec: ``name:key=value``; values that name a file of the folder become its path.
        place: where the spec stands, for messages.

    Returns:
        the spec.

    Raises:
        InterpError: a value that names a file outside the folder, or would name one when the spec is read once more.
    """
    name, options = parse_spec(spec)
    checked = {k: v if k in NEVER_FILES else _value(root, v, f"{place}: {k}") for k, v in options.items()}
    text = format_spec(name, checked)
    if parse_spec(text) != (name, checked):
        odd = next((str(v) for v in checked.values() if isinstance(v, str) and not PLAIN.fullmatch(v)), spec)
        raise InterpError(f"{place}: {short(odd)} holds a comma, a quote or a bracket, which no spec can; rename it")
    return text


def layout_inside(root: Path, layout: str) -> str:
    """A layout as `interp.load` takes it: a spec, or the path of a name map in the folder.

    Args:
        root: the folder.
        layout: a spec, or the name map relative to the folder.

    Returns:
        the spec, or the path.

    Raises:
        Absent: no such name map.
        InterpError: a file outside the folder.
    """
    if layout.endswith(NAME_MAP):
        check_inside(layout, "layout")
        return str(inside(root, layout))
    spec_inside(root, layout, "layout")
    return layout


def _value(root: Path, value: Any, place: str) -> Any:
    if not isinstance(value, str):
        return value
    posix = PurePosixPath(value)
    if posix.is_absolute() or ".." in posix.parts or value.startswith("~") or "\\" in value:
        raise InterpError(f"{place}={value[:80]} leads out of the folder; name a file inside it")
    try:
        path = inside(root, value)
    except Absent:
        if is_file(Path(value)) or Path(value).is_dir():
            raise InterpError(
                f"{place}={value[:80]} is not in the folder, but a file beside it; copy it there"
            ) from None
        return value  # a word, such as the name of an operation
    return str(path)
