"""Event files of TensorBoard: scalars out of TFRecords of protocol buffers, without TensorFlow.

A record is its length, a checksum of the length, the bytes, and a checksum of the bytes. The formats are those of
https://www.tensorflow.org/tutorials/load_data/tfrecord and tensorboard/compat/proto/event.proto.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from interp._util.files import no_follow
from interp.checkpoints.logged.checksums import masked_crc32c
from interp.checkpoints.logged.log import Log, Points, continued
from interp.checkpoints.logged.protobuf import Field, fields, number_of, signed, text
from interp.errors import InterpError, UnreadableFile

NAME = "events.out.tfevents."
STEP, SUMMARY, VALUE = 2, 5, 1  # fields of Event and Summary
TAG, SIMPLE, TENSOR = 1, 2, 8  # fields of Summary.Value
CONTENT = 4  # bytes of a TensorProto; its typed fields follow
KINDS = {1: ("f", 5), 2: ("d", 6), 3: ("i", 7), 9: ("q", 10)}  # by dtype: as `struct` names it, and the typed field
MOST = 1 << 18  # bytes of a record that is read: pictures and graphs are longer, scalars are not
BATCH = 1 << 15  # records that are checked together


def is_event_file(path: Path) -> bool:
    """Whether a file is called as TensorBoard's writers call theirs."""
    return NAME in path.name


def read_folder(folder: Path, files: dict[str, list[Path]]) -> Log:
    """The scalars of a run.

    Args:
        folder: of the run.
        files: its event files by the prefix of their names, in the order in which they were written.

    Returns:
        The log; what is damaged is left out with a note.

    Raises:
        UnreadableFile: nothing at all could be read.
    """
    log = Log("TensorBoard")
    faults: list[str] = []
    for prefix, paths in files.items():
        joined: Points = {}
        for path in paths:
            part, fault = _read_file(path, log)
            faults += [fault] if fault else []
            joined, replaced = continued(joined, part)
            if replaced:
                log.notes.append(f"{path.name} goes on from an earlier step: {replaced:,} points after it are replaced")
        for tag, points in joined.items():
            log.points[f"{prefix}{tag}"] = points
    if faults and not log.points:
        raise UnreadableFile(faults[0])
    log.notes += faults
    return log


def _read_file(path: Path, log: Log) -> tuple[Points, str | None]:
    """The scalars of one file up to its first damage, and what that is."""
    own = Log("")
    own._room = max(1, log._room)
    try:
        for event in _records(path):
            _scalars(event, own)
            if own.full:
                log.notes += own.notes
                break
        fault = None
    except OSError as error:
        raise UnreadableFile(f"{path} cannot be read: {error.strerror or error}") from None
    except InterpError as error:
        fault = f"{path.name}: {error}"
    log._room = max(1, log._room - own.count)
    return own.points, fault


def _records(path: Path) -> Iterator[bytes]:
    """The records of a file; one that was not written to its end is left out, as in a run that is still writing."""
    batch: list[tuple[bytes, int]] = []
    with open(path, "rb", opener=no_follow) as file:
        size, at = path.stat().st_size, 0
        while at + 12 <= size:
            head = file.read(12)
            length, check = struct.unpack("<QI", head)
            if _length_check(head[:8]) != check:
                yield from _checked(batch)
                raise UnreadableFile(
                    f"damaged at byte {at:,} (checksum of a record's length); what follows is left out"
                )
            if at + 16 + length > size:
                break
            if length > MOST:
                file.seek(length + 4, 1)
            else:
                data = file.read(length + 4)
                batch.append((data[:-4], struct.unpack("<I", data[-4:])[0]))
            at += 16 + length
            if len(batch) == BATCH:
                yield from _checked(batch)
                batch = []
    yield from _checked(batch)


@cache
def _length_check(head: bytes) -> int:
    return int(masked_crc32c([head])[0])


def _checked(batch: list[tuple[bytes, int]]) -> Iterator[bytes]:
    for (data, stated), found in zip(batch, masked_crc32c([data for data, _ in batch]), strict=True):
        if int(found) != stated:
            raise UnreadableFile("damaged (checksum of a record); what follows is left out")
        yield data


def _scalars(event: bytes, log: Log) -> None:
    step, summaries = 0, []
    for number, value in fields(event):
        if number == STEP:
            step = signed(value)
        elif number == SUMMARY and isinstance(value, bytes):
            summaries.append(value)
    for summary in summaries:
        for number, value in fields(summary):
            if number == VALUE and isinstance(value, bytes):
                tag, found = _value(value)
                if tag and found is not None:
                    log.add(tag, step, found)


def _value(message: bytes) -> tuple[str, float | None]:
    """The tag of a summary's value and its number; None where it is a picture, a histogram or a text."""
    tag, found = "", None
    for number, value in fields(message):
        if number == TAG:
            tag = text(value)
        elif number == SIMPLE:
            found = number_of(value, "f")
        elif number == TENSOR and isinstance(value, bytes):
            found = _tensor(dict(fields(value)))
    return tag, found


def _tensor(parts: dict[int, Field]) -> float | None:
    """The number in a tensor that holds a single one."""
    kind = parts.get(1)
    if not isinstance(kind, int) or kind not in KINDS:
        return None
    code, typed = KINDS[kind]
    content = parts.get(CONTENT) or parts.get(typed)
    if isinstance(content, int):  # a single whole number, not packed
        return float(signed(content))
    if code in "iq" and typed in parts and isinstance(content, bytes) and not parts.get(CONTENT):
        return None  # packed varints of several numbers, which no scalar has
    if not isinstance(content, bytes) or len(content) != struct.calcsize(f"<{code}"):
        return None
    value = float(struct.unpack(f"<{code}", content)[0])
    return value if value == value else math.nan
