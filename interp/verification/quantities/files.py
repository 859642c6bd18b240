"""Quantities of files themselves: format, what a zip or a pickle names, IDX files of images and labels."""

from __future__ import annotations

import pickle
import pickletools
import warnings
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np
import torch

from interp.errors import InterpError, require_range
from interp.tasks.idx import read_idx
from interp.verification.material import Material
from interp.verification.quantity import quantity

MOST_PICKLE = 64 << 20


@quantity("file.format", summary="the format of a checkpoint, such as torch zip", order=90, reads="contents")
def format_(material: Material) -> str:
    """As ``interp inspect`` says it."""
    return material.contents.format


@quantity("file.count", summary="how many files match a glob", order=91, reads="file")
def count(material: Material) -> int:
    """Files and folders whose paths match ``file``, such as ``checkpoints/*.safetensors``."""
    return len(material.paths)


@quantity("file.weights_only", summary="whether torch.load reads it with weights_only=True", order=92, reads="contents")
def weights_only(material: Material) -> bool:
    """By torch itself, on the CPU, with its unpickler that runs no code."""
    path = material.one_file
    _ = material.contents  # refuses what is damaged or of another format
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, ValueError, EOFError):
        return False
    return True


@quantity("file.members", summary="names of the files in a zip archive", order=93, reads="file")
def members(material: Material) -> list[str]:
    """In the archive's order."""
    return [info.filename for info in _archive(material)]


@quantity(
    "file.years", summary="the years in which the files of a zip archive were last changed", order=94, reads="file"
)
def years(material: Material) -> list[int]:
    """Of every member, as the archive has it."""
    return [info.date_time[0] for info in _archive(material)]


def _archive(material: Material) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(material.one_file) as archive:
            return archive.infolist()
    except (zipfile.BadZipFile, OSError):
        raise InterpError(f"{material.file} is not a zip archive") from None


@quantity("file.pickled_names", summary="classes and functions that a pickle names", order=95, reads="file")
def pickled_names(material: Material) -> list[str]:
    """Dotted names in order, each once; the pickle, of a torch zip its ``data.pkl``, is taken apart, not loaded."""
    try:
        return list(dict.fromkeys(_globals(_pickle(material))))
    except ValueError as error:
        raise InterpError(f"{material.file} is not a pickle: {str(error)[:100]}") from None


def _pickle(material: Material) -> bytes:
    """The file, or the one pickle in a torch zip."""
    path, held = material.one_file, ""
    if zipfile.is_zipfile(path):
        held = next((info.filename for info in _archive(material) if info.filename.endswith("data.pkl")), "")
        if not held:
            raise InterpError(f"{material.file} is a zip without a data.pkl")
    try:
        with zipfile.ZipFile(path).open(held) if held else path.open("rb") as stream:
            data = stream.read(MOST_PICKLE + 1)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError) as error:
        raise InterpError(f"{material.file} cannot be unpacked: {str(error)[:100]}") from None
    if len(data) > MOST_PICKLE:
        raise InterpError(f"the pickle of {material.file} has more than {MOST_PICKLE:,} bytes")
    return data


def _globals(data: bytes) -> Iterator[str]:
    """What the opcodes of a pickle name, module and name joined by a dot."""
    pushed: list[str | None] = [None, None]  # the last two values, as far as they are texts
    memo: list[str | None] = []
    for operation, argument, _ in pickletools.genops(data):
        if operation.name == "GLOBAL":
            yield str(argument).replace(" ", ".")
        elif operation.name == "STACK_GLOBAL":
            yield ".".join(text or "?" for text in pushed)
        if operation.name == "MEMOIZE":
            memo.append(pushed[1])
        elif operation.name in ("BINGET", "LONG_BINGET"):
            pushed = [pushed[1], memo[argument] if isinstance(argument, int) and argument < len(memo) else None]
        elif operation.name not in ("BINPUT", "LONG_BINPUT", "PUT"):
            pushed = [pushed[1], argument if isinstance(argument, str) else None]


def _idx(material: Material) -> np.ndarray:
    return material.share("idx", lambda: read_idx(material.one_file))


@quantity("idx.shape", summary="shape of an IDX file (MNIST), gzipped or not", order=96, reads="file")
def idx_shape(material: Material) -> list[int]:
    """Examples, and rows and columns of images."""
    return list(_idx(material).shape)


@quantity("idx.count", summary="how many bytes of an IDX file have a value: labels of a class", order=97, reads="file")
def idx_count(material: Material, *, value: int = 0) -> int:
    """Number of entries that equal ``value``, 0 to 255."""
    require_range("value", value, 0, 255)
    return int((_idx(material) == value).sum())


@quantity("idx.values", summary="the different values in an IDX file, sorted", order=98, reads="file")
def idx_values(material: Material) -> list[int]:
    """Each once."""
    return np.unique(_idx(material)).tolist()
