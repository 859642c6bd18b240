"""Safetensors files, single or sharded with an index."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from interp.checkpoints.formats.contents import Contents
from interp.checkpoints.formats.tensors import TensorRef, guarded
from interp.errors import UnreadableFile

INDEX_SUFFIX = ".safetensors.index.json"


def read_safetensors(path: Path) -> Contents:
    """The tensors of a safetensors file, and its header; each tensor is read when it is loaded.

    Args:
        path: of the file.

    Returns:
        A tree of `TensorRef`s by name.

    Raises:
        UnreadableFile: damaged, or a tensor of a dtype that is not supported.
    """
    tree: dict[str, Any] = {}
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            for name in file.keys():  # noqa: SIM118  safe_open is not a mapping
                part = file.get_slice(name)
                dtype = _dtype(path, name, part.get_dtype())
                load, load_row = _loaders(path, name)
                tree[name] = TensorRef(
                    tuple(part.get_shape()), dtype, "cpu", guarded(path, load), guarded(path, load_row)
                )
    except SafetensorError as error:
        raise UnreadableFile(f"{path}: truncated or corrupted safetensors file ({error}); copy it again") from error
    return Contents(path, "safetensors", tree, metadata)


DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


def _dtype(path: Path, name: str, code: str) -> torch.dtype:
    if code not in DTYPES:
        raise UnreadableFile(
            f"{path}: tensor {name!r} has dtype {code}, which is not supported; save it as F32 or BF16"
        )
    return DTYPES[code]


def _loaders(path: Path, name: str) -> tuple[Callable[[], torch.Tensor], Callable[[int], torch.Tensor]]:
    def load() -> torch.Tensor:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor(name)

    def load_row(index: int) -> torch.Tensor:
        with safe_open(path, framework="pt") as file:
            return file.get_slice(name)[index]

    return load, load_row


def read_sharded(path: Path) -> Contents:
    """The tensors of all shards named in a ``*.safetensors.index.json``, as one tree.

    Args:
        path: of the index.

    Returns:
        A tree of `TensorRef`s by name.

    Raises:
        UnreadableFile: a damaged index or shard, a missing shard, or tensors that no shard holds.
    """
    index = json.loads(path.read_text(encoding="utf-8"))
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not all(isinstance(s, str) for s in weight_map.values()):
        raise UnreadableFile(f"{path} has no weight_map, so it is not an index of safetensors shards")
    tree: dict[str, Any] = {}
    metadata: dict[str, str] = {}
    for shard in sorted(set(weight_map.values())):
        if Path(shard).name != shard:
            raise UnreadableFile(f"{path} names the shard {shard!r}, which is not a file beside it")
        if not (path.parent / shard).is_file():
            raise UnreadableFile(f"{path} names the shard {shard}, which is missing; copy all shards beside the index")
        contents = read_safetensors(path.parent / shard)
        metadata.update(contents.metadata)
        tree.update({name: ref for name, ref in contents.tree.items() if weight_map.get(name) == shard})
    missing = sorted(set(weight_map) - set(tree))
    if missing:
        raise UnreadableFile(f"{path} names tensors that its shards do not hold: {', '.join(missing[:5])}")
    return Contents(path, "safetensors (sharded)", tree, metadata)
