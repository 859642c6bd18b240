"""Reading a checkpoint file of any known format."""

from __future__ import annotations

import hashlib
import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from interp._util import wrong_files
from interp.checkpoints.formats import torch_files
from interp.checkpoints.formats.budget import Budget, Stream
from interp.checkpoints.formats.contents import Contents
from interp.checkpoints.formats.distributed_files import METADATA, read_distributed
from interp.checkpoints.formats.genomes import PICBREEDER, with_genome, zipped_genome
from interp.checkpoints.formats.gzip_files import looks_like_pickle, read_gzip
from interp.checkpoints.formats.keras_files import is_keras, read_keras
from interp.checkpoints.formats.msgpack_files import is_msgpack, read_msgpack
from interp.checkpoints.formats.nested import flattened
from interp.checkpoints.formats.npz_files import read_npy, read_npz
from interp.checkpoints.formats.pickled_values import Stub
from interp.checkpoints.formats.plain_trees import plain
from interp.checkpoints.formats.safetensors_files import BIN_INDEX_SUFFIX, INDEX_SUFFIX, read_safetensors, read_sharded
from interp.checkpoints.formats.tensors import TensorRef, reason
from interp.errors import InterpError, UnreadableFile, in_file

LARGE = 64 << 20  # bytes of a file that nobody wants to hash twice
SUFFIXES = (
    ".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".safetensors", ".npz", ".npy", ".msgpack",
    ".h5", ".hdf5", ".keras", ".xml",
)  # fmt: skip
KNOWN = (
    "torch.save files, torch distributed checkpoints, pickles of tensors or arrays, safetensors (single or sharded with an "
    "index), npz, flax msgpack, Keras files, and genomes (Picbreeder's XML, pickles of neat-python)"
)
# how pickles of protocols 0 and 1 begin: a dict, a list, an object, or a class in a tuple
TEXT_PICKLE = re.compile(rb"\(*(?:\(d|\(l|\(i|[]}][q(]|c[\w.]+\n[\w.]+\n)")
UTF_16_XML = re.compile(rb"\xff\xfe\s*(?:\s\x00)*<\x00|(?:\xfe\xff)?(?:\x00\s)*\x00<")


def read(path: Path, key: str | None = None) -> Contents:
    """Open a checkpoint file of any known format; tensors stay on disk until they are loaded.

    Args:
        path: of the file.
        key: which genome of several, in a file of evolved networks.

    Returns:
        What it holds.

    Raises:
        UnreadableFile: missing, empty, truncated, corrupted, in an unknown format, or something else than a checkpoint; the
            message says what, and the way on.
        InterpError: a genome that draws no picture.
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
        with in_file(path):
            contents = with_genome(_reader_of(path)(path), key)
    except InterpError:
        raise
    except Exception as error:  # a parser may raise anything
        raise UnreadableFile(f"{path}: {reason(error)}") from error
    contents = replace(contents, tree=flattened(contents.tree))
    return replace(contents, notes=(*contents.notes, *_how_stored(contents.tree)))


def _reader_of(path: Path) -> Callable[[Path], Contents]:
    with path.open("rb") as file:
        head = file.read(wrong_files.HEAD)
    wrong_files.refuse(path, head)
    if path.name.endswith((INDEX_SUFFIX, BIN_INDEX_SUFFIX)):
        return lambda index: read_sharded(index, read)
    if head.startswith(b"PK\x03\x04"):
        return _read_zip
    if len(head) > 8 and head[7:9] == b"\x00{":  # a length of eight bytes, of which the last is 0, and JSON
        return read_safetensors
    if head.startswith(b"\x93NUMPY"):
        return read_npy
    if b"joblib.numpy_pickle" in head[:200]:
        return _refuse_foreign(path, head)
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return read_keras
    if path.name == METADATA:
        return read_distributed
    if is_msgpack(path, head):
        return read_msgpack
    if head[:1] == b"\x80" or TEXT_PICKLE.match(head):
        return _read_pickle
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<") or UTF_16_XML.match(head):
        return _genome_file
    if head.startswith(b"\x1f\x8b") and looks_like_pickle(path):
        return read_gzip
    return _refuse_foreign(path, head)


def _refuse_foreign(path: Path, head: bytes) -> Callable[[Path], Contents]:
    what = wrong_files.describe(path, head)
    if what is not None:
        raise UnreadableFile(f"{path} is {what}")
    raise UnreadableFile(
        f"{path} cannot be read here: it starts with the bytes {head[:8].hex(' ')}, an unknown format; known are {KNOWN}; "
        "save the model's state_dict() with torch.save"
    )


def _read_zip(path: Path) -> Contents:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
        _check_directory(path, len(archive.namelist()))
        if any(n == "data.pkl" or n.endswith("/data.pkl") for n in names):
            _refuse_programs(path, names)
            budget = Budget(path, path.stat().st_size)
            tree, stubs = torch_files.read_zip(path, archive, budget)
            return Contents(path, "torch zip", plain(tree, budget), stubs=tuple(stubs))
        if is_keras(names):
            return read_keras(path)
        if any(n.endswith(".npy") for n in names):
            return read_npz(path, archive)
    if zipped_genome(names):
        return _genome_file(path)
    _refuse_programs(path, names)
    inside = [n for n in names if Path(n).suffix in SUFFIXES]
    held = ", ".join(n[:80] for n in (inside or names)[:5]) or "nothing"
    if inside:
        raise UnreadableFile(f"{path} is a zip archive of checkpoints: unpack it, and name one of its files ({held})")
    raise UnreadableFile(
        f"{path} is a zip archive, but not from torch.save (no data.pkl), numpy (no .npy) or Picbreeder (one XML file); it holds "
        f"{held}; unpack it, and name the file of the weights"
    )


def _refuse_programs(path: Path, names: list[str]) -> None:
    """Name archives of torch that hold a program beside the weights, and how to get the weights out of them."""
    parts = {tuple(name.split("/")[1:2]) for name in names}
    if any(name.endswith("/constants.pkl") or name == "constants.pkl" for name in names) and ("code",) in parts:
        what, call = "a TorchScript archive (torch.jit.save)", "torch.jit.load(path).state_dict()"
    elif any(
        name.endswith(("archive_format", "serialized_exported_program.json", "models/model.json")) for name in names
    ):
        what, call = "an exported program (torch.export.save)", "torch.export.load(path).state_dict"
    else:
        return
    raise UnreadableFile(
        f"{path} is {what}: a program, which is not run here. If you trust its source, write its weights with "
        f"torch.save(dict({call}), 'weights.pt') in Python, and name that file"
    )


def _check_directory(path: Path, listed: int) -> None:
    """Compare the number of members stated at the archive's end with those found, which zipfile does not."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - (1 << 16) - 22))
        tail = file.read()
    stated = struct.unpack_from("<H", tail, tail.rindex(b"PK\x05\x06") + 10)[0]
    if stated not in (listed, 0xFFFF):
        raise UnreadableFile(f"{path}: corrupted: it should hold {stated} members, {listed} were found; copy it again")


def _read_pickle(path: Path) -> Contents:
    size = path.stat().st_size
    budget = Budget(path, size)
    with path.open("rb") as file:
        if torch_files.is_legacy(file.read(32)):
            tree, stubs = torch_files.read_legacy(path, file, budget)
            return Contents(path, "torch legacy", plain(tree, budget), stubs=tuple(stubs))
        file.seek(0)
        reader = torch_files.unpickler(path, Stream(file, size), budget)
        return Contents(path, "pickle", plain(reader.load(), budget), stubs=tuple(reader.stubs))


def _genome_file(path: Path) -> Contents:
    """What `with_genome` opens, which knows the genome that the user has chosen."""
    return Contents(path, PICBREEDER, {})


def _how_stored(tree: Any) -> Iterator[str]:
    """A note for every kind of tensor that was stored otherwise than it is read."""
    kinds: dict[str, list[str]] = {}
    for name, ref in named_tensors(tree, "", set()):
        if ref.stored:
            kind, _, detail = ref.stored.partition(" (")
            kinds.setdefault(kind, []).append(f"{name} ({detail}" if detail else name)
    for kind, names in kinds.items():
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        read_as = "dense" if kind.startswith("sparse") else "float32"
        yield f"stored as {kind}, read as {read_as}: {shown}"


def named_tensors(tree: Any, name: str, seen: set[int]) -> Iterator[tuple[str, TensorRef]]:
    """All tensors of a tree, each once, with a name."""
    if isinstance(tree, TensorRef):
        yield name, tree
        return
    if isinstance(tree, (Mapping, list, tuple, Stub)) and id(tree) not in seen:
        seen.add(id(tree))
        held = tree.state if isinstance(tree, Stub) else tree
        if held is not tree and not isinstance(held, Mapping):
            yield from named_tensors(held, name, seen)
        elif isinstance(held, (Mapping, list, tuple)) and (
            isinstance(held, Mapping) or set(map(type, held)) != {float}
        ):
            for key, value in held.items() if isinstance(held, Mapping) else enumerate(held):
                yield from named_tensors(value, f"{name}.{str(key)[:80]}".lstrip("."), seen)


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes, read in pieces; that of a large file once, as long as the file is the same."""
    state = path.stat()
    if state.st_size < LARGE:
        return _digest(path)
    return _known_digest(path.resolve(), state.st_ino, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=64)
def _known_digest(path: Path, *state: int) -> str:
    return _digest(path)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
