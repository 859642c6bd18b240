"""Files of numpy: npy, and npz of numpy.savez, a zip archive with one npy file an array."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from interp.checkpoints.formats.budget import Budget, Stream
from interp.checkpoints.formats.contents import Contents
from interp.checkpoints.formats.plain_trees import plain
from interp.checkpoints.formats.tensors import TensorRef, guarded
from interp.checkpoints.formats.torch_files import unpickler
from interp.errors import UnreadableFile

SPARE_UNPACKED = 256 << 20  # bytes that any archive may unpack to
MAX_RATIO = 30  # of the unpacked bytes to those of the file, beyond that


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
    total, size = sum(info.file_size for info in archive.infolist()), path.stat().st_size
    if total > SPARE_UNPACKED + MAX_RATIO * size:
        raise UnreadableFile(
            f"{path} unpacks from {size:,} bytes to {total / 2**30:.3g} GiB, so it is not read; save it with numpy.savez, "
            "which does not compress"
        )
    budget = Budget(path, max(size, total))
    tree: dict[str, Any] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        with archive.open(info) as member:
            tree[name] = _array(path, name, member, info.file_size, budget, partial(_npz_array, path, info.filename))
    return Contents(path, "npz", tree)


def read_npy(path: Path) -> Contents:
    """The array of numpy.save; a dict of arrays, as ``numpy.save(path, state_dict)`` pickles it, by the restricted reader.

    Args:
        path: of the file.

    Returns:
        A tree of one array, or what was pickled.

    Raises:
        UnreadableFile: damaged, or of a type that is neither numbers, text nor objects.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        found = _array(
            path, "array", file, size, Budget(path, size), lambda: np.load(path, allow_pickle=False, mmap_mode="c")
        )
    return Contents(path, "npy", found if isinstance(found, dict) else {"array": found})


def _array(path: Path, name: str, file: IO[bytes], size: int, budget: Budget, load: Callable[[], np.ndarray]) -> Any:
    """The array that starts at a file's position: a reference, a short list of text, or unpickled objects."""
    shape, dtype = _header(file)
    if not all(type(n) is int and n >= 0 for n in shape):
        raise UnreadableFile(f"{path}: array {name[:80]!r} has the impossible shape {str(shape)[:80]}; save it again")
    if dtype.kind == "O":
        data = file.read(size)
        objects = unpickler(path, Stream(io.BytesIO(data), len(data)), budget).load()
        value = plain(objects, budget)
        return value[0] if shape == () and isinstance(value, list) and len(value) == 1 else value
    if math.prod(shape) * dtype.itemsize > size:
        raise UnreadableFile(
            f"{path}: corrupted: array {name[:80]!r} claims shape {str(shape)[:80]}, more than the file holds; copy it again"
        )
    if dtype.kind in "US" and math.prod(shape) <= 1024:
        return load().tolist()
    if dtype.kind not in "biufc":
        raise UnreadableFile(
            f"{path}: array {name[:80]!r} has type {str(dtype)[:80]}, which cannot be read here; save numbers"
        )
    torch_dtype = torch.from_numpy(np.zeros(0, dtype.newbyteorder("="))).dtype
    return TensorRef(tuple(shape), torch_dtype, "cpu", guarded(path, lambda: _tensor(load())))


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _npz_array(path: Path, member: str) -> np.ndarray:
    with np.load(path, allow_pickle=False) as arrays:
        return arrays[member.removesuffix(".npy")]


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(
        np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False)).reshape(array.shape)
    )
