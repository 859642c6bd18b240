"""Checkpoints of torch.distributed.checkpoint: a folder with ``.metadata`` and ``*.distcp`` files.

The metadata are a pickle that says which piece of which tensor stands where; every piece is a file of torch.save inside
of a ``.distcp`` file. Both are read by the restricted reader. https://docs.pytorch.org/docs/stable/distributed.checkpoint.html
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from interp.checkpoints.formats import torch_files
from interp.checkpoints.formats.budget import Budget, Stream
from interp.checkpoints.formats.contents import Contents
from interp.checkpoints.formats.pickled_values import Stub
from interp.checkpoints.formats.plain_trees import plain
from interp.checkpoints.formats.tensors import TensorRef, guarded, readable
from interp.errors import UnreadableFile

METADATA = ".metadata"
ADVICE = "copy the whole folder again, or convert it with torch.distributed.checkpoint.format_utils.dcp_to_torch_save"
MAX_PIECE = 1 << 36  # bytes


def read_distributed(path: Path) -> Contents:
    """The tensors and values of a distributed checkpoint; pieces are put together when a tensor is loaded.

    Args:
        path: of the folder's ``.metadata`` file.

    Returns:
        The tree as it was saved, nested where its metadata say how.

    Raises:
        UnreadableFile: metadata of another form, or a file of pieces that is missing or too short.
    """
    folder = _Folder(path)
    flat: dict[str, Any] = {}
    for name, about in folder.entries.items():
        state = _state(about)
        flat[name] = folder.tensor(name, state) if "chunks" in state else folder.value(name)
    places = folder.metadata.get("planner_data")
    return Contents(path, "torch distributed", _nested(flat, places if isinstance(places, Mapping) else {}))


@dataclass(frozen=True)
class _Folder:
    """A distributed checkpoint, its metadata read."""

    path: Path

    @cached_property
    def budget(self) -> Budget:
        held = sum(f.stat().st_size for f in self.path.parent.glob("*.distcp"))
        return Budget(self.path, held + self.path.stat().st_size)

    @cached_property
    def metadata(self) -> Mapping[str, Any]:
        with self.path.open("rb") as file:
            reader = torch_files.unpickler(self.path, Stream(file, self.path.stat().st_size), self.budget)
            return _state(plain(reader.load(), self.budget))

    @cached_property
    def entries(self) -> Mapping[str, Any]:
        found = self.metadata.get("state_dict_metadata")
        if not isinstance(found, Mapping) or not found or not all(isinstance(name, str) for name in found):
            raise UnreadableFile(f"{self.path} is not the metadata of a torch distributed checkpoint; {ADVICE}")
        return found

    @cached_property
    def pieces(self) -> dict[str, dict[tuple[int, ...] | None, Mapping[str, Any]]]:
        """Where every piece stands: by the tensor's name, then by the piece's first index."""
        found: dict[str, dict[tuple[int, ...] | None, Mapping[str, Any]]] = {}
        stored = self.metadata.get("storage_data")
        for index, info in stored.items() if isinstance(stored, Mapping) else ():
            key = _state(index)
            offset = key.get("offset")
            found.setdefault(str(key.get("fqn")), {})[_size(offset) if offset is not None else None] = _state(info)
        return found

    def bytes_of(self, name: str, offset: tuple[int, ...] | None) -> bytes:
        """The bytes of one piece."""
        info = self.pieces.get(name, {}).get(offset, {})
        file, start, length = info.get("relative_path"), _whole(info.get("offset")), _whole(info.get("length"))
        if not isinstance(file, str) or Path(file).name != file or start is None or length is None:
            raise UnreadableFile(f"{self.path} does not say where {name[:80]} {list(offset or ())} stands; {ADVICE}")
        if info.get("transform_descriptors"):
            raise UnreadableFile(f"{self.path}: {file} is compressed, which cannot be read here; {ADVICE}")
        path = self.path.parent / file
        if path.is_symlink() or not path.is_file():
            raise UnreadableFile(f"{self.path} names the file {file}, which is missing; {ADVICE}")
        if start + length > path.stat().st_size:
            raise UnreadableFile(f"{path}: truncated: {name[:80]} should end at byte {start + length:,}; copy it again")
        with path.open("rb") as stream:
            stream.seek(start)
            return stream.read(length)

    def tensor(self, name: str, about: Mapping[str, Any]) -> TensorRef:
        """A tensor that is put together of its pieces when it is loaded."""
        shape, dtype = _size(about.get("size")), _dtype_of(about.get("properties"))
        chunks = [(_size(_state(c).get("offsets")), _size(_state(c).get("sizes"))) for c in _list(about.get("chunks"))]
        if (
            shape is None
            or dtype is None
            or any(o is None or s is None or len(o) != len(s) or len(s) != len(shape) for o, s in chunks)
        ):
            raise UnreadableFile(f"{self.path}: {name[:80]} has no size, type or pieces; {ADVICE}")
        covered = sum(math.prod(s or ()) for _, s in chunks)
        if covered < math.prod(shape):
            raise UnreadableFile(
                f"{self.path}: the pieces of {name[:80]} hold {covered:,} of {math.prod(shape):,} numbers; {ADVICE}"
            )
        self.budget.unfold(math.prod(shape) * max(4, dtype.itemsize))

        def load() -> torch.Tensor:
            whole = torch.empty(shape, dtype=dtype)
            for offsets, sizes in chunks:
                whole[tuple(slice(o, o + s) for o, s in zip(offsets or (), sizes or (), strict=True))] = self._piece(
                    name, offsets, sizes
                )
            return whole

        return readable(TensorRef(shape, dtype, "cpu", guarded(self.path, load)))

    def _piece(self, name: str, offsets: tuple[int, ...] | None, sizes: tuple[int, ...] | None) -> torch.Tensor:
        held = self.pieces.get(name, {})
        value = self._read(self.bytes_of(name, offsets if offsets in held else None))
        if not isinstance(value, TensorRef) or value.shape != sizes:
            raise UnreadableFile(f"{self.path}: a piece of {name[:80]} has another shape than it should have; {ADVICE}")
        return value.load()

    def value(self, name: str) -> Any:
        """A plain value, such as a step."""
        return self._read(self.bytes_of(name, None))

    def _read(self, data: bytes) -> Any:
        budget = Budget(self.path, len(data))
        stream = io.BytesIO(data)
        if data.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(stream) as archive:
                return plain(torch_files.read_archive(self.path, archive, budget)[0], budget)
        if torch_files.is_legacy(data[:32]):
            return plain(torch_files.read_legacy(self.path, stream, budget)[0], budget)
        return plain(torch_files.unpickler(self.path, Stream(stream, len(data)), budget).load(), budget)


def _state(value: Any) -> Mapping[str, Any]:
    """The fields of an object of torch's."""
    state = value.state if isinstance(value, Stub) else value
    return state if isinstance(state, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else []


def _whole(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < MAX_PIECE else None


def _size(value: Any) -> tuple[int, ...] | None:
    fits = (
        isinstance(value, (tuple, list)) and len(value) < 64 and all(type(n) is int and 0 <= n < 2**62 for n in value)
    )
    return tuple(value) if fits else None


def _dtype_of(properties: Any) -> torch.dtype | None:
    """The dtype in a tensor's properties, whose state is a tuple that begins with it, or a dict."""
    state = properties.state if isinstance(properties, Stub) else properties
    named = (
        state.get("dtype") if isinstance(state, Mapping) else state[0] if isinstance(state, tuple) and state else None
    )
    found = vars(torch).get(str(named).removeprefix("torch."))
    return found if isinstance(found, torch.dtype) else None


def _nested(flat: Mapping[str, Any], places: Mapping[Any, Any]) -> dict[Any, Any]:
    """The tree as it was saved: the metadata give the keys that lead to every name."""
    tree: dict[Any, Any] = {}
    for name, value in flat.items():
        keys = places.get(name)
        keys = list(keys) if isinstance(keys, (tuple, list)) and 0 < len(keys) < 50 else [name]
        at = tree
        for key in keys[:-1]:
            inner = at.setdefault(key, {})
            if not isinstance(inner, dict):
                break
            at = inner
        at[keys[-1]] = value
    return tree
