"""Files of flax.serialization.to_bytes: MessagePack with arrays as extension types.

The format takes a dozen kinds of byte (https://github.com/msgpack/msgpack/blob/master/spec.md), so it is read here: no
dependency, arrays stay on disk, and every length is compared with what the file still holds before memory is taken.
Flax: https://github.com/google/flax/blob/main/flax/serialization.py
"""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from interp.checkpoints.formats.budget import Budget, Stream, check_key
from interp.checkpoints.formats.contents import Contents
from interp.checkpoints.formats.plain_trees import MAX_DEPTH
from interp.checkpoints.formats.tensors import TensorRef, guarded, readable
from interp.errors import UnreadableFile

NDARRAY, COMPLEX, SCALAR = 1, 2, 3  # flax's extension types
CHUNKED = "__msgpack_chunked_array__"  # a large array in pieces
# first byte: the struct code of the number that follows
NUMBERS = {
    0xCA: ">f",
    0xCB: ">d",
    0xCC: ">B",
    0xCD: ">H",
    0xCE: ">I",
    0xCF: ">Q",
    0xD0: ">b",
    0xD1: ">h",
    0xD2: ">i",
    0xD3: ">q",
}
LENGTHS = {  # first byte: kind, and the struct code of the length
    0xD9: ("text", ">B"), 0xDA: ("text", ">H"), 0xDB: ("text", ">I"), 0xC4: ("bytes", ">B"), 0xC5: ("bytes", ">H"),
    0xC6: ("bytes", ">I"), 0xDC: ("list", ">H"), 0xDD: ("list", ">I"), 0xDE: ("map", ">H"), 0xDF: ("map", ">I"),
    0xC7: ("extension", ">B"), 0xC8: ("extension", ">H"), 0xC9: ("extension", ">I"),
}  # fmt: skip


def is_msgpack(path: Path, head: bytes) -> bool:
    """Whether a file is named so, or begins with a map whose first key is a text, as flax's checkpoints do."""
    if path.suffix in (".msgpack", ".flax"):
        return True
    after = {0xDE: 3, 0xDF: 5}.get(head[0], 1 if 0x81 <= head[0] <= 0x8F else 0)
    return after > 0 and len(head) > after and (0xA1 <= head[after] <= 0xBF or head[after] == 0xD9)


def read_msgpack(path: Path) -> Contents:
    """The tree in a file of flax.serialization.

    Args:
        path: of the file.

    Returns:
        A tree of dicts with `TensorRef` leaves.

    Raises:
        UnreadableFile: an unknown kind of byte, or more than one value.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        reader = _Reader(path, Stream(file, size), Budget(path, size))
        tree = reader.value(0)
        if reader.stream.left:
            raise UnreadableFile(
                f"{path} cannot be read here: {reader.stream.left:,} bytes follow its MessagePack; save it again"
            )
    return Contents(path, "msgpack", tree)


class _Reader:
    """Reads values from a stream; arrays become references to their place in the file."""

    def __init__(self, path: Path, stream: Stream, budget: Budget, start: int = 0):
        self.path, self.stream, self.budget, self.start = path, stream, budget, start

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise UnreadableFile(
                f"{self.path} cannot be read here: its values are nested without end; save the weights alone"
            )
        first = self.stream.read(1)[0]
        if first <= 0x7F or first >= 0xE0:
            return first if first <= 0x7F else first - 256
        if first in NUMBERS:
            return self._number(NUMBERS[first])
        if first in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[first]
        if first in LENGTHS:
            kind, code = LENGTHS[first]
            return self._sized(kind, self._number(code), depth)
        for low, high, kind in ((0x80, 0x8F, "map"), (0x90, 0x9F, "list"), (0xA0, 0xBF, "text")):
            if low <= first <= high:
                return self._sized(kind, first - low, depth)
        if 0xD4 <= first <= 0xD8:
            return self._sized("extension", 1 << (first - 0xD4), depth)
        raise UnreadableFile(
            f"{self.path} cannot be read here: {first:#x} is no MessagePack; save it with flax.serialization.to_bytes"
        )

    def _number(self, code: str) -> Any:
        return struct.unpack(code, self.stream.read(struct.calcsize(code)))[0]

    def _sized(self, kind: str, count: int, depth: int) -> Any:
        if kind == "text":
            return self.stream.read(count).decode("utf-8", errors="replace")
        if kind == "bytes":
            return self.stream.read(count)
        if kind == "extension":
            return self._extension(self._number(">b"), count, depth)
        if count * (2 if kind == "map" else 1) > self.stream.left:  # every entry takes a byte at least
            raise EOFError(f"{count:,} entries are announced where {self.stream.left:,} bytes are left")
        if kind == "list":
            return [self.value(depth + 1) for _ in range(count)]
        made = {}
        for _ in range(count):
            key = self.value(depth + 1)
            check_key(key)
            made[key] = self.value(depth + 1)
        return self._joined(made) if CHUNKED in made else made

    def _extension(self, kind: int, count: int, depth: int) -> Any:
        place = self.start + self.stream.file.tell()
        data = self.stream.read(count)
        if kind not in (NDARRAY, COMPLEX, SCALAR):
            raise UnreadableFile(f"{self.path} cannot be read here: MessagePack extension {kind} is not one of flax's; save "
                                 "it with flax.serialization.to_bytes")  # fmt: skip
        inner = _Reader(self.path, Stream(io.BytesIO(data), len(data)), self.budget, place)
        parts = inner.value(depth + 1)
        if kind == COMPLEX:
            return complex(*parts)
        return inner._array(parts, scalar=kind == SCALAR)

    def _array(self, parts: Any, scalar: bool) -> Any:
        """An array from its shape, the name of its dtype, and its bytes, which stand last."""
        if not isinstance(parts, list) or len(parts) != 3:
            raise UnreadableFile(
                f"{self.path} cannot be read here: an array without shape, dtype and bytes; save it again"
            )
        shape, dtype = parts[0], _dtype(self.path, parts[1])
        fits = isinstance(shape, list) and len(shape) < 64 and all(type(n) is int and n >= 0 for n in shape)
        if not fits or not isinstance(parts[2], bytes) or math.prod(shape) * dtype.itemsize != len(parts[2]):
            raise UnreadableFile(
                f"{self.path} cannot be read here: an array whose bytes do not fit its shape; save it again"
            )
        end = self.start + self.stream.file.tell()
        if scalar or not shape:
            value = _from_bytes(parts[2], dtype, shape)
            return value.item() if scalar and value.numel() == 1 else readable(TensorRef.of(value))
        self.budget.unfold(math.prod(shape) * max(4, dtype.itemsize))
        load = guarded(self.path, _loader(self.path, end - len(parts[2]), len(parts[2]), dtype, shape))
        return readable(TensorRef(tuple(shape), dtype, "cpu", load))

    def _joined(self, made: dict[Any, Any]) -> Any:
        """One array of the pieces into which flax cuts those of more than a gigabyte."""
        shape, chunks = _items(made.get("shape")), _items(made.get("chunks"))
        if (
            not all(type(n) is int and n >= 0 for n in shape)
            or not chunks
            or not all(isinstance(c, TensorRef) for c in chunks)
        ):
            raise UnreadableFile(
                f"{self.path} cannot be read here: an array in pieces without its pieces; save it again"
            )
        if sum(c.numel for c in chunks) != math.prod(shape):
            raise UnreadableFile(
                f"{self.path} cannot be read here: the pieces of an array do not fit its shape; save it again"
            )
        return TensorRef(
            tuple(shape), chunks[0].dtype, "cpu", lambda: torch.cat([c.load().flatten() for c in chunks]).reshape(shape)
        )


def _items(part: Any) -> list[Any]:
    """A tuple, which flax stores as a dict from "0", "1", ..."""
    if not isinstance(part, dict) or not all(str(i) in part for i in range(len(part))):
        return []
    return [part[str(i)] for i in range(len(part))]


def _dtype(path: Path, name: Any) -> torch.dtype:
    text = name.decode("latin1") if isinstance(name, bytes) else name
    text = {"bool": "bool", "bool_": "bool"}.get(text, text) if isinstance(text, str) else ""
    found = vars(torch).get(text)
    if not isinstance(found, torch.dtype) or text.startswith(("q", "int4", "uint4")) or found.itemsize == 0:
        raise UnreadableFile(f"{path} cannot be read here: an array of the type {str(text)[:40]!r}; save it as float32")
    return found


def _from_bytes(data: bytes, dtype: torch.dtype, shape: list[int]) -> torch.Tensor:
    return torch.frombuffer(bytearray(data), dtype=dtype).reshape(shape) if data else torch.empty(shape, dtype=dtype)


def _loader(path: Path, place: int, count: int, dtype: torch.dtype, shape: list[int]) -> Callable[[], torch.Tensor]:
    def load() -> torch.Tensor:
        if not count:
            return torch.empty(shape, dtype=dtype)
        raw = np.fromfile(path, dtype=np.uint8, count=count, offset=place)
        if len(raw) < count:
            raise EOFError("the file has become shorter")
        return torch.from_numpy(raw).view(dtype).reshape(shape)

    return load
