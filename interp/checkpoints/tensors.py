"""Tensors that have not been read yet."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from interp.errors import InterpError, UnreadableFile


@dataclass(frozen=True)
class TensorRef:
    """A tensor in a file: its shape and dtype are known, its bytes are read by `load`.

    ``device`` is the tag that the file carries, such as ``cuda:0``; the bytes always arrive on the CPU.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: str
    _load: Callable[[], Tensor] = field(repr=False, compare=False)

    def load(self) -> Tensor:
        """The tensor itself, possibly a view into a memory-mapped file: copy before writing."""
        return self._load()

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def numel(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.itemsize

    @classmethod
    def of(cls, tensor: Tensor, device: str = "cpu") -> TensorRef:
        """A reference to a tensor that is already in memory."""
        return cls(tuple(tensor.shape), tensor.dtype, device, lambda: tensor)


def guarded(path: Path, load: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """A loader whose failures name the file: damage may show only when the bytes are read."""

    def loader() -> Tensor:
        try:
            return load()
        except InterpError:
            raise
        except Exception as error:
            raise UnreadableFile(f"{path}: {damage(error)}") from error

    return loader


def damage(error: BaseException) -> str:
    """What a user is told of whatever a damaged file provokes in a parser."""
    return f"truncated or corrupted ({type(error).__name__}: {str(error)[:200]}); copy or save it again"
