"""A safetensors file written row by row: what is stacked in it need never be in memory as a stack.

The format: eight bytes with the length of a JSON header, the header, the bytes of all tensors, larger dtypes first and then by
name; https://github.com/huggingface/safetensors#format. The bytes are those that safetensors itself writes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from interp._util.files import atomic
from interp.errors import InterpError

CODES = {torch.float32: "F32", torch.float64: "F64"}  # the dtypes of weights that we train
ALIGN = 8  # the header is filled up with spaces to a multiple of this
CHUNK = 32 << 20  # bytes of a tensor that are copied at once
Shapes = Mapping[str, tuple[tuple[int, ...], torch.dtype]]
Rows = Iterable[tuple[str, Sequence[int], Tensor]]


def write_rows(path: Path, shapes: Shapes, rows: Rows, metadata: dict[str, str]) -> None:
    """Write a safetensors file of stacks as a whole or not at all, on the disk before it appears.

    Args:
        path: of the file.
        shapes: ``[row, ...]`` and dtype of every tensor, by name.
        rows: name of a tensor, numbers of some of its rows, and these ``[row, ...]``, on any device; all rows of all tensors,
            in any order, each once.
        metadata: the file's header.

    Raises:
        InterpError: the folder cannot be written, or the disk is full; rows that do not fit, or too few.
    """
    header, starts = _header(shapes, metadata)
    total = sum(_bytes(*kind) for kind in shapes.values())
    with atomic(path, durable=True) as temporary, temporary.open("wb") as file:
        file.write(header)
        written = 0
        for name, numbers, tensor in rows:
            shape, dtype = shapes[name]
            if tensor.dtype != dtype or tuple(tensor.shape) != (len(numbers), *shape[1:]):
                raise InterpError(
                    f"{path}: rows of {name} are {list(tensor.shape)} {tensor.dtype}, expected {list(shape[1:])}"
                )
            width = _bytes(shape[1:], dtype)
            step = max(1, CHUNK // max(1, width))
            for k in range(0, len(numbers), step):  # never a copy of all
                part = tensor[k : k + step].detach().cpu().contiguous().numpy()
                for source, target, count in runs(range(len(part)), numbers[k : k + step]):
                    file.seek(len(header) + starts[name] + target * width)
                    file.write(part[source : source + count].data)
                    written += count * width
        if written != total:
            raise InterpError(
                f"{path}: {written:,} bytes of weights for a file of {total:,}: members are missing or doubled"
            )


def runs(sources: Iterable[int], targets: Iterable[int]) -> Iterator[tuple[int, int, int]]:
    """Pairs of row numbers as runs in which both count up.

    Args:
        sources: numbers of rows.
        targets: as many.

    Yields:
        first source, first target, and how many.

    >>> list(runs([0, 1, 2, 5], [4, 5, 7, 8]))
    [(0, 4, 2), (2, 7, 1), (5, 8, 1)]
    """
    first: tuple[int, int] | None = None
    count = 0
    for source, target in zip(sources, targets, strict=True):
        if first is not None and (source, target) == (first[0] + count, first[1] + count):
            count += 1
            continue
        if first is not None:
            yield *first, count
        first, count = (source, target), 1
    if first is not None:
        yield *first, count


def _header(shapes: Shapes, metadata: dict[str, str]) -> tuple[bytes, dict[str, int]]:
    """The bytes before those of the tensors, and where each tensor starts after them."""
    entries: dict[str, object] = {"__metadata__": metadata}
    starts, end = {}, 0
    for name in sorted(shapes, key=lambda n: (-shapes[n][1].itemsize, n)):
        shape, dtype = shapes[name]
        starts[name], end = end, end + _bytes(shape, dtype)
        entries[name] = {"dtype": CODES[dtype], "shape": list(shape), "data_offsets": [starts[name], end]}
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGN)
    return len(text).to_bytes(8, "little") + text, starts


def _bytes(shape: Sequence[int], dtype: torch.dtype) -> int:
    return math.prod(shape) * dtype.itemsize
