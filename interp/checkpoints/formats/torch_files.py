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
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO

import torch

from interp.checkpoints.formats.budget import Budget, Stream
from interp.checkpoints.formats.pickled_values import Storage
from interp.checkpoints.formats.restricted_pickle import RestrictedUnpickler, StorageReader
from interp.checkpoints.formats.tensors import guarded
from interp.errors import UnreadableFile

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
MAX_PICKLE = (
    64 << 20
)  # bytes that the pickle itself may unpack to; stored without compression, as torch does, it may be larger


def unpickler(path: Path, stream: Stream, budget: Budget, storages: StorageReader | None = None,
              outer: RestrictedUnpickler | None = None) -> RestrictedUnpickler:  # fmt: skip
    """A reader of pickles that also reads torch files inside of them, as pickle.dump writes tensors.

    Args:
        path: of the file, for messages.
        stream: of the pickle.
        budget: of the file.
        storages: gives the bytes of a tensor by its key.
        outer: the reader of the pickle around this one.

    Returns:
        The reader.
    """
    return RestrictedUnpickler(stream, budget, storages, partial(_from_bytes, path), outer.stubs if outer else None)


def _from_bytes(path: Path, data: bytes, reader: RestrictedUnpickler) -> Any:
    """What a torch file holds that stands in a pickle as bytes: usually the storage of one tensor."""
    if not isinstance(data, (bytes, bytearray)):
        raise pickle.UnpicklingError("a torch file that is not bytes")
    reader.budget.nest(len(data))
    stream = io.BytesIO(data)
    if data.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(stream) as archive:
            return read_archive(path, archive, reader.budget, reader)[0]
    if not is_legacy(bytes(data[:32])):
        raise pickle.UnpicklingError("bytes that should be a torch file, and are not")
    return read_legacy(path, stream, reader.budget, reader)[0]


def read_zip(path: Path, archive: zipfile.ZipFile, budget: Budget) -> tuple[Any, list[str]]:
    """The tree in a zip file of torch.save.

    Args:
        path: of the file.
        archive: the same file, opened.
        budget: of the file.

    Returns:
        The tree, and the names of the unknown classes in it.

    Raises:
        UnreadableFile: damaged, from a big-endian machine, or with a pickle that unpacks to more than `MAX_PICKLE` bytes.
        UnpicklingError: a pickle that refers to missing, compressed or truncated storages.
    """
    return _read_members(path, archive, budget, path, None)


def read_archive(
    path: Path, archive: zipfile.ZipFile, budget: Budget, outer: RestrictedUnpickler | None = None
) -> tuple[Any, list[str]]:
    """The same of an archive in memory, which is a part of a file.

    Args:
        path: of the file, for messages.
        archive: the part, opened.
        budget: of the part.
        outer: the reader of the pickle around it, if it stands in one.

    Returns:
        The tree, and the names of the unknown classes in it.
    """
    return _read_members(path, archive, budget, None, outer)


def _read_members(
    path: Path, archive: zipfile.ZipFile, budget: Budget, mapped: Path | None, outer: RestrictedUnpickler | None
) -> tuple[Any, list[str]]:
    names = archive.namelist()
    pickled = next((n for n in names if n == "data.pkl" or n.endswith("/data.pkl")), None)
    if pickled is None:
        raise pickle.UnpicklingError("a zip archive without data.pkl, so not one of torch.save")
    root = pickled.removesuffix("data.pkl")
    if f"{root}byteorder" in names and _small(archive, f"{root}byteorder") != b"little":
        raise UnreadableFile(f"{path}: saved on a big-endian machine; convert it there with torch.save")
    if archive.getinfo(pickled).file_size > max(MAX_PICKLE, budget.size):
        raise UnreadableFile(f"{path}: its pickle unpacks to more than {MAX_PICKLE >> 20} MiB, so it is not read; save the "
                             "model's state_dict() with torch.save")  # fmt: skip

    @cache
    def storage(key: str, dtype: torch.dtype, device: str, numel: int) -> Storage:
        try:
            info = archive.getinfo(f"{root}data/{key}")
        except KeyError:
            raise _damaged(path, f"storage {key[:40]} is not in the archive") from None
        if info.compress_type != zipfile.ZIP_STORED:
            raise UnreadableFile(
                f"{path}: storage {key[:40]} is compressed, which torch.save never does; unpack the archive, and zip it with -0"
            )
        if info.file_size < numel * dtype.itemsize:
            raise _damaged(path, f"storage {key[:40]} has {info.file_size} bytes of {numel * dtype.itemsize}")
        if mapped is None:
            data = archive.read(info)
            return Storage(dtype, device, numel, lambda: _numbers(data, dtype, numel), budget)
        load = guarded(path, lru_cache(maxsize=1)(lambda: _map_member(path, info, dtype, numel)))
        return Storage(dtype, device, numel, load, budget)

    data = archive.read(pickled)
    reader = unpickler(path, Stream(io.BytesIO(data), len(data)), budget, storage, outer)
    return reader.load(), list(reader.stubs)


def _small(archive: zipfile.ZipFile, name: str) -> bytes:
    """A member of a few bytes."""
    with archive.open(name) as member:
        return member.read(64)


def _damaged(path: Path, what: str) -> UnreadableFile:
    return UnreadableFile(f"{path}: truncated or corrupted: {what}; copy the file again")


def _numbers(data: bytes, dtype: torch.dtype, numel: int) -> torch.Tensor:
    return torch.frombuffer(bytearray(data), dtype=dtype, count=numel) if numel else torch.empty(0, dtype=dtype)


def _map_member(path: Path, info: zipfile.ZipInfo, dtype: torch.dtype, numel: int) -> torch.Tensor:
    """A stored member as a tensor over the memory-mapped file, its checksum verified."""
    if numel == 0:
        return torch.empty(0, dtype=dtype)
    with path.open("rb") as file:
        file.seek(info.header_offset)
        header = file.read(30)
        if header[:4] != b"PK\x03\x04":
            raise UnreadableFile(f"{path}: corrupted at byte {info.header_offset} ({info.filename[:80]})")
        name_length, extra_length = struct.unpack("<HH", header[26:30])
        start = info.header_offset + 30 + name_length + extra_length
        # a private mapping: writable for torch, never written back
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    if (
        start + info.file_size > len(mapped)
        or zlib.crc32(memoryview(mapped)[start : start + info.file_size]) != info.CRC
    ):
        raise UnreadableFile(f"{path}: corrupted: the checksum of {info.filename[:80]} is wrong; copy the file again")
    return torch.frombuffer(mapped, dtype=dtype, count=numel, offset=start)


def is_legacy(head: bytes) -> bool:
    """Whether a file starts with torch's magic number in a pickle, of any protocol."""
    return head[:1] == b"\x80" and b"\x8a\n" + LEGACY_MAGIC.to_bytes(10, "little") + b"." in head[:32]


def read_legacy(
    path: Path, file: BinaryIO, budget: Budget, outer: RestrictedUnpickler | None = None
) -> tuple[Any, list[str]]:
    """The tree in a file of torch.save before 1.6: five pickles, then the storages one after the other.

    Args:
        path: of the file, for messages.
        file: the same file, at its beginning.
        budget: of the file.
        outer: the reader of the pickle around it, if it stands in one.

    Returns:
        The tree, and the names of the unknown classes in it.

    Raises:
        _damaged: an `UnreadableFile`: truncated.
    """
    storages: dict[str, Storage] = {}
    contents: dict[str, torch.Tensor] = {}
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    stream = Stream(file, size)

    def storage(key: str, dtype: torch.dtype, device: str, numel: int) -> Storage:
        if numel * dtype.itemsize > stream.left:
            raise _damaged(path, f"storage {key[:40]} should have {numel * dtype.itemsize} bytes, more than are left")
        if key not in storages:
            storages[key] = Storage(dtype, device, numel, lambda: contents[key], budget)
        return storages[key]

    for _ in range(3):  # magic number, protocol version, system info
        unpickler(path, stream, budget, outer=outer).load()
    reader = unpickler(path, stream, budget, storage, outer)
    tree = reader.load()
    keys = unpickler(path, stream, budget, outer=outer).load()
    for key in map(str, keys) if isinstance(keys, list) else ():
        if key not in storages:
            raise _damaged(path, f"it stores {key[:40]!r}, which no tensor refers to")
        found = storages[key]
        numel = struct.unpack("<q", stream.read(8))[0]
        if numel != found.numel:
            raise _damaged(path, f"storage {key} has {numel} numbers of {found.numel}")
        contents[key] = _numbers(stream.read(numel * found.dtype.itemsize), found.dtype, numel)
    missing = set(storages) - set(contents)
    if missing:
        raise _damaged(path, f"{len(missing)} of its storages are missing")
    return tree, list(reader.stubs)
