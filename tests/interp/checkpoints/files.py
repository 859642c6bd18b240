"""One small checkpoint in every format, and what may go wrong with a file."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from interp.checkpoints.formats.tensors import TensorRef


def weights(seed: int = 0) -> dict[str, Tensor]:
    """The state dict of a small network of two linear layers."""
    generator = torch.Generator().manual_seed(seed)
    shapes = {"0.weight": (5, 3), "0.bias": (5,), "2.weight": (2, 5), "2.bias": (2,)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in weights(seed).items()}


def write_torch_zip(path: Path) -> None:
    torch.save({"model": weights(), "config": {"lr": 1e-3}, "train_losses": [3.0, 2.0]}, path)


def write_torch_legacy(path: Path) -> None:
    torch.save({"model": weights(), "epoch": 7}, path, _use_new_zipfile_serialization=False)


def write_sharded(path: Path) -> None:
    """Two shards and their index, as transformers writes them."""
    shards = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
    tensors = weights()
    weight_map = {name: shards[name.startswith("2")] for name in tensors}
    for shard in shards:
        save_file({n: t for n, t in tensors.items() if weight_map[n] == shard}, path.parent / shard)
    path.write_text(json.dumps({"metadata": {"total_size": 128}, "weight_map": weight_map}))


WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "torch zip": ("file.pt", write_torch_zip),
    "torch legacy": ("old.pth", write_torch_legacy),
    "safetensors": ("file.safetensors", lambda path: save_file(weights(), path)),
    "safetensors (sharded)": ("model.safetensors.index.json", write_sharded),
    "npz": ("file.npz", lambda path: np.savez(path, **arrays())),  # type: ignore[arg-type]
    "npz, compressed": ("small.npz", lambda path: np.savez_compressed(path, **arrays())),  # type: ignore[arg-type]
    "pickle": ("file.pkl", lambda path: path.write_bytes(pickle.dumps(arrays(), protocol=2))),
}


def write(kind: str, folder: Path) -> Path:
    """The small checkpoint in one format."""
    name, writer = WRITERS[kind]
    writer(folder / name)
    return folder / name


def references(tree: Any) -> Iterator[TensorRef]:
    """All tensors in a tree."""
    if isinstance(tree, TensorRef):
        yield tree
    elif isinstance(tree, (dict, list, tuple)):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from references(part)


def npy(shape: Any, data: bytes = b"", descr: str = "<f4", order: str = "False") -> bytes:
    """An array file of numpy whose header says anything."""
    header = f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape!r}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def write_npz(path: Path, members: dict[str, bytes], compression: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def with_location(path: Path, location: str, module: str = "torch") -> Path:
    """Rewrite a file of torch.save as if its tensors had lain on another device, such as ``cuda:0``."""

    def moved(program: bytes) -> bytes:
        there = b"X" + struct.pack("<I", len(location)) + location.encode()
        program = program.replace(b"X\x03\x00\x00\x00cpu", there)
        return program.replace(b"ctorch\nFloatStorage", f"c{module}\nFloatStorage".encode())

    if not zipfile.is_zipfile(path):
        path.write_bytes(moved(path.read_bytes()))
        return path
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, moved(data) if name.endswith("data.pkl") else data)
    return path
