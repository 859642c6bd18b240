"""Material: a published file as quantities see it, opened once for all facts about it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from interp.errors import InterpError, UnreadableFile
from interp.verification.folder import inside, matching, spec_inside
from interp.verification.written import Written

if TYPE_CHECKING:
    import pandas as pd

    from interp.checkpoints.formats.contents import Contents
    from interp.snapshot import Snapshot
    from interp.subject import Subject

T = TypeVar("T")
MOST_TEXT = 256 << 20  # bytes of a table or a JSON file


class Material:
    """A file or folder of the published data. Nothing is read before it is needed, and everything only once.

    Args:
        root: the folder of the data.
        file: relative to it, or a glob.
        how: arguments of `interp.load`: task, layout, key, step, member.
    """

    def __init__(self, root: Path, file: str, how: Mapping[str, Any] | None = None):
        self.root, self.file, self.how = root, file, dict(how or {})
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

    def other(self, file: str) -> Material:
        """Another file of the same folder, relative to it, opened once as well."""
        return self.share(("other", file), lambda: Material(self.root, file))

    @cached_property
    def subject(self) -> Subject:
        """The network with its task, in float64 on the CPU."""
        from interp.checkpoints import load

        how = dict(self.how)
        if "task" in how:
            how["task"] = spec_inside(self.root, how["task"], "task")
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

        return read(self.path, self.how.get("key"))

    @cached_property
    def text(self) -> str:
        """The file as text.

        Raises:
            UnreadableFile: too large, or not UTF-8.
        """
        if (size := self.path.stat().st_size) > MOST_TEXT:
            raise UnreadableFile(f"{self.file} has {size:,} bytes; tables may have {MOST_TEXT:,}")
        try:
            return self.path.read_text("utf-8-sig")
        except UnicodeDecodeError:
            raise UnreadableFile(f"{self.file} is not UTF-8 text") from None

    @cached_property
    def json(self) -> Any:
        """The file's JSON; decimals remember how they were written.

        Raises:
            UnreadableFile: not JSON.
        """
        try:
            return json.loads(self.text, parse_float=Written)
        except (ValueError, RecursionError) as error:
            raise UnreadableFile(f"{self.file} is not JSON: {str(error)[:100]}") from None

    def table(self, header: bool = True) -> pd.DataFrame:
        """The file as a table: CSV, TSV, or JSON (a list of objects).

        Args:
            header: whether the first row names the columns; else they are called 1, 2, ...

        Returns:
            the table.
        """
        return self.share(("table", header), lambda: self._table(header))

    def _table(self, header: bool) -> pd.DataFrame:
        import csv
        import io

        import pandas as pd

        suffix = self.path.suffix.lower()
        try:
            if suffix == ".json":
                return pd.DataFrame(self.json)
            if suffix not in (".csv", ".tsv"):
                raise InterpError(f"{self.file} is no table; tables end in .csv, .tsv or .json")
            tabs = suffix == ".tsv"  # which has no quotes
            found = pd.read_csv(
                io.StringIO(self.text), sep="\t" if tabs else ",", header=0 if header else None,
                quoting=csv.QUOTE_NONE if tabs else csv.QUOTE_MINIMAL,
            )  # fmt: skip
        except ValueError as error:  # of pandas, and what has no rows or columns
            raise UnreadableFile(f"{self.file} is no table: {' '.join(str(error).split())[:150]}") from None
        return found if header else found.set_axis([str(i + 1) for i in range(found.shape[1])], axis=1)
