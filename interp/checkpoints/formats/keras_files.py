"""Weights of Keras: ``.h5`` and ``.weights.h5`` files, and ``.keras`` archives with one inside. Needs h5py, an extra.

Names are the layer's path and the weight's own: ``dense/kernel``. Keras 3 stores weights by number alone; those of the
usual layers get their names back. https://keras.io/api/saving/
"""

from __future__ import annotations

import io
import mmap
import re
import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from interp.checkpoints.formats.contents import Contents
from interp.checkpoints.formats.keras_config import UNORDERED, described
from interp.checkpoints.formats.tensors import TensorRef, guarded
from interp.errors import UnreadableFile

HEAP = (
    b"GCOL\x01\x00\x00\x00"  # begins a global heap, https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html
)

INSIDE = "model.weights.h5"
MAX_MEMBER, MAX_CONFIG = 4 << 30, 16 << 20
MAX_WEIGHTS, MAX_DEPTH = 100_000, 60
SPARE = 128 << 20  # bytes that datasets may unfold to: HDF5 compresses, and stores what was never written not at all
RATIO = 30
# the order in which Keras 3 numbers the weights of its usual layers
NUMBERED = {
    "dense": ("kernel", "bias"), "conv1d": ("kernel", "bias"), "conv2d": ("kernel", "bias"), "conv3d": ("kernel", "bias"),
    "embedding": ("embeddings",), "einsum_dense": ("kernel", "bias"),
    "lstm_cell": ("kernel", "recurrent_kernel", "bias"), "gru_cell": ("kernel", "recurrent_kernel", "bias"),
    "simple_rnn_cell": ("kernel", "recurrent_kernel", "bias"),
}  # fmt: skip


def is_keras(names: list[str]) -> bool:
    """Whether the members of a zip archive are those of a ``.keras`` file."""
    return INSIDE in names and "config.json" in names


def read_keras(path: Path) -> Contents:
    """The weights in a Keras file by name; each is read when it is loaded.

    Args:
        path: of the file.

    Returns:
        A flat tree of `TensorRef`s. The model's config, as JSON, is ``metadata["keras_config"]``.

    Raises:
        UnreadableFile: h5py is not installed, the file holds no weights, or they unfold to far more than the file holds.
    """
    try:
        import h5py
    except ImportError:
        raise UnreadableFile(
            f"{path} is an HDF5 file, as Keras writes it; reading it takes h5py: pip install 'interp-suite[keras]'"
        ) from None
    metadata: dict[str, str] = {}
    source: Path | bytes = path
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            metadata["keras_config"] = _member(path, archive, "config.json", MAX_CONFIG).decode(
                "utf-8", errors="replace"
            )
            source = _member(path, archive, INSIDE, min(MAX_MEMBER, SPARE + RATIO * path.stat().st_size))
    if isinstance(source, bytes):
        _refuse_endless_heaps(path, source)
    else:
        with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            _refuse_endless_heaps(path, mapped)
    try:
        with h5py.File(_opened(source), "r") as file:
            config = file.attrs.get("model_config")
            if isinstance(config, (str, bytes)):
                metadata["keras_config"] = (
                    config if isinstance(config, str) else config.decode("utf-8", errors="replace")
                )
            tree, places = {}, []
            budget = SPARE + RATIO * path.stat().st_size
            for name, place in _weights(path, file, h5py):
                dataset: Any = file[place]
                budget -= dataset.size * max(4, dataset.dtype.itemsize)
                if budget < 0:
                    raise UnreadableFile(
                        f"{path} unfolds to far more than it holds, so it is not read; save it without compression"
                    )
                places.append(place)
                tree[name] = _reference(path, source, place, dataset, h5py)
    except OSError as error:  # HDF5's own checks
        raise UnreadableFile(f"{path}: truncated or corrupted HDF5 file ({str(error)[:120]}); copy it again") from None
    if not tree:
        raise UnreadableFile(
            f"{path} is an HDF5 file without weights; save the model's weights with model.save_weights"
        )
    notes = _guessed(tree, places)
    return Contents(path, "keras", _sorted(tree, metadata), metadata, notes=notes)


def _sorted(tree: Mapping[str, TensorRef], metadata: dict[str, str]) -> dict[str, TensorRef]:
    """The weights in the order of the layers, as the config says it, or by names, which is said in the metadata."""
    order = {name: i for i, name in reversed(list(enumerate(described(metadata.get("keras_config")).order)))}
    firsts = {name: next((part for part in name.split("/") if part in order), None) for name in tree}
    if order and all(first is not None for first in firsts.values()):
        return dict(sorted(tree.items(), key=lambda item: order[firsts[item[0]] or ""]))
    kinds = {re.sub(r"_\d+$", "", name.split("/")[0]) for name in tree}
    if len(kinds) > 1:  # layers of one kind are numbered in their order
        metadata["order"] = UNORDERED
    return dict(sorted(tree.items(), key=lambda item: int((re.search(r"_(\d{1,6})(?:/|$)", item[0]) or [0, 0])[1])))


def _refuse_endless_heaps(path: Path, data: bytes | mmap.mmap) -> None:
    """Refuse free space of no size in a heap of texts, over which HDF5's library steps without end."""
    start = data.find(HEAP)
    while start >= 0:
        at, end = start + 16, start + int.from_bytes(data[start + 8 : start + 16], "little")
        while at + 16 <= min(end, len(data)):
            index, size = int.from_bytes(data[at : at + 2], "little"), int.from_bytes(data[at + 8 : at + 16], "little")
            if index == 0 and size < 16:
                raise UnreadableFile(f"{path}: corrupted HDF5 file (a heap with free space of no size); copy it again")
            at += size if index == 0 else 16 + -(-size // 8) * 8
        start = data.find(HEAP, start + 4)


def _guessed(tree: Mapping[str, Any], places: list[str]) -> tuple[str, ...]:
    """A note where weights have numbers in the file, and their names follow from the kind of their layer."""
    named = [
        n for n, p in zip(tree, places, strict=False) if re.search(r"(?:^|/)vars/\d+$", p) and "/vars/" not in f"/{n}"
    ]
    shown = ", ".join(named[:6]) + (f" and {len(named) - 6} more" if len(named) > 6 else "")
    return (f"Keras 3 numbers weights; their names are told from the kinds of the layers: {shown}",) if named else ()


def _member(path: Path, archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    if archive.getinfo(name).file_size > limit:
        raise UnreadableFile(f"{path}: {name} unpacks to more than {limit >> 20} MiB, so it is not read")
    return archive.read(name)


def _opened(source: Path | bytes) -> str | IO[bytes]:
    return io.BytesIO(source) if isinstance(source, bytes) else str(source)


def _weights(path: Path, file: Any, h5py: Any) -> Iterator[tuple[str, str]]:
    """Names and places of all weights; links that lead out of the file are left alone."""
    waiting, seen = [("", 0)], set()
    while waiting:
        place, depth = waiting.pop()
        group = file[place] if place else file
        for name in reversed(list(group)):
            inner = f"{place}/{name}" if place else name
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen or depth > MAX_DEPTH or len(seen) > MAX_WEIGHTS:  # a group that holds itself
                continue
            seen.add(address)
            if isinstance(item, h5py.Group) and not re.match(r"(optimizer(_weights)?|top_level_model_weights)$", name):
                waiting.append((inner, depth + 1))
            elif isinstance(item, h5py.Dataset) and item.dtype.kind in "biufc" and item.shape is not None:
                if item.is_virtual or item.external:
                    raise UnreadableFile(
                        f"{path}: {inner[:80]} lies in another file, which is not opened; save the weights in one file"
                    )
                yield _name(inner), inner


def _name(place: str) -> str:
    """The name of a weight from its place: ``dense/dense/kernel:0`` and ``layers/dense/vars/0`` are ``dense/kernel``."""
    parts = [
        re.sub(r":\d+$", "", part)
        for part in place.split("/")
        if part not in ("model_weights", "_layer_checkpoint_dependencies")
    ]
    if len(parts) >= 3 and parts[-2] == "vars" and parts[-1].isdecimal():
        kind = re.sub(r"_\d+$", "", parts[-3])
        usual = NUMBERED.get(kind, ())
        number = int(parts[-1][:6])
        own = [usual[number]] if number < len(usual) else ["vars", parts[-1]]
        parts = [*(p for p in parts[:-2] if p != "layers"), *own]
    return "/".join(p for i, p in enumerate(parts) if i == 0 or p != parts[i - 1])


def _reference(path: Path, source: Path | bytes, place: str, dataset: Any, h5py: Any) -> TensorRef:
    native = np.zeros(0, dataset.dtype).astype(dataset.dtype.newbyteorder("="))
    dtype = torch.from_numpy(native).dtype
    return TensorRef(tuple(dataset.shape), dtype, "cpu", guarded(path, partial(_load, source, place, h5py)))


def _load(source: Path | bytes, place: str, h5py: Any) -> torch.Tensor:
    with h5py.File(_opened(source), "r") as file:
        array = np.asarray(file[place][()])
    return torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))).reshape(array.shape))
