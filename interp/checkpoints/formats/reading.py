"""Reading a checkpoint file of any known format."""

from __future__ import annotations

import hashlib
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from interp.checkpoints.formats import torch_files
from interp.checkpoints.formats.contents import Contents
from interp.checkpoints.formats.genomes import PICBREEDER, with_genome, zipped_genome
from interp.checkpoints.formats.gzip_files import read_gzip
from interp.checkpoints.formats.npz_files import read_npz
from interp.checkpoints.formats.pickled_values import plain
from interp.checkpoints.formats.restricted_pickle import RestrictedUnpickler
from interp.checkpoints.formats.safetensors_files import INDEX_SUFFIX, read_safetensors, read_sharded
from interp.checkpoints.formats.tensors import damage
from interp.errors import InterpError, UnreadableFile, in_file

SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".safetensors", ".npz", ".xml")


def read(path: Path, key: str | None = None) -> Contents:
    """Open a checkpoint file of any known format; tensors stay on disk until they are loaded.

    Args:
        path: of the file.
        key: which genome of several, in a file of evolved networks.

    Returns:
        What it holds.

    Raises:
        UnreadableFile: missing, empty, truncated, corrupted, or in an unknown format.
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
            return with_genome(_reader_of(path)(path), key)
    except InterpError:
        raise
    except Exception as error:  # a parser may raise anything on a damaged file
        raise UnreadableFile(f"{path}: {damage(error)}") from error


def _reader_of(path: Path) -> Callable[[Path], Contents]:
    with path.open("rb") as file:
        head = file.read(16)
    if path.name.endswith(INDEX_SUFFIX):
        return read_sharded
    if head.startswith(b"PK\x03\x04"):
        return _read_zip
    if len(head) > 8 and head[8:9] == b"{":
        return read_safetensors
    if head[:1] == b"\x80":
        return _read_pickle
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return _genome_file
    if head.startswith(b"\x1f\x8b"):
        return read_gzip
    if path.suffix in SUFFIXES:
        raise UnreadableFile(
            f"{path}: truncated or corrupted: it ends in {path.suffix}, but starts with the bytes {head[:8].hex(' ')}, "
            "which is neither a torch file, a safetensors file, an npz nor XML; copy or save it again"
        )
    raise UnreadableFile(
        f"{path} has an unknown format; known are torch.save files, safetensors (single or sharded with an index), npz, and "
        "genomes (Picbreeder's XML, zipped or not; pickles of neat-python)"
    )


def _read_zip(path: Path) -> Contents:
    archive = zipfile.ZipFile(path)
    names = [name for name in archive.namelist() if not name.endswith("/")]
    _check_directory(path, len(archive.namelist()))
    if any(n == "data.pkl" or n.endswith("/data.pkl") for n in names):
        tree, stubs = torch_files.read_zip(path, archive)
        return Contents(path, "torch zip", plain(tree), stubs=tuple(stubs))
    if any(n.endswith(".npy") for n in names):
        return read_npz(path, archive)
    if zipped_genome(names):
        return _genome_file(path)
    raise UnreadableFile(
        f"{path} is a zip archive, but not from torch.save (no data.pkl), numpy (no .npy) or Picbreeder (one XML file); it holds "
        + ", ".join(names[:5])
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
    with path.open("rb") as stream:
        if torch_files.is_legacy(stream):
            tree, stubs = torch_files.read_legacy(path, stream)
            return Contents(path, "torch legacy", plain(tree), stubs=tuple(stubs))
        reader = RestrictedUnpickler(stream)
        try:
            return Contents(path, "pickle", plain(reader.load()), stubs=tuple(reader.stubs))
        except (pickle.UnpicklingError, EOFError) as error:
            raise UnreadableFile(f"{path}: a truncated or corrupted pickle ({error}); copy it again") from error


def _genome_file(path: Path) -> Contents:
    """What `with_genome` opens, which knows the genome that the user has chosen."""
    return Contents(path, PICBREEDER, {})


def sha256(path: Path) -> str:
    """Hex digest of a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
