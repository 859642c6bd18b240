"""Material: a published file as quantities see it, opened once for all facts about it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from interp._util.schema import TOO_DEEP, too_deep
from interp.errors import InterpError, UnreadableFile
from interp.verification.folder import inside, layout_inside, matching, spec_inside
from interp.verification.written import Written

if TYPE_CHECKING:
    import pandas as pd

    from interp.checkpoints.formats.contents import Contents
    from interp.snapshot import Snapshot
    from interp.subject import Subject

T = TypeVar("T")
MOST_TEXT = 256 << 20  # bytes of a table or a JSON file


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of a JSON file, whose keys stand in it once each: of two values neither is chosen."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found


class Material:
    """A file or folder of the published data. Nothing is read before it is needed, and everything only once.

    Args:
        root: the folder of the data.
        file: relative to it, or a glob.
        how: arguments of `interp.load`: task, layout, key, step, member.
        files: the same for other files of the folder, by their names.
    """

    def __init__(
        self, root: Path, file: str, how: Mapping[str, Any] | None = None,
        files: Mapping[str, Mapping[str, Any]] | None = None,
    ):  # fmt: skip
        self.root, self.file, self.how, self.files = root, file, dict(how or {}), dict(files or {})
        self._shared: dict[Any, Any] = {}

    def share(self, key: Any, make: Callable[[], T]) -> T:
        """What ``make`` returns, made once for all facts about the file that ask under one key."""
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]

    @cached_property
    def path(self) -> Path:
        """Of the file."""
        return inside(self.root, self.file)

    @cached_property
    def paths(self) -> list[Path]:
        """All files that match, where ``file`` is a glob."""
        return matching(self.root, self.file)

    @cached_property
    def one_file(self) -> Path:
        """Path of the file, where a quantity reads a single one.

        Raises:
            UnreadableFile: it is a folder.
        """
        if self.path.is_dir():
            raise UnreadableFile(f"{self.file} is a folder, and one file of it is asked for: name that")
        return self.path

    def other(self, file: str) -> Material:
        """Another file of the same folder, relative to it, opened once as well.

        Args:
            file: relative to the folder.

        Returns:
            its material, read as ``[files]`` says of it.

        Raises:
            InterpError: no file is named.
        """
        if not file:
            raise InterpError("the other file is missing: name it with beside = ...")
        return self.share(("other", file), lambda: Material(self.root, file, self.files.get(file), self.files))

    @cached_property
    def subject(self) -> Subject:
        """The network with its task, in float64 on the CPU."""
        from interp.checkpoints import load

        how = dict(self.how)
        if "task" in how:
            how["task"] = spec_inside(self.root, how["task"], "task")
        if "layout" in how:
            how["layout"] = layout_inside(self.root, how["layout"])
        return load(self.path, dtype="float64", device="cpu", **how)

    @cached_property
    def snapshot(self) -> Snapshot:
        """The network's one forward pass, which all measures share."""
        from interp.snapshot import Snapshot

        return Snapshot(self.subject)

    @cached_property
    def contents(self) -> Contents:
        """The file's tensors and values as they stand in it."""
        from interp.checkpoints.formats.reading import read

        return read(self.one_file, self.how.get("key"))

    @cached_property
    def text(self) -> str:
        """The file as text.

        Raises:
            UnreadableFile: a folder, too large, or not UTF-8.
        """
        if (size := self.one_file.stat().st_size) > MOST_TEXT:
            raise UnreadableFile(f"{self.file} has {size:,} bytes; tables may have {MOST_TEXT:,}")
        try:
            return self.path.read_text("utf-8-sig")
        except UnicodeDecodeError:
            raise UnreadableFile(f"{self.file} is not UTF-8 text") from None

    @cached_property
    def json(self) -> Any:
        """The file's JSON; decimals remember how they were written.

        Raises:
            UnreadableFile: not JSON, nested too deeply, or a key stands twice in an object.
        """
        try:
            found = json.loads(self.text, parse_float=Written, object_pairs_hook=_once)
        except RecursionError:
            raise UnreadableFile(f"{self.file} is {TOO_DEEP}") from None
        except ValueError as error:
            raise UnreadableFile(f"{self.file} is not JSON: {str(error)[:100]}") from None
        if too_deep(found):
            raise UnreadableFile(f"{self.file} is {TOO_DEEP}")
        return found

    def table(self, header: bool = True, written: bool = False) -> pd.DataFrame:
        """The file as a table: CSV, TSV, or JSON (a list of objects).

        Args:
            header: whether the first row names the columns; else they are called 1, 2, ...
            written: whether decimals remember how they were written.

        Returns:
            the table.

        Raises:
            UnreadableFile: no table, or rows of different lengths.
        """
        return self.share(("table", header, written), lambda: self._table(header, written))

    def _table(self, header: bool, written: bool) -> pd.DataFrame:
        from interp.verification.table_file import DELIMITED, from_json, parse_delimited

        suffix = self.path.suffix.lower()
        if suffix == ".json":
            return from_json(self.json, self.file, written)
        if suffix not in DELIMITED:
            raise InterpError(f"{self.file} is not a table; tables end in .csv, .tsv or .json")
        return parse_delimited(self.text, suffix == ".tsv", header, self.file, written)
