"""What was measured before: results by the checkpoint's hash, the measure and its options, in one SQLite file."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from interp.checkpoints.formats.reading import sha256

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
        path: the file; made with its folder on the first write.
    """

    def __init__(self, path: Path | None = None):
        self.path = path or cache_path()

    def get(self, keys: Iterable[str]) -> dict[str, Any]:
        """What is kept under these keys.

        Raises:
            OSError, sqlite3.Error: the file cannot be read, or is no cache.
        """
        wanted, found = list(keys), {}
        if not self.path.exists():
            return {}
        with self._open() as connection:
            for start in range(0, len(wanted), CHUNK):
                part = wanted[start : start + CHUNK]
                marks = ",".join("?" * len(part))
                rows = connection.execute(f"SELECT key, value FROM measured WHERE key IN ({marks})", part)
                found.update({key: json.loads(value) for key, value in rows})
        connection.close()
        return found

    def put(self, values: Mapping[str, Any]) -> None:
        """Keep values, each as JSON, in one transaction.

        Raises:
            OSError, sqlite3.Error: the file cannot be written.
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


def key(*parts: Any) -> str:
    """One digest of plain values; equal parts have equal keys."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file, remembered for as long as its size and time of change stay."""
    state = path.stat()
    return _digest(str(path), state.st_size, state.st_mtime_ns)


def contents_digest(path: Path) -> str:
    """A file's digest, or that of the names, sizes and times of a folder's files; empty for what is not there."""
    if path.is_file():
        return file_digest(path)
    files = sorted(f for f in path.rglob("*") if f.is_file()) if path.is_dir() else []
    return key(*((str(f), f.stat().st_size, f.stat().st_mtime_ns) for f in files)) if files else ""


@lru_cache(maxsize=100_000)
def _digest(path: str, size: int, changed: int) -> str:
    return sha256(Path(path))
