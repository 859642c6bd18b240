"""Hand-written pickles: opcodes that no pickler of good will writes, and the three kinds of file that carry them."""

from __future__ import annotations

import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from interp.checkpoints.formats.torch_files import LEGACY_MAGIC

START = b"\x80\x02"
STOP = b"."


def text(value: str) -> bytes:
    """BINUNICODE."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: Any) -> bytes:
    """Any plain value, as Python's own pickler writes it."""
    return pickle.dumps(value, protocol=2).removeprefix(START).removesuffix(STOP)


def name(module: str, attribute: str) -> bytes:
    """GLOBAL."""
    return f"c{module}\n{attribute}\n".encode()


def group(*parts: bytes) -> bytes:
    """A tuple."""
    return b"(" + b"".join(parts) + b"t"


def build(target: bytes, state: bytes) -> bytes:
    """BUILD: the target with its state set."""
    return target + state + b"b"


def entry(key: str, value: bytes) -> bytes:
    """A dict of one entry."""
    return b"}" + text(key) + value + b"s"


def storage(key: str = "0", numel: Any = 4, kind: bytes = name("torch", "FloatStorage")) -> bytes:
    """A reference to the bytes of a tensor."""
    return group(text("storage"), kind, text(key), text("cpu"), number(numel)) + b"Q"


def tensor(of: bytes, shape: Any = (4,), stride: Any = (1,), offset: Any = 0) -> bytes:
    """A float32 tensor over a storage."""
    arguments = group(of, number(offset), number(shape), number(stride), b"\x89", b"N")
    return name("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def laughs(depth: int, double: bytes = b"2\x86", seed: bytes = b"K\x01") -> bytes:
    """A value that unfolds into ``2**depth`` leaves: DUP and TUPLE2, ``depth`` times over."""
    return seed + double * depth


def in_zip(path: Path, program: bytes, members: dict[str, bytes] | None = None, compression: int = 0) -> Path:
    """A file such as torch.save writes since 1.6, around any pickle."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", program)
        for key, data in (members or {}).items():
            archive.writestr(f"archive/data/{key}", data)
    return path


def in_legacy(path: Path, program: bytes) -> Path:
    """A file such as torch.save wrote before 1.6, around any pickle, without storages."""
    head = [pickle.dumps(value, protocol=2) for value in (LEGACY_MAGIC, 1001, {"little_endian": True})]
    path.write_bytes(b"".join(head) + program + pickle.dumps([], protocol=2))
    return path


def in_legacy_head(path: Path, program: bytes) -> Path:
    """The same, with the pickle where the system's facts belong."""
    head = pickle.dumps(LEGACY_MAGIC, protocol=2) + pickle.dumps(1001, protocol=2)
    path.write_bytes(head + program + pickle.dumps({}, protocol=2) + pickle.dumps([], protocol=2))
    return path


def bare(path: Path, program: bytes) -> Path:
    """The pickle alone."""
    path.write_bytes(program)
    return path


CARRIERS: dict[str, Callable[[Path, bytes], Path]] = {"zip": in_zip, "legacy": in_legacy, "bare": bare}


@contextmanager
def address_space(more: int) -> Iterator[None]:
    """Allow this process ``more`` bytes beyond what it holds, so that a hostile file cannot take the machine down."""
    statm = Path("/proc/self/statm")
    if not statm.exists():  # only Linux tells
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(statm.read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + more, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
