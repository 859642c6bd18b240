"""Basis: named orthonormal directions, which probes compute and circuits remove, keep and sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from interp.errors import InterpError, UnknownName, require_range, unknown
from probes._tensors import as_tensor


@dataclass(frozen=True, eq=False)
class Basis:
    """``n`` orthonormal directions of a ``dim``-dimensional space, each with a name.

    Attributes:
        directions: rows of unit length, orthogonal to each other, ``[n, dim]``; arrays and lists become tensors.
        names: one per direction; ``0``, ``1``, ... if none are given.

    Raises:
        InterpError: rows that are not orthonormal, or names that do not match them.

    >>> axes = Basis.neurons(3)
    >>> axes.coordinates(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)).tolist()
    [1.0, 2.0, 3.0]
    >>> axes.remove(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)).tolist()
    [0.0, 0.0, 0.0]
    """

    directions: Float[Tensor, "n dim"]
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "directions", as_tensor(self.directions, "directions"))
        if isinstance(self.names, str):
            raise InterpError(f"names are a tuple with one per direction, got the string {self.names!r}")
        object.__setattr__(self, "names", tuple(self.names))
        if self.directions.ndim != 2:
            raise InterpError(f"directions need the shape [n, dim], got {list(self.directions.shape)}")
        n, dim = self.directions.shape
        if not self.names:
            object.__setattr__(self, "names", tuple(map(str, range(n))))
        if len(self.names) != n or len(set(self.names)) != n:
            raise InterpError(f"a basis of {n} directions needs {n} different names, got {len(set(self.names))}")
        if n > dim:
            raise InterpError(f"{n} directions cannot be orthonormal in {dim} dimensions")
        gram = self.directions.double() @ self.directions.double().T
        error = (gram - torch.eye(n, dtype=gram.dtype, device=gram.device)).abs().max().item() if n else 0.0
        if not error < 1e-4:
            raise InterpError(
                f"directions are not orthonormal (off by {error:.2g}); torch.linalg.qr(directions.T).Q.T spans the same space "
                "and is"
            )

    @classmethod
    def neurons(cls, dim: int, units: Sequence[int] | None = None) -> Basis:
        """The axes of single units.

        Args:
            dim: dimensions of the space.
            units: which units; all by default.

        Returns:
            Rows of the identity matrix, named by unit.

        Raises:
            InterpError: a unit that the space does not have, or one given twice.
        """
        units = list(range(dim) if units is None else units)
        if outside := [u for u in units if not 0 <= u < dim]:
            raise InterpError(f"there is no unit {outside[0]} among {dim}; they are counted from 0")
        return cls(torch.eye(dim, dtype=torch.float64)[units], tuple(str(u) for u in units))

    @classmethod
    def random(cls, n: int, dim: int, seed: int) -> Basis:
        """Uniformly random orthonormal directions: the control for any claim about ``n`` chosen directions.

        Args:
            n: number of directions, at most ``dim``.
            dim: dimensions of the space.
            seed: of the draw.

        Returns:
            Directions in float64, named ``random 0``, ``random 1``, ...

        Raises:
            InterpError: more directions than dimensions.
        """
        require_range("the number of directions", n, 0, dim)
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(dim, n, generator=generator, dtype=torch.float64)
        q, r = torch.linalg.qr(noise)
        return cls((q * r.diagonal().sign()).T, tuple(f"random {i}" for i in range(n)))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def dim(self) -> int:
        """Dimensions of the space that the directions lie in."""
        return self.directions.shape[1]

    def select(self, names: Sequence[str]) -> Basis:
        """The directions of these names, in their order.

        Args:
            names: of directions of this basis.

        Returns:
            A basis of these directions.

        Raises:
            UnknownName: a name that no direction has; the nearest are named.
        """
        for name in names:
            if name not in self.names:
                raise UnknownName(unknown("direction", name, self.names))
        return Basis(self.directions[[self.names.index(n) for n in names]], tuple(names))

    def coordinates(self, x: Float[Tensor, "... dim"]) -> Float[Tensor, "... n"]:
        """Coordinates of ``x`` along the directions; whole numbers in float64."""
        x = self._points(x)
        return x @ self.directions.to(x).T

    def keep(self, x: Float[Tensor, "... dim"]) -> Float[Tensor, "... dim"]:
        """Projection of ``x`` onto the span of the directions."""
        x = self._points(x)
        return self.coordinates(x) @ self.directions.to(x)

    def remove(self, x: Float[Tensor, "... dim"]) -> Float[Tensor, "... dim"]:
        """Projection of ``x`` onto the orthogonal complement of the span."""
        x = self._points(x)
        return x - self.keep(x)

    def _points(self, x: Tensor) -> Tensor:
        x = as_tensor(x, "x")
        if not x.ndim or x.shape[-1] != self.dim:
            raise InterpError(f"directions of {self.dim} dimensions need points [..., {self.dim}], got {list(x.shape)}")
        if x.is_floating_point() or x.is_complex():
            return x
        return x.double()  # directions cast to whole numbers are zeros

    @override
    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Basis)
            and self.names == other.names
            and torch.equal(self.directions.cpu(), other.directions.cpu())
        )

    @override
    def __hash__(self) -> int:
        return hash((self.names, self.dim))

    @override
    def __repr__(self) -> str:
        shown = ", ".join(self.names[:6]) + (", ..." if len(self) > 6 else "")
        return f"Basis({len(self)} of {self.dim}: {shown})"


def as_basis(given: Any) -> Basis:
    """A Basis as it is, the basis of a `probes.spectra.Reduction`, or orthonormal rows as a Basis with numbered names.

    Args:
        given: a Basis, what `probes.spectra.pca` or `probes.spectra.svd` returns, or a tensor or array ``[n, dim]``.

    Returns:
        The basis.

    Raises:
        InterpError: anything else, or rows that are not orthonormal.

    >>> as_basis(torch.eye(3)[:2])
    Basis(2 of 3: 0, 1)
    """
    if isinstance(given, Basis):
        return given
    if not isinstance(given, type) and isinstance(own := getattr(given, "basis", None), Basis):
        return own
    if isinstance(given, (Tensor, np.ndarray, list, tuple)) and len(given):
        return Basis(as_tensor(given, "directions"))
    kind = f"the class {given.__name__}" if isinstance(given, type) else f"a {type(given).__name__}"
    raise InterpError(
        f"a Basis is needed, got {kind}: probes.spectra.pca(activations) and probes.fourier.basis(p) make one, and "
        "probes.basis.Basis(directions, names) takes orthonormal rows [n, dim]"
    )
