"""The cache of measures: results by the checkpoint's hash, the measure and its options, in one SQLite file."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from interp._util.schema import parse_json
from interp.checkpoints.formats.reading import sha256
from interp.errors import UnreadableFile

CHUNK = 500  # keys per query; SQLite limits the number of parameters


def cache_path() -> Path:
    """``$INTERP_CACHE``, else ``measures.sqlite`` in the user's cache folder."""
    named = os.environ.get("INTERP_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "interp" / "measures.sqlite"


class MeasureCache:
    """A dictionary on disk that several processes may write.

    Attributes:
        path: the file; it and its folder are created by the first write.
    """

    def __init__(self, path: Path | None = None):
        self.path = path or cache_path()

    def get(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values stored under these keys; keys without a value are left out, and so are rows that cannot be read.

        Args:
            keys: any number of them.

        Returns:
            Values by key.

        Raises:
            OSError: the file cannot be read.
            sqlite3.Error: the file is locked, or is not a cache.
        """
        wanted, found = list(keys), {}
        if not self.path.exists():
            return {}
        with self._open() as connection:
            for start in range(0, len(wanted), CHUNK):
                part = wanted[start : start + CHUNK]
                marks = ",".join("?" * len(part))
                rows = connection.execute(f"SELECT key, value FROM measured WHERE key IN ({marks})", part)
                found.update({key: known for key, value in rows if (known := _row(value)) is not None})
        connection.close()
        return found

    def put(self, values: Mapping[str, Any]) -> None:
        """Store values, each as JSON, in one transaction.

        Args:
            values: by key; what a key held before is replaced.

        Raises:
            OSError: the file or its folder cannot be written.
            sqlite3.Error: the file is locked, or is not a cache.
        """
        if not values:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        rows = [(key, json.dumps(value)) for key, value in values.items()]
        with self._open() as connection:
            connection.executemany("INSERT OR REPLACE INTO measured VALUES (?, ?)", rows)
        connection.close()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=30)
        connection.execute("CREATE TABLE IF NOT EXISTS measured (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
        return connection


def _row(text: Any) -> Any:
    """The value in a row of the file, which other programs may have changed; None where it cannot be read."""
    try:
        return parse_json(text) if isinstance(text, str) else None
    except UnreadableFile:
        return None


class OptionalCache:
    """A cache that a run can do without: when it cannot be used, a note says so once and the run goes on.

    Args:
        cache: None for no cache at all.
        notes: gets the sentence.
    """

    def __init__(self, cache: MeasureCache | None, notes: list[str]):
        self._cache, self._notes = cache, notes

    @property
    def active(self) -> bool:
        """Whether anything is read or stored."""
        return self._cache is not None

    def get(self, keys: Iterable[str]) -> dict[str, Any]:
        """The values stored under these keys; none without a cache."""
        wanted = list(keys)
        return self._guarded(lambda cache: cache.get(wanted)) or {}

    def put(self, values: Mapping[str, Any]) -> None:
        """Store values by key; without a cache they are dropped."""
        self._guarded(lambda cache: cache.put(values))

    def _guarded(self, use: Callable[[MeasureCache], Any]) -> Any:
        if self._cache is None:
            return None
        try:
            return use(self._cache)
        except (OSError, sqlite3.Error, ValueError) as error:
            self._notes.append(f"Results are not cached: {self._cache.path} cannot be used ({error}).")
            self._cache = None
            return None


def key(*parts: Any) -> str:
    """A SHA-256 digest of plain values; equal parts have equal keys."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, computed again only when its size or modification time changes."""
    state = path.stat()
    return _digest(str(path), state.st_size, state.st_mtime_ns)


def contents_digest(path: Path) -> str:
    """A file's digest, or a digest of the names, sizes and times of a folder's files; empty if the path does not exist."""
    if path.is_file():
        return file_digest(path)
    files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else []
    return key(*((str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files)) if files else ""


@lru_cache(maxsize=100_000)
def _digest(path: str, size: int, changed: int) -> str:
    return sha256(Path(path))
