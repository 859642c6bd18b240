"""Pickles in gzip, as neat-python's Checkpointer writes them."""

from __future__ import annotations

import gzip
import io
import pickle
import zlib
from pathlib import Path

from interp.checkpoints.formats.contents import Contents
from interp.checkpoints.formats.pickled_values import plain
from interp.checkpoints.formats.restricted_pickle import RestrictedUnpickler
from interp.errors import UnreadableFile

MAX_BYTES = 1 << 28  # of an unpacked pickle
MAX_RATIO = 10  # of unpacked to packed bytes; neat-python's checkpoints have 3 to 6
SMALL = 1 << 20  # bytes that are unpacked whatever the ratio


def read_gzip(path: Path) -> Contents:
    """Read a pickle in a gzip file.

    Args:
        path: of the file.

    Returns:
        What the pickle holds.

    Raises:
        UnreadableFile: truncated, corrupted, too large once unpacked, or no pickle.
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
    if data[:1] != b"\x80":
        raise UnreadableFile(
            "a gzip file that holds no pickle; of gzip files the checkpoints of neat-python are read, others after gunzip"
        )
    reader = RestrictedUnpickler(io.BytesIO(data))
    try:
        return Contents(path, "pickle (gzip)", plain(reader.load()), stubs=tuple(reader.stubs))
    except (pickle.UnpicklingError, EOFError) as error:
        raise UnreadableFile(f"a truncated or corrupted pickle ({error}); copy it again") from None
