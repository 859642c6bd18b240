"""MNIST's IDX format: a magic number, the dimensions, and bytes."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from interp.errors import UnreadableFile

MOST_BYTES = 2**30


def find_idx(folder: Path, part: str) -> Path:
    """One of the four files of a set, under any of the names in use, gzipped or not.

    Args:
        folder: to look in.
        part: such as ``train-images-idx3-ubyte``.

    Returns:
        Its path.

    Raises:
        UnreadableFile: the folder holds none of them.
    """
    stem, kind = part.rsplit("-idx", 1)
    names = [f"{stem}{joint}idx{kind}{end}" for joint in "-." for end in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise UnreadableFile(f"{folder}: holds no {part}, nor {', '.join(names[1:])}: give the folder of MNIST's files")


def read_idx(path: Path, n_dims: int | None = None) -> np.ndarray:
    """The bytes of an IDX file, in the shape that it declares; no more than that is unpacked.

    Args:
        path: of the file, gzipped or not.
        n_dims: how many dimensions it must have; None: as many as it declares.

    Returns:
        Unsigned bytes.

    Raises:
        UnreadableFile: another magic number, fewer or more bytes than declared, or damaged compression.
    """
    try:
        with path.open("rb") as plain:
            zipped = plain.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rb") if zipped else path.open("rb") as file:
            magic = file.read(4)
            dims = (magic[3] if magic[:3] == bytes((0, 0, 8)) and len(magic) == 4 else 3) if n_dims is None else n_dims
            shape = _shape(path, magic + file.read(4 * dims), dims)
            body = file.read(math.prod(shape) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UnreadableFile(f"{path}: is truncated or damaged ({error}); download it again") from None
    if len(body) != math.prod(shape):
        have = f"{len(body):,}" if len(body) < math.prod(shape) else "more"
        raise UnreadableFile(
            f"{path}: declares {math.prod(shape):,} bytes {list(shape)}, but holds {have}; download it again"
        )
    return np.frombuffer(body, dtype=np.uint8).reshape(shape)


def _shape(path: Path, head: bytes, n_dims: int) -> tuple[int, ...]:
    if head[:4] != bytes((0, 0, 8, n_dims)):
        raise UnreadableFile(
            f"{path}: is not an IDX file of unsigned bytes in {n_dims} dimensions: it starts with {head[:4].hex() or 'nothing'}, "
            f"not 000008{n_dims:02x}"
        )
    if len(head) < 4 + 4 * n_dims:
        raise UnreadableFile(f"{path}: is truncated within its header; download it again")
    shape = struct.unpack(f">{n_dims}I", head[4:])
    if not 0 < math.prod(shape) <= MOST_BYTES:
        raise UnreadableFile(f"{path}: declares {list(shape)}, which is empty or above {MOST_BYTES:,} bytes")
    return shape
