"""The wire format of protocol buffers, as far as logs of trainings use it: https://protobuf.dev/programming-guides/encoding."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from interp.errors import UnreadableFile

Field = int | bytes
FIXED = {1: 8, 5: 4}  # bytes of a value, by wire type
VARINT, LENGTH = 0, 2
MOST_BYTES = 10  # of a varint


def fields(message: bytes) -> Iterator[tuple[int, Field]]:
    r"""The fields of a message in their order.

    Args:
        message: as it was written.

    Yields:
        The field's number, and its value: a whole number for a varint, bytes for everything else.

    Raises:
        UnreadableFile: it ends in the middle of a field, or holds a field of a kind that nobody writes.

    >>> list(fields(b"\x08\x96\x01\x12\x02hi"))
    [(1, 150), (2, b'hi')]
    """
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if kind == LENGTH:
            size, at = _varint(message, at)
        elif kind in FIXED:
            size = FIXED[kind]
        else:
            raise UnreadableFile(f"a record holds a field of the wire type {kind}, which is not read")
        if at + size > end:
            raise UnreadableFile("a record ends in the middle of a field")
        yield number, message[at : at + size]
        at += size


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A whole number of variable length, and where the next field begins."""
    value = 0
    for place in range(MOST_BYTES):
        if at + place >= len(message):
            raise UnreadableFile("a record ends in the middle of a number")
        byte = message[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at + place + 1
    raise UnreadableFile("a record holds a number that does not end")


def signed(value: Field) -> int:
    """A varint as a signed number of 64 bits."""
    number = value if isinstance(value, int) else 0
    return number - (1 << 64) if number >= 1 << 63 else number


def text(value: Field) -> str:
    """A field as text; bytes that are not UTF-8 are replaced."""
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else ""


def number_of(value: Field, code: str) -> float:
    """A field of fixed length as a float.

    Args:
        value: its bytes.
        code: as `struct` names the type, ``f`` or ``d``.

    Returns:
        The number.

    Raises:
        UnreadableFile: as many bytes as another type has.
    """
    if not isinstance(value, bytes) or len(value) != struct.calcsize(f"<{code}"):
        raise UnreadableFile("a record holds a number of another type than it says")
    return struct.unpack(f"<{code}", value)[0]
