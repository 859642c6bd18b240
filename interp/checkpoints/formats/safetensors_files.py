"""Safetensors files, single or sharded with an index."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from interp._util.files import leads_out, not_followed
from interp.checkpoints.formats.contents import Contents
from interp.checkpoints.formats.tensors import TensorRef, guarded, readable
from interp.errors import UnreadableFile

INDEX_SUFFIX = ".safetensors.index.json"
BIN_INDEX_SUFFIX = ".bin.index.json"  # shards of torch.save


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
                load, load_row = partial(_tensor, path, name), partial(_row, path, name)
                ref = TensorRef(tuple(part.get_shape()), dtype, "cpu", guarded(path, load), guarded(path, load_row))
                tree[name] = readable(ref)
    except SafetensorError as error:
        raise UnreadableFile(f"{path}: {_said(str(error))}") from error
    return Contents(path, "safetensors", tree, metadata)


DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    "U16": torch.uint16, "U32": torch.uint32, "U64": torch.uint64, "C64": torch.complex64,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz, "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
}  # fmt: skip
if hasattr(torch, "float8_e8m0fnu"):  # torch 2.7
    DTYPES["F8_E8M0"] = torch.float8_e8m0fnu


def _said(error: str) -> str:
    """What the library says: that the header is damaged, or that it does not know a dtype that somebody has invented since."""
    if "unknown variant" in error:
        return f"cannot be read here: a dtype that is not known ({error[:200]}); save it as F32 or BF16"
    return f"truncated or corrupted safetensors file ({error[:200]}); copy it again"


def _dtype(path: Path, name: str, code: str) -> torch.dtype:
    if code not in DTYPES:
        raise UnreadableFile(
            f"{path}: tensor {name!r} has dtype {code}, which is not supported; save it as F32 or BF16"
        )
    return DTYPES[code]


def _tensor(path: Path, name: str) -> torch.Tensor:
    with safe_open(path, framework="pt") as file:
        return file.get_tensor(name)


def _row(path: Path, name: str, index: int) -> torch.Tensor:
    with safe_open(path, framework="pt") as file:
        return file.get_slice(name)[index]


def read_sharded(path: Path, read_shard: Callable[[Path], Contents]) -> Contents:
    """The tensors of all shards named in a ``*.safetensors.index.json`` or ``*.bin.index.json``, as one tree.

    Args:
        path: of the index.
        read_shard: reads one shard.

    Returns:
        A tree of `TensorRef`s by name.

    Raises:
        UnreadableFile: a damaged index or shard, a missing shard, or tensors that no shard holds.
    """
    index = _index(path)
    tree: dict[str, Any] = {}
    metadata: dict[str, str] = {}
    stubs: list[str] = []
    formats = []
    for shard in sorted(set(index.values())):
        if Path(shard).name != shard:
            raise UnreadableFile(f"{path} names the shard {shard[:80]!r}, which is not a file beside it; copy it there")
        if not (path.parent / shard).is_file():
            raise UnreadableFile(f"{path} names the shard {shard}, which is missing; copy all shards beside the index")
        if leads_out(path.parent / shard):
            raise UnreadableFile(f"{path} names a shard that is not beside it: {not_followed([path.parent / shard])}")
        contents = read_shard(path.parent / shard)
        formats.append(contents.format)
        metadata.update(contents.metadata)
        stubs += contents.stubs
        held = contents.tree if isinstance(contents.tree, dict) else {}
        tree.update({name: ref for name, ref in held.items() if index.get(name) == shard})
    missing = sorted(set(index) - set(tree))
    if missing:
        raise UnreadableFile(f"{path} names tensors that its shards do not hold: {', '.join(missing[:5])}")
    return Contents(
        path, f"{formats[0] if formats else 'empty'} (sharded)", tree, metadata, tuple(dict.fromkeys(stubs))
    )


def _index(path: Path) -> dict[str, str]:
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(
            f"{path} is not JSON ({str(error)[:80]}), so it is not an index of shards; copy it again"
        ) from None
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not all(isinstance(s, str) for s in weight_map.values()):
        raise UnreadableFile(f"{path} has no weight_map, so it is not an index of shards; name a file of weights")
    return weight_map
