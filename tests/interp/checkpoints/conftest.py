"""Fixtures of the tests of checkpoints."""

from __future__ import annotations

import codecs
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Save a tree with torch.save, and give the path."""

    def save(tree: Any, name: str = "file.pt", **options: Any) -> Path:
        torch.save(tree, tmp_path / name, **options)
        return tmp_path / name

    return save


@pytest.fixture
def peak() -> Iterator[Callable[[], int]]:
    """Bytes of the most memory that Python held since the test began."""
    codecs.lookup("cp437")  # zipfile loads its tables on first use, nearly a megabyte
    tracemalloc.start()
    try:
        yield lambda: tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
