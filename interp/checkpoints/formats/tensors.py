"""References to tensors in a file, which are read when they are needed."""

from __future__ import annotations

import math
import pickle
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec

import torch
from torch import Tensor

from interp.errors import InterpError, UnreadableFile

P = ParamSpec("P")
# types of eight bits that torch stores and hardly computes with: they are read as float32
FLOAT8 = tuple(d for n, d in vars(torch).items() if n.startswith("float8_") and isinstance(d, torch.dtype))


@dataclass(frozen=True)
class TensorRef:
    """A tensor in a file: its shape and dtype are known, its bytes are read by `load`.

    Attributes:
        shape: of the tensor.
        dtype: of the tensor.
        device: where it was saved from, such as ``cuda:0``; the bytes are always read to the CPU.
        stored: how the file stores it, where that is not how it is read: ``float8_e4m3fn``, ``sparse_coo (13 of 128 entries)``.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: str
    _load: Callable[[], Tensor] = field(repr=False, compare=False)
    _load_row: Callable[[int], Tensor] | None = field(default=None, repr=False, compare=False)
    stored: str = ""

    def load(self) -> Tensor:
        """The tensor itself, possibly a view into a memory-mapped file: copy before writing."""
        return self._load()

    def row(self, index: int) -> TensorRef:
        """One entry of the first axis; only its bytes are read if the format allows it."""
        read = partial(_entry, self._load, index) if self._load_row is None else partial(self._load_row, index)
        return TensorRef(self.shape[1:], self.dtype, self.device, read, stored=self.stored)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def numel(self) -> int:
        """Number of entries."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the entries, in the dtype that they are read as."""
        return self.numel * self.dtype.itemsize

    @classmethod
    def of(cls, tensor: Tensor, device: str = "cpu") -> TensorRef:
        """A reference to a tensor that is already in memory."""
        return cls(tuple(tensor.shape), tensor.dtype, device, lambda: tensor)


def readable(ref: TensorRef) -> TensorRef:
    """A tensor of eight-bit floats as float32; any other as it is.

    Args:
        ref: to a tensor of any dtype.

    Returns:
        A reference whose `TensorRef.stored` says what the file holds.
    """
    if ref.dtype not in FLOAT8:
        return ref
    row = ref._load_row
    return TensorRef(
        ref.shape,
        torch.float32,
        ref.device,
        lambda: ref._load().to(torch.float32),
        None if row is None else (lambda index: row(index).to(torch.float32)),
        stored=str(ref.dtype).removeprefix("torch."),
    )


def _entry(load: Callable[[], Tensor], index: int) -> Tensor:
    return load()[index]


def guarded(path: Path, load: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """A loader whose errors name the file: some damage shows only when the bytes are read."""
    return partial(_guarded, path, load)  # no closure, so that what is read lazily can be pickled


def _guarded(path: Path, load: Callable[..., Tensor], *args: Any, **kwargs: Any) -> Tensor:
    try:
        return load(*args, **kwargs)
    except InterpError:
        raise
    except Exception as error:
        raise UnreadableFile(f"{path}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """Why a file could not be read: damaged only if the container's own checks say so.

    Args:
        error: that a parser raised.

    Returns:
        The reason and what to do, without the file's name.
    """
    said = " ".join(str(error).split())[:200]
    if isinstance(error, (zipfile.BadZipFile, EOFError, zlib.error)):
        return f"truncated or corrupted ({said or 'it ends early'}); copy it again"
    if isinstance(error, pickle.UnpicklingError):
        return (
            f"cannot be read here: {said}; save the model's state_dict() with torch.save or safetensors, and give that"
        )
    if isinstance(error, RecursionError):
        return "cannot be read here: its values are nested too deeply; save the model's state_dict() alone"
    if isinstance(error, MemoryError):
        return "cannot be read here: it takes more memory than there is; use a machine with more"
    if isinstance(error, OSError):
        return f"cannot be read here: {error.strerror or said}; check the path and its permissions"
    return f"cannot be read here ({type(error).__name__}: {said}); save the model's state_dict() with torch.save or safetensors"
