"""What reading one file may cost: a small file must not become gigabytes, nor keep a machine busy without end."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

SPARE = 64 << 20  # bytes that reading any file may take beside what it holds
SPARE_UNFOLDED = 128 << 20  # bytes of tensors that a file may describe beyond what it holds, as strides of 0 do
FACTOR = 16  # how much of both a byte of the file allows
MAX_KEY = 64  # entries of a key, with all that is nested in it: Python hashes and compares them every time
MAX_KEY_BITS = 64
MAX_CLASSES = 2000  # unknown classes that a file may name


class Truncated(EOFError):
    """The stream ends before what it announces."""


class Stream:
    """A binary stream that never promises more bytes than the file still holds.

    Args:
        file: the stream, at any position.
        size: bytes of the whole file.
    """

    def __init__(self, file: BinaryIO, size: int):
        self.file, self.left = file, size - file.tell()

    def read(self, count: int) -> bytes:
        """Exactly that many bytes.

        Args:
            count: how many.

        Returns:
            The bytes.

        Raises:
            Truncated: the stream does not hold them.
        """
        if not 0 <= count <= self.left:
            raise Truncated(f"{count:,} bytes are announced where {self.left:,} are left")
        self.left -= count
        return self.file.read(count)

    def readline(self) -> bytes:
        """The bytes up to the end of the line."""
        line = self.file.readline()
        self.left -= len(line)
        if not line.endswith(b"\n"):
            raise Truncated("the last line has no end")
        return line


class Budget:
    """Counts what reading a file takes, and ends it where that is out of proportion.

    Args:
        path: of the file, for messages.
        size: its bytes.
    """

    def __init__(self, path: Path, size: int):
        self.path, self.size = path, size
        self._copied = self._unfolded = self._nested = 0

    def copy(self, count: int) -> None:
        """Bytes that a function of ours is about to take.

        Args:
            count: how many.

        Raises:
            UnpicklingError: more than the file may take.
        """
        self._copied += count
        if self._copied > SPARE + FACTOR * self.size:
            raise pickle.UnpicklingError(
                f"{self.size:,} bytes of file would become {self._copied >> 20} MiB and more in memory"
            )

    def unfold(self, count: int) -> None:
        """Bytes of a tensor that the file describes, whether or not it holds them all.

        Args:
            count: how many.

        Raises:
            UnpicklingError: all tensors together take more than the file may.
        """
        self._unfolded += count
        if self._unfolded > SPARE_UNFOLDED + FACTOR * self.size:
            raise pickle.UnpicklingError(
                f"a file of {self.size:,} bytes whose tensors unfold to {self._unfolded >> 20} MiB and more"
            )

    def nest(self, count: int) -> None:
        """Bytes of a file in the file.

        Args:
            count: how many.

        Raises:
            UnpicklingError: all of them together are longer than the file.
        """
        self._nested += count
        if self._nested > 4 * self.size + 4096:
            raise pickle.UnpicklingError("the same nested files over and over")


def check_key(key: Any) -> None:
    """Refuse a key that costs more than its bytes.

    Tuples are hashed all the way down, by recursion, each time; nested frozensets take exponential time to compare; large
    whole numbers can be chosen to have one hash.

    Args:
        key: of a dict, or an item of a set.

    Raises:
        UnpicklingError: a large or deeply nested key, or a number of more than `MAX_KEY_BITS` bits.
    """
    waiting, seen = [key], 0
    while waiting:
        item = waiting.pop()
        seen += 1
        if isinstance(item, (tuple, frozenset)):
            if len(item) > MAX_KEY or seen > MAX_KEY:
                raise pickle.UnpicklingError("nested keys that unfold without end")
            waiting.extend(item)
        elif isinstance(item, int) and item.bit_length() > MAX_KEY_BITS:
            raise pickle.UnpicklingError(f"a key of {item.bit_length():,} bits")
        if seen > MAX_KEY:
            raise pickle.UnpicklingError("nested keys that unfold without end")


def size_of(value: Any) -> int:
    """About how many bytes a copy of a value takes, one level deep."""
    if isinstance(value, (bytes, bytearray, str)):
        return len(value)
    return 64 * len(value) if isinstance(value, (Mapping, list, tuple, set, frozenset)) else 0
