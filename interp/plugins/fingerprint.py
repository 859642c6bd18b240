"""Digests of source code: a cached result of other code is never taken for the present one's."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any


def fingerprint(function: Callable[..., Any]) -> str:
    """A digest of the file that a function stands in, and of every module of the suite."""
    function = inspect.unwrap(function)
    code = function if inspect.isroutine(function) else type(function)  # an object with __call__
    return source_digest(code) + _suite_digest()


def source_digest(code: Callable[..., Any]) -> str:
    """A digest of the file that a function or class stands in; empty where there is no such file."""
    try:
        path = inspect.getsourcefile(code)
    except TypeError:  # of a class that was typed in, or is built in
        return ""
    return _file_digest(path or "")


def _file_digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16] if path and Path(path).is_file() else ""


@lru_cache
def _suite_digest() -> str:
    """A measure rests on more than its own file."""
    digest = hashlib.sha256()
    for package in ("interp", "probes", "circuits"):
        found = importlib.util.find_spec(package)
        for folder in (found.submodule_search_locations or []) if found else []:
            for file in sorted(Path(folder).rglob("*.py")):
                digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
