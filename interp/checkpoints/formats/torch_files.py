"""Files of torch.save: zip archives (since torch 1.6) and the older stream of pickles.

Read without torch.load, so that a file saved on a GPU opens without one, an unknown class does not stop the
reading, and tensors stay on disk until they are loaded.
"""

from __future__ import annotations

import io
import mmap
import pickle
import struct
import zipfile
import zlib
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import torch

from interp.checkpoints.formats.pickled_values import Storage
from interp.checkpoints.formats.restricted_pickle import RestrictedUnpickler
from interp.checkpoints.formats.tensors import guarded
from interp.errors import UnreadableFile

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
MAX_PICKLE = 1 << 30  # bytes of the pickle itself, without the tensors


def read_zip(path: Path, archive: zipfile.ZipFile) -> tuple[Any, list[str]]:
    """The tree in a zip file of torch.save.

    Args:
        path: of the file.
        archive: the same file, opened.

    Returns:
        The tree, and the names of the unknown classes in it.

    Raises:
        UnreadableFile: damaged, from a big-endian machine, or with a pickle of more than `MAX_PICKLE` bytes.
        UnpicklingError: a pickle that refers to missing, compressed or truncated storages.
    """
    names = archive.namelist()
    pickled = next(n for n in names if n == "data.pkl" or n.endswith("/data.pkl"))
    root = pickled.removesuffix("data.pkl")
    if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
        raise UnreadableFile(f"{path}: saved on a big-endian machine; convert it there with torch.save")
    if archive.getinfo(pickled).file_size > MAX_PICKLE:
        raise UnreadableFile(
            f"{path}: its pickle unpacks to more than {MAX_PICKLE >> 20} MiB, far more than a checkpoint needs"
        )

    @cache
    def storage(key: str, dtype: torch.dtype, device: str, numel: int) -> Storage:
        try:
            info = archive.getinfo(f"{root}data/{key}")
        except KeyError:
            raise pickle.UnpicklingError(f"storage {key} is not in the archive") from None
        if info.compress_type != zipfile.ZIP_STORED:
            raise pickle.UnpicklingError(f"storage {key} is compressed, which torch.save never does")
        if info.file_size < numel * dtype.itemsize:
            raise pickle.UnpicklingError(f"storage {key} has {info.file_size} bytes of {numel * dtype.itemsize}")
        return Storage(
            dtype, device, numel, guarded(path, lru_cache(maxsize=1)(lambda: _map_member(path, info, dtype, numel)))
        )

    reader = RestrictedUnpickler(io.BytesIO(archive.read(pickled)), storage)
    return reader.load(), reader.stubs


def _map_member(path: Path, info: zipfile.ZipInfo, dtype: torch.dtype, numel: int) -> torch.Tensor:
    """A stored member as a tensor over the memory-mapped file, its checksum verified."""
    if numel == 0:
        return torch.empty(0, dtype=dtype)
    with path.open("rb") as file:
        file.seek(info.header_offset)
        header = file.read(30)
        if header[:4] != b"PK\x03\x04":
            raise UnreadableFile(f"{path}: corrupted at byte {info.header_offset} ({info.filename})")
        name_length, extra_length = struct.unpack("<HH", header[26:30])
        start = info.header_offset + 30 + name_length + extra_length
        # a private mapping: writable for torch, never written back
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    if zlib.crc32(memoryview(mapped)[start : start + info.file_size]) != info.CRC:
        raise UnreadableFile(f"{path}: corrupted: the checksum of {info.filename} is wrong; copy the file again")
    return torch.frombuffer(mapped, dtype=dtype, count=numel, offset=start)


def is_legacy(stream: io.BufferedReader) -> bool:
    """Whether a stream starts with torch's magic number in a pickle."""
    try:
        magic = RestrictedUnpickler(stream).load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, TypeError, AttributeError):
        magic = None  # not a pickle, or one of something else: the caller tries other formats
    stream.seek(0)
    return magic == LEGACY_MAGIC


def read_legacy(path: Path, stream: io.BufferedReader) -> tuple[Any, list[str]]:
    """The tree in a file of torch.save before 1.6: five pickles, then the storages one after the other.

    Args:
        path: of the file, for messages.
        stream: the same file, at its beginning.

    Returns:
        The tree, and the names of the unknown classes in it.

    Raises:
        UnreadableFile: truncated.
    """
    storages: dict[str, Storage] = {}
    contents: dict[str, torch.Tensor] = {}

    def storage(key: str, dtype: torch.dtype, device: str, numel: int) -> Storage:
        if key not in storages:
            storages[key] = Storage(dtype, device, numel, lambda: contents[key])
        return storages[key]

    for _ in range(3):  # magic number, protocol version, system info
        RestrictedUnpickler(stream).load()
    reader = RestrictedUnpickler(stream, storage)
    tree = reader.load()
    for key in RestrictedUnpickler(stream).load():
        numel = struct.unpack("<q", stream.read(8))[0]
        found = storages[key]
        data = stream.read(numel * found.dtype.itemsize)
        if numel != found.numel or len(data) != numel * found.dtype.itemsize:
            raise UnreadableFile(f"{path}: truncated: storage {key} ends early; copy the file again")
        contents[key] = torch.frombuffer(bytearray(data), dtype=found.dtype) if numel else torch.empty(0)
    missing = set(storages) - set(contents)
    if missing:
        raise UnreadableFile(f"{path}: truncated: {len(missing)} of its storages are missing; copy the file again")
    return tree, reader.stubs
