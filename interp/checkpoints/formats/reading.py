"""Formats: from bytes to a tree of named tensors and plain values. Nothing in a file is ever run."""

from __future__ import annotations

import hashlib
import json
import math
import pickle
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from interp.checkpoints.formats import torch_files
from interp.checkpoints.formats.pickled_values import plain
from interp.checkpoints.formats.restricted_pickle import RestrictedUnpickler
from interp.checkpoints.formats.tensors import TensorRef, damage, guarded
from interp.errors import InterpError, UnreadableFile, naming

if TYPE_CHECKING:
    from interp.picbreeder import Genome

SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".safetensors", ".npz", ".xml")
INDEX_SUFFIX = ".safetensors.index.json"
MAX_UNPACKED = 8 << 30  # bytes that a compressed archive may unpack to


@dataclass(frozen=True)
class Contents:
    """What a file holds: a tree of containers, plain values and `TensorRef` leaves.

    Attributes:
        format: the name of the format, such as ``torch zip``.
        tree: usually a dict by name.
        metadata: the file's own header, where the format has one.
        stubs: classes that the file names and that are not read; their objects are inert `Stub`s in the tree.
        genome: the graph of an evolved network, whose layered form is in the tree.
    """

    path: Path
    format: str
    tree: Any
    metadata: dict[str, str] = field(default_factory=dict)
    stubs: tuple[str, ...] = ()
    genome: Genome | None = None


def read(path: Path) -> Contents:
    """Open a checkpoint file of any known format; tensors stay on disk until they are loaded.

    Raises:
        UnreadableFile: missing, empty, truncated, corrupted, or of no known format.
    """
    try:
        size = path.stat().st_size if path.is_file() else None
    except OSError as error:
        raise UnreadableFile(f"cannot read {path}: {error.strerror}; check the path and its permissions") from None
    if size is None:
        raise UnreadableFile(f"no file at {path}; check the path, or name the folder of a run")
    if size == 0:
        raise UnreadableFile(f"{path} is empty (0 bytes); copy or save it again")
    try:
        return _reader_of(path)(path)
    except InterpError as error:
        raise naming(path, error) from None
    except Exception as error:  # whatever a damaged file provokes in a parser, the user hears one thing
        raise UnreadableFile(f"{path}: {damage(error)}") from error


def _reader_of(path: Path) -> Callable[[Path], Contents]:
    with path.open("rb") as file:
        head = file.read(16)
    if path.name.endswith(INDEX_SUFFIX):
        return _read_sharded
    if head.startswith(b"PK\x03\x04"):
        return _read_zip
    if len(head) > 8 and head[8:9] == b"{":
        return _read_safetensors
    if head[:1] == b"\x80":
        return _read_pickle
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return _read_genome
    if path.suffix in SUFFIXES:
        raise UnreadableFile(
            f"{path}: truncated or corrupted: it ends in {path.suffix}, but starts with the bytes {head[:8].hex(' ')}, "
            "which is neither a torch file, a safetensors file, an npz nor XML; copy or save it again"
        )
    raise UnreadableFile(
        f"{path} is of no known format; known are torch.save files, safetensors (single or sharded with an index), npz, and "
        "Picbreeder genomes (XML, or zipped XML)"
    )


def _read_zip(path: Path) -> Contents:
    archive = zipfile.ZipFile(path)
    names = [name for name in archive.namelist() if not name.endswith("/")]
    _check_directory(path, len(archive.namelist()))
    if any(n == "data.pkl" or n.endswith("/data.pkl") for n in names):
        tree, stubs = torch_files.read_zip(path, archive)
        return Contents(path, "torch zip", plain(tree), stubs=tuple(stubs))
    if any(n.endswith(".npy") for n in names):
        return _read_npz(path, archive)
    if len(names) == 1 and "/" not in names[0] and Path(names[0]).suffix in ("", ".xml"):
        return _read_genome(path)
    raise UnreadableFile(
        f"{path} is a zip archive, but neither torch.save's (no data.pkl) nor numpy's (no .npy), nor one genome; it holds "
        + ", ".join(names[:5])
    )


def _check_directory(path: Path, listed: int) -> None:
    """The number of members that the archive's end states, against those found: zipfile does not compare them."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 16) - 22))
        tail = file.read()
    stated = struct.unpack_from("<H", tail, tail.rindex(b"PK\x05\x06") + 10)[0]
    if stated not in (listed, 0xFFFF):
        raise UnreadableFile(f"{path}: corrupted: it should hold {stated} members, {listed} were found; copy it again")


def _read_npz(path: Path, archive: zipfile.ZipFile) -> Contents:
    total = sum(info.file_size for info in archive.infolist())
    if total > MAX_UNPACKED:
        raise UnreadableFile(f"{path} unpacks to {total / 2**30:.0f} GiB; the limit is {MAX_UNPACKED >> 30} GiB")
    tree: dict[str, Any] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        with archive.open(info) as member:
            version = np.lib.format.read_magic(member)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = header(member)
        if not all(type(n) is int and n >= 0 for n in shape) or math.prod(shape) * dtype.itemsize > info.file_size:
            raise UnreadableFile(
                f"{path}: corrupted: array {name!r} claims shape {str(shape)[:80]}, more than it holds"
            )
        if dtype.kind in "US" and np.prod(shape, dtype=int) <= 1024:
            tree[name] = _npz_array(path, name).tolist()
        elif dtype.kind in "biufc":
            torch_dtype = torch.from_numpy(np.zeros(0, dtype.newbyteorder("="))).dtype
            tree[name] = TensorRef(tuple(shape), torch_dtype, "cpu", guarded(path, _npz_loader(path, name)))
        else:
            raise UnreadableFile(f"{path}: array {name!r} has type {dtype}, which would need pickle to read")
    return Contents(path, "npz", tree)


def _npz_array(path: Path, name: str) -> np.ndarray:
    with np.load(path, allow_pickle=False) as arrays:
        return arrays[name]


def _npz_loader(path: Path, name: str) -> Callable[[], torch.Tensor]:
    def load() -> torch.Tensor:
        array = _npz_array(path, name)
        return torch.from_numpy(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False)))

    return load


def _read_safetensors(path: Path) -> Contents:
    tree: dict[str, Any] = {}
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            for name in file.keys():  # noqa: SIM118  safe_open is no mapping
                part = file.get_slice(name)
                dtype = _safetensors_dtype(path, name, part.get_dtype())
                load, load_row = _safetensors_loaders(path, name)
                tree[name] = TensorRef(
                    tuple(part.get_shape()), dtype, "cpu", guarded(path, load), guarded(path, load_row)
                )
    except SafetensorError as error:
        raise UnreadableFile(f"{path}: truncated or corrupted safetensors file ({error}); copy it again") from error
    return Contents(path, "safetensors", tree, metadata)


_SAFETENSORS_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


def _safetensors_dtype(path: Path, name: str, code: str) -> torch.dtype:
    if code not in _SAFETENSORS_DTYPES:
        raise UnreadableFile(f"{path}: tensor {name!r} has dtype {code}, which is not read; save it as F32 or BF16")
    return _SAFETENSORS_DTYPES[code]


def _safetensors_loaders(path: Path, name: str) -> tuple[Callable[[], torch.Tensor], Callable[[int], torch.Tensor]]:
    def load() -> torch.Tensor:
        with safe_open(path, framework="pt") as file:
            return file.get_tensor(name)

    def load_row(index: int) -> torch.Tensor:
        with safe_open(path, framework="pt") as file:
            return file.get_slice(name)[index]

    return load, load_row


def _read_sharded(path: Path) -> Contents:
    """The tensors of all shards that ``*.safetensors.index.json`` names, as one tree."""
    index = json.loads(path.read_text(encoding="utf-8"))
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not all(isinstance(s, str) for s in weight_map.values()):
        raise UnreadableFile(f"{path} has no weight_map, so it is no index of safetensors shards")
    tree: dict[str, Any] = {}
    metadata: dict[str, str] = {}
    for shard in sorted(set(weight_map.values())):
        if Path(shard).name != shard:
            raise UnreadableFile(f"{path} names the shard {shard!r}, which is not a file beside it")
        if not (path.parent / shard).is_file():
            raise UnreadableFile(f"{path} names the shard {shard}, which is missing; copy all shards beside the index")
        contents = _read_safetensors(path.parent / shard)
        metadata.update(contents.metadata)
        tree.update({name: ref for name, ref in contents.tree.items() if weight_map.get(name) == shard})
    missing = sorted(set(weight_map) - set(tree))
    if missing:
        raise UnreadableFile(f"{path} names tensors that its shards do not hold: {', '.join(missing[:5])}")
    return Contents(path, "safetensors (sharded)", tree, metadata)


def _read_pickle(path: Path) -> Contents:
    with path.open("rb") as stream:
        if torch_files.is_legacy(stream):
            tree, stubs = torch_files.read_legacy(path, stream)
            return Contents(path, "torch legacy", plain(tree), stubs=tuple(stubs))
        reader = RestrictedUnpickler(stream)
        try:
            return Contents(path, "pickle", plain(reader.load()), stubs=tuple(reader.stubs))
        except (pickle.UnpicklingError, EOFError) as error:
            raise UnreadableFile(f"{path}: a truncated or corrupted pickle ({error}); copy it again") from error


def _read_genome(path: Path) -> Contents:
    """A genome in its layered form, with a header as `interp.save` writes it."""
    from interp.checkpoints.layouts.suite import HEADER
    from interp.checkpoints.saving import header_text
    from interp.picbreeder import read as read_picbreeder

    genome = read_picbreeder(path)
    model = genome.layered()
    tree = {name: TensorRef.of(parameter.detach()) for name, parameter in model.named_parameters()}
    return Contents(path, "Picbreeder genome", tree, {HEADER: header_text(model.config, None, None)}, genome=genome)


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
