"""Basis: named orthonormal directions, what probes make and circuits remove, keep and sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.errors import InterpError, UnknownName, unknown


@dataclass(frozen=True, eq=False)
class Basis:
    """``n`` orthonormal directions of a ``dim``-dimensional space, each with a name.

    Attributes:
        directions: rows of unit length, orthogonal to each other, ``[n, dim]``.
        names: one per direction.

    Raises:
        InterpError: rows that are not orthonormal, or names that do not match them.

    >>> axes = Basis.neurons(3)
    >>> axes.coordinates(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)).tolist()
    [1.0, 2.0, 3.0]
    >>> axes.remove(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)).tolist()
    [0.0, 0.0, 0.0]
    """

    directions: Float[Tensor, "n dim"]
    names: tuple[str, ...]

    def __post_init__(self) -> None:
        n, dim = self.directions.shape
        if len(self.names) != n or len(set(self.names)) != n:
            raise InterpError(f"a basis of {n} directions needs {n} different names, got {len(set(self.names))}")
        if n > dim:
            raise InterpError(f"{n} directions cannot be orthonormal in {dim} dimensions")
        gram = self.directions.double() @ self.directions.double().T
        error = (gram - torch.eye(n, dtype=gram.dtype, device=gram.device)).abs().max().item() if n else 0.0
        if not error < 1e-4:
            raise InterpError(f"directions are not orthonormal (off by {error:.2g}); Basis.spanning makes them so")

    @classmethod
    def neurons(cls, dim: int, units: Sequence[int] | None = None) -> Basis:
        """Single units of a ``dim``-dimensional space: all, or those given."""
        units = range(dim) if units is None else units
        return cls(torch.eye(dim, dtype=torch.float64)[list(units)], tuple(str(u) for u in units))

    @classmethod
    def random(cls, n: int, dim: int, seed: int) -> Basis:
        """``n`` directions drawn uniformly: what any claim about ``n`` chosen directions is compared with."""
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(dim, n, generator=generator, dtype=torch.float64)
        q, r = torch.linalg.qr(noise)
        return cls((q * r.diagonal().sign()).T, tuple(f"random {i}" for i in range(n)))

    @classmethod
    def spanning(cls, vectors: Float[Tensor, "n dim"], names: Sequence[str]) -> Basis:
        """Gram-Schmidt in the order given: direction i lies in the span of vectors 0..i.

        Raises:
            InterpError: vectors that are linearly dependent.
        """
        q, r = torch.linalg.qr(vectors.double().T)
        pivots, norms = r.diagonal().abs(), vectors.double().norm(dim=1)
        if len(pivots) < len(vectors) or bool((pivots <= 1e-10 * norms).any()):
            raise InterpError("the vectors are linearly dependent: they span fewer directions than there are names")
        return cls((q * r.diagonal().sign()).T, tuple(names))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def dim(self) -> int:
        return self.directions.shape[1]

    def select(self, names: Sequence[str]) -> Basis:
        """The directions of those names, in that order."""
        for name in names:
            if name not in self.names:
                raise UnknownName(unknown("direction", name, self.names))
        return Basis(self.directions[[self.names.index(n) for n in names]], tuple(names))

    def coordinates(self, x: Float[Tensor, "... dim"]) -> Float[Tensor, "... n"]:
        """How far ``x`` reaches along each direction."""
        return x @ self.directions.to(x).T

    def keep(self, x: Float[Tensor, "... dim"]) -> Float[Tensor, "... dim"]:
        """The part of ``x`` inside the span."""
        return self.coordinates(x) @ self.directions.to(x)

    def remove(self, x: Float[Tensor, "... dim"]) -> Float[Tensor, "... dim"]:
        """The part of ``x`` outside the span."""
        return x - self.keep(x)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Basis)
            and self.names == other.names
            and torch.equal(self.directions.cpu(), other.directions.cpu())
        )

    def __hash__(self) -> int:
        return hash((self.names, self.dim))

    def __repr__(self) -> str:
        shown = ", ".join(self.names[:6]) + (", ..." if len(self) > 6 else "")
        return f"Basis({len(self)} of {self.dim}: {shown})"
