"""Features: the representations of many networks of the same inputs, in memory or, beyond a limit, in a file."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.errors import InterpError

DEFAULT_BYTES = 1 << 30
CONSTANT = 1e-6  # standard deviation of a feature, as a share of its mean, that float32 leaves of a constant


@dataclass(frozen=True)
class _Held:
    """One representation: where its rows are, and what centres and scales them."""

    width: int
    mean: Float[Tensor, " d"]
    scale: float
    alive: Tensor | None  # which features vary; None: all
    norms: Float[Tensor, " n"]  # squared norms of the centred and scaled rows
    rows: Float[Tensor, "n d"] | None
    offset: int


class Features:
    """Representations ``[n, d]`` in float32, each with a width of its own.

    Each network is run once. What does not fit into ``max_bytes`` goes to a temporary file, since rows are read from a disk's
    cache much faster than a network computes them again; the file goes with the object, also after Ctrl-C.

    Args:
        max_bytes: of representations held in memory.
    """

    def __init__(self, max_bytes: int = DEFAULT_BYTES):
        self._left, self._held, self._end = max_bytes, list[_Held](), 0
        self._file: IO[bytes] | None = None

    def __len__(self) -> int:
        return len(self._held)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Free the memory, and the file."""
        self._held.clear()
        if self._file is not None:
            self._file.close()

    @property
    def n(self) -> int:
        """The number of inputs; 0 before the first representation."""
        return len(self._held[0].norms) if self._held else 0

    @property
    def spilled(self) -> int:
        """Bytes in the file."""
        return self._end

    @property
    def widths(self) -> list[int]:
        """The number of features of each."""
        return [one.width for one in self._held]

    def constant(self, index: int) -> bool:
        """Whether a representation is the same for all inputs, so that no similarity is defined."""
        return self._held[index].scale == 0

    def add(self, rows: Float[Tensor, "n d"]) -> int:
        """Keep a representation.

        Args:
            rows: one input per row.

        Returns:
            Its number, by which it is asked for.

        Raises:
            InterpError: another number of inputs than before, or NaN or infinity.
        """
        rows = rows.detach().cpu().float().contiguous()
        if self._held and len(rows) != self.n:
            raise InterpError(f"{len(rows)} inputs, where the representations before have {self.n}")
        if not bool(rows.isfinite().all()):
            raise InterpError(f"activations hold NaN or infinity for {int((~rows.isfinite()).any(1).sum())} inputs")
        mean = rows.mean(0, dtype=torch.float64)
        centred = rows - mean.float()
        alive = centred.norm(dim=0).double() > CONSTANT * len(rows) ** 0.5 * mean.abs()
        if not bool(alive.all()):
            centred *= alive
        squares = centred.pow_(2).sum(1, dtype=torch.float64)
        size = float(squares.mean().sqrt())
        scale = 1 / size if size > 0 else 0.0
        norms = squares * scale**2
        stays = rows.nbytes <= self._left
        offset = self._end
        if stays:
            self._left -= rows.nbytes
        else:
            self._file = self._file or tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  closed with the object
            self._file.seek(offset)
            rows.numpy().tofile(self._file)
            self._end += rows.nbytes
        kept = None if bool(alive.all()) else alive
        self._held.append(_Held(rows.shape[1], mean.float(), scale, kept, norms, rows if stays else None, offset))
        return len(self._held) - 1

    def rows(self, index: int, start: int = 0, stop: int | None = None) -> Float[Tensor, "k d"]:
        """Rows of a representation as they were given, in float32.

        Args:
            index: its number.
            start: the first row.
            stop: the row after the last; None: to the end.

        Returns:
            The rows; not to be changed.
        """
        own, stop = self._held[index], self.n if stop is None else min(stop, self.n)
        if own.rows is not None:
            return own.rows[start:stop]
        assert self._file is not None
        self._file.seek(own.offset + start * own.width * 4)
        found = np.fromfile(self._file, np.float32, (stop - start) * own.width)
        return torch.from_numpy(found).view(stop - start, own.width)

    def centred(
        self, index: int, start: int, stop: int, order: Int[Tensor, " n"] | None = None
    ) -> Float[Tensor, "k d"]:
        """Rows with mean 0 over all inputs and a mean squared norm of 1; features that do not vary are 0.

        Args:
            index: of the representation.
            start: the first row.
            stop: the row after the last.
            order: a permutation of the inputs, of which rows ``start`` to ``stop`` are taken.

        Returns:
            The rows.
        """
        own = self._held[index]
        rows = self.rows(index, start, stop) if order is None else self.rows(index)[order[start:stop]]
        found = (rows - own.mean).mul_(own.scale)
        return found if own.alive is None else found.mul_(own.alive)

    def norms(self, index: int) -> Float[Tensor, " n"]:
        """Squared norms of all centred rows, in float64, ``[n]``."""
        return self._held[index].norms
