"""Transaction logs of Weights & Biases (``run-ID.wandb``): LevelDB's log format around protocol buffers.

A file begins with seven bytes, and goes on in blocks of 32 KB; a record that does not fit goes on in the next block. Formats:
https://github.com/google/leveldb/blob/main/doc/log_format.md and wandb/proto/wandb_internal.proto.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interp._util.files import no_follow
from interp._util.schema import parse_json
from interp.checkpoints.logged.log import scalars
from interp.checkpoints.logged.protobuf import Field, fields, signed, text
from interp.errors import InterpError, UnreadableFile

IDENT, MAGIC, BLOCK, HEAD = b":W&B", 0xBEE1, 1 << 15, 7
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
MOST = 1 << 24  # bytes of a record
HISTORY, CONFIG, RUN = 2, 5, 17  # fields of Record
JSON_DEPTH_BYTES = 1 << 20  # of a logged value that is read


@dataclass
class Transactions:
    """What a log holds.

    Attributes:
        rows: of the history: scalars by name, with ``_step``.
        config: the settings.
        name: of the run, for people.
        fault: why what follows was left out; None where the log ends as it should, or where a run stopped writing it.
    """

    rows: list[dict[str, float]] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    name: str = ""
    fault: str | None = None


def read_transactions(path: Path, most_rows: int) -> Transactions:
    """Read a log up to its end or its first damage.

    Args:
        path: of the file.
        most_rows: of the history; later ones are left out.

    Returns:
        what was read.

    Raises:
        UnreadableFile: no such log, or it cannot be opened.
    """
    found = Transactions()
    try:
        with open(path, "rb", opener=no_follow) as file:
            head = file.read(HEAD)
            if len(head) < HEAD or head[:4] != IDENT or struct.unpack("<H", head[4:6])[0] != MAGIC:
                raise UnreadableFile(
                    f"{path} is not a log of Weights & Biases: it begins with other bytes; copy it again"
                )
            try:
                for record in _records(file):
                    _take(record, found)
                    if len(found.rows) >= most_rows:
                        found.fault = f"{path.name}: more than {most_rows:,} rows are logged; the rest is left out"
                        break
            except InterpError as error:
                found.fault = f"{path.name} {error}; what follows is left out"
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error.strerror or error}") from None
    return found


def _records(file: Any) -> Iterator[bytes]:
    """The records, each with its checksum checked; one that was not written to its end is left out."""
    at, parts = HEAD, b""
    while True:
        left = BLOCK - at % BLOCK
        if left < HEAD:  # zeros up to the next block
            file.read(left)
            at += left
            continue
        head = file.read(HEAD)
        if len(head) < HEAD:
            return
        check, size, kind = struct.unpack("<IHB", head)
        data = file.read(size)
        if len(data) < size:
            return
        if not check and not size and not kind:
            return  # the room that a killed writer had not filled
        if size > left - HEAD or kind not in (FULL, FIRST, MIDDLE, LAST):
            raise UnreadableFile(f"is damaged at byte {at:,}")
        if zlib.crc32(data, zlib.crc32(head[6:7])) != check:
            raise UnreadableFile(f"is damaged at byte {at:,} (checksum of a record)")
        at += HEAD + size
        if kind in (FULL, FIRST):
            parts = b""
        parts = parts + data if len(parts) <= MOST else parts
        if kind in (FULL, LAST) and len(parts) <= MOST:
            yield parts


def _take(record: bytes, found: Transactions) -> None:
    for number, value in fields(record):
        if not isinstance(value, bytes):
            continue
        if number == HISTORY:
            found.rows.append(_row(value))
        elif number == CONFIG:
            found.config |= _config(value)
        elif number == RUN:
            for inner, item in fields(value):
                if inner == 4 and isinstance(item, bytes):
                    found.config |= _config(item)
                elif inner == 8:
                    found.name = text(item)


def _row(message: bytes) -> dict[str, float]:
    """The scalars of a row; its step stands beside the items, or is one of them."""
    row: dict[str, Any] = {}
    for number, value in fields(message):
        if number == 1 and isinstance(value, bytes):
            row |= _item(value)
        elif number == 2 and isinstance(value, bytes):
            row.setdefault("_step", signed(dict(fields(value)).get(1, 0)))
    media = tuple(name.removesuffix("_type") for name in row if name.endswith("._type"))  # histograms, pictures
    named = [(name, value) for name, value in row.items() if not (media and name.startswith(media))]
    return dict(pair for name, value in named for pair in scalars(name, value))


def _config(message: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in fields(message):
        if number == 1 and isinstance(value, bytes):
            found |= _item(value)
    return found


def _item(message: bytes) -> dict[str, Any]:
    """A name and its value, which is written as JSON."""
    keys: list[str] = []
    written: Field = b""
    for number, value in fields(message):
        if number in (1, 2):
            keys.append(text(value))
        elif number == 16:
            written = value
    name = ".".join(k for k in keys if k)
    if not name or not isinstance(written, bytes) or len(written) > JSON_DEPTH_BYTES:
        return {}
    try:
        return {name: parse_json(text(written))}
    except InterpError:
        return {}  # NaN without quotes, or no JSON at all: not a number that could be drawn
