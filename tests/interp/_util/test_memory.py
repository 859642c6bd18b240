"""Freed memory of the command line: kept by glibc, and elsewhere nothing happens."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from interp._util import memory


def test_both_thresholds_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[int, int] = {}
    library = SimpleNamespace(mallopt=asked.__setitem__)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    memory.keep_freed_memory()
    assert asked == {memory.M_MMAP_THRESHOLD: 2**30, memory.M_TRIM_THRESHOLD: 2**31 - 1}


CDLL = ctypes.CDLL


@pytest.mark.parametrize("library", [lambda name: SimpleNamespace(), lambda name: CDLL("no such library")])
def test_another_c_library_is_left_alone(library: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.ctypes, "CDLL", library)
    memory.keep_freed_memory()
