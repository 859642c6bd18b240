"""Files of numpy.savez: a zip archive with one npy file an array."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from interp.checkpoints.formats.contents import Contents
from interp.checkpoints.formats.tensors import TensorRef, guarded
from interp.errors import UnreadableFile

MAX_UNPACKED = 8 << 30  # bytes that a compressed archive may unpack to


def read_npz(path: Path, archive: zipfile.ZipFile) -> Contents:
    """The arrays of an npz file by name; each is read when it is loaded.

    Args:
        path: of the file.
        archive: the same file, opened.

    Returns:
        A tree of `TensorRef`s, and of lists for short arrays of text.

    Raises:
        UnreadableFile: too large once unpacked, damaged, or an array that needs pickle.
    """
    total = sum(info.file_size for info in archive.infolist())
    if total > MAX_UNPACKED:
        raise UnreadableFile(f"{path} unpacks to {total / 2**30:.0f} GiB; the limit is {MAX_UNPACKED >> 30} GiB")
    tree: dict[str, Any] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        with archive.open(info) as member:
            version = np.lib.format.read_magic(member)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(member)
        if not all(type(n) is int and n >= 0 for n in shape) or math.prod(shape) * dtype.itemsize > info.file_size:
            raise UnreadableFile(
                f"{path}: corrupted: array {name!r} claims shape {str(shape)[:80]}, more than the file holds"
            )
        if dtype.kind in "US" and np.prod(shape, dtype=int) <= 1024:
            tree[name] = _npz_array(path, name).tolist()
        elif dtype.kind in "biufc":
            torch_dtype = torch.from_numpy(np.zeros(0, dtype.newbyteorder("="))).dtype
            tree[name] = TensorRef(tuple(shape), torch_dtype, "cpu", guarded(path, _npz_loader(path, name)))
        else:
            raise UnreadableFile(f"{path}: array {name!r} has type {dtype}, which can only be read with pickle")
    return Contents(path, "npz", tree)


def _npz_array(path: Path, name: str) -> np.ndarray:
    with np.load(path, allow_pickle=False) as arrays:
        return arrays[name]


def _npz_loader(path: Path, name: str) -> Callable[[], torch.Tensor]:
    def load() -> torch.Tensor:
        array = _npz_array(path, name)
        return torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False)))

    return load
