"""References to tensors in a file, which are read when they are needed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec

import torch
from torch import Tensor

from interp.errors import InterpError, UnreadableFile

P = ParamSpec("P")


@dataclass(frozen=True)
class TensorRef:
    """A tensor in a file: its shape and dtype are known, its bytes are read by `load`.

    Attributes:
        shape: of the tensor.
        dtype: of the tensor.
        device: where it was saved from, such as ``cuda:0``; the bytes are always read to the CPU.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: str
    _load: Callable[[], Tensor] = field(repr=False, compare=False)
    _load_row: Callable[[int], Tensor] | None = field(default=None, repr=False, compare=False)

    def load(self) -> Tensor:
        """The tensor itself, possibly a view into a memory-mapped file: copy before writing."""
        return self._load()

    def row(self, index: int) -> TensorRef:
        """One entry of the first axis; only its bytes are read if the format allows it."""
        load, load_row = self._load, self._load_row
        read = (lambda: load_row(index)) if load_row is not None else (lambda: load()[index])
        return TensorRef(self.shape[1:], self.dtype, self.device, read)

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
        """Bytes of the entries, in the stored dtype."""
        return self.numel * self.dtype.itemsize

    @classmethod
    def of(cls, tensor: Tensor, device: str = "cpu") -> TensorRef:
        """A reference to a tensor that is already in memory."""
        return cls(tuple(tensor.shape), tensor.dtype, device, lambda: tensor)


def guarded(path: Path, load: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """A loader whose errors name the file: some damage shows only when the bytes are read."""

    def loader(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        try:
            return load(*args, **kwargs)
        except InterpError:
            raise
        except Exception as error:
            raise UnreadableFile(f"{path}: {damage(error)}") from error

    return loader


def damage(error: BaseException) -> str:
    """The message for any error that a parser raises on a damaged file."""
    return f"truncated or corrupted ({type(error).__name__}: {str(error)[:200]}); copy or save it again"
