"""Pickles in gzip, as neat-python's Checkpointer writes them."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

from interp.checkpoints.formats import torch_files
from interp.checkpoints.formats.budget import Budget, Stream
from interp.checkpoints.formats.contents import Contents
from interp.checkpoints.formats.plain_trees import plain
from interp.errors import UnreadableFile

MAX_BYTES = 1 << 28  # of an unpacked pickle
MAX_RATIO = 10  # of unpacked to packed bytes; neat-python's checkpoints have 3 to 6
SMALL = 1 << 20  # bytes that are unpacked whatever the ratio


def looks_like_pickle(path: Path) -> bool:
    """Whether a gzip file holds a pickle, as far as its first bytes say.

    Args:
        path: of the file.

    Returns:
        False for another gzip file, and for a damaged one.
    """
    try:
        with gzip.open(path) as stream:
            return stream.read(2)[:1] == b"\x80"
    except (EOFError, OSError, zlib.error):
        return False


def read_gzip(path: Path) -> Contents:
    """Read a pickle in a gzip file.

    Args:
        path: of the file.

    Returns:
        What the pickle holds.

    Raises:
        UnreadableFile: truncated, corrupted, or too large once unpacked.
    """
    limit = min(MAX_BYTES, max(SMALL, MAX_RATIO * path.stat().st_size))
    try:
        with gzip.open(path) as stream:
            data = stream.read(limit + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise UnreadableFile(f"truncated or corrupted gzip file ({error}); copy it again") from None
    if len(data) > limit:
        raise UnreadableFile(
            f"unpacks to more than {limit:,} bytes, more than a checkpoint of neat-python does; unpack it with gunzip first"
        )
    budget = Budget(path, len(data))
    reader = torch_files.unpickler(path, Stream(io.BytesIO(data), len(data)), budget)
    return Contents(path, "pickle (gzip)", plain(reader.load(), budget), stubs=tuple(reader.stubs))
