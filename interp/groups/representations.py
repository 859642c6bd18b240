"""The irreducible representations of a finite group as parts of the functions on it."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.errors import UnknownName, unknown
from interp.groups.characters import irreducible_characters
from interp.groups.classes import Classes, classes_of
from interp.groups.matrices import orthogonal_matrices
from interp.groups.names import names_of

KEPT = 8  # groups whose representations stay in memory


@dataclass(frozen=True, eq=False)
class Representations:
    """The irreducible representations of a finite group, and the parts of functions on the group that belong to them.

    A function on the group is a sum of its parts, one per representation (the isotypic parts of the regular representation).
    A pair of complex-conjugate representations is one real part: its character is the sum of both, its dimension that of
    both together.

    Attributes:
        table: row a, column b holds a * b.
        names: ``trivial`` first; see `interp.groups.names`.
        dims: the degree of each; of a complex-conjugate pair, both together.
        kinds: ``real``, ``complex`` (a conjugate pair) or ``quaternionic`` (a real character, but no real
            matrices of its degree).
        characters: real characters, a row per representation.

    >>> from interp.tasks.named_groups import named_table
    >>> representations_of(named_table("S_3")).names
    ('trivial', 'sign', 'standard')
    """

    table: Int[Tensor, "n n"]
    names: tuple[str, ...]
    dims: tuple[int, ...]
    kinds: tuple[str, ...]
    characters: Float[Tensor, "r n"]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def order(self) -> int:
        """Number of elements of the group."""
        return len(self.table)

    @property
    def degrees(self) -> tuple[int, ...]:
        """The degree of each as a complex representation: of a conjugate pair, of one of the two."""
        return tuple(d // 2 if kind == "complex" else d for d, kind in zip(self.dims, self.kinds, strict=True))

    @property
    def ranks(self) -> tuple[int, ...]:
        """Dimensions of each part of the functions on the group: the squared degree; of a pair twice that of one."""
        return tuple(
            d * d * (1 + (kind == "complex")) for d, kind in zip(self.degrees, self.kinds, strict=True)
        )  # fmt: skip

    @cached_property
    def inverse(self) -> Int[Tensor, " n"]:
        """The inverse of every element."""
        return torch.from_numpy(self._classes.inverse)

    @cached_property
    def quotients(self) -> Int[Tensor, "n n"]:
        """Row x, column y holds x^-1 * y."""
        return self.table[self.inverse]

    @property
    def projections(self) -> Float[Tensor, "r n n"]:
        """The projections on all parts, r n^2 numbers; `projection` makes one of them.

        Returns:
            Symmetric; they sum to the identity.
        """
        return torch.stack([self.projection([name]) for name in self.names])

    def projection(self, names: Sequence[str]) -> Float[Tensor, "n n"]:
        """The orthogonal projection on the parts of some representations together.

        ``P_r[x, y] = d_r / |G| chi_r(x^-1 y)``, with the degree d_r of one of a conjugate pair.

        Args:
            names: of representations.

        Returns:
            The projection of functions on the group; the same for left and right translations.

        Raises:
            UnknownName: no representation has this name; the nearest are named.
        """
        return self.kernel(names)[self.quotients]

    def kernel(self, names: Sequence[str]) -> Float[Tensor, " n"]:
        """``sum over r of d_r / |G| chi_r``: the function whose convolution is `projection`."""
        rows = self.indices(names)
        weights = torch.tensor([self.degrees[r] for r in rows], dtype=torch.float64) / self.order
        return weights @ self.characters[rows]

    def indices(self, names: Sequence[str]) -> list[int]:
        """Rows of some representations, without repetitions.

        Args:
            names: of representations; a single one may stand by itself.

        Returns:
            Rows, in the order of ``names``.

        Raises:
            UnknownName: no representation has this name; the nearest are named.
        """
        names = [names] if isinstance(names, str) else list(dict.fromkeys(names))
        for name in names:
            if name not in self.names:
                raise UnknownName(unknown("representation", str(name), self.names))
        return [self.names.index(name) for name in names]

    def power(self, values: Float[Tensor, "n ..."]) -> Float[Tensor, " r"]:
        """Squared norm of the part of each representation, of functions on the group.

        Args:
            values: a value per element (first axis); further axes are summed over.

        Returns:
            By representation, in float64; all together are the squared norm of ``values``.

        >>> from interp.tasks.named_groups import named_table
        >>> every = representations_of(named_table("S_3"))
        >>> every.power(every.characters[2]).round(decimals=9).tolist()
        [0.0, 0.0, 6.0]
        """
        flat = values.double().reshape(self.order, -1)
        return self._weighted(self._by_quotient((flat @ flat.T).flatten()[:, None]))[:, 0]

    def powers(self, values: Float[Tensor, "n m"]) -> Float[Tensor, "r m"]:
        """`power` of each column by itself."""
        flat = values.double().T  # one column at a time: n^2 memory
        return self._weighted(torch.cat([self._by_quotient(torch.outer(v, v).flatten()[:, None]) for v in flat], 1))

    def _by_quotient(self, products: Float[Tensor, "pairs m"]) -> Float[Tensor, "n m"]:
        """Sums over all pairs with one x^-1 * y."""
        sums = torch.zeros(self.order, products.shape[1], dtype=products.dtype, device=products.device)
        return sums.index_add_(0, self.quotients.flatten().to(products.device), products)

    def _weighted(self, lags: Float[Tensor, "n m"]) -> Float[Tensor, "r m"]:
        weights = torch.tensor(self.degrees, dtype=lags.dtype, device=lags.device) / self.order
        return (weights[:, None] * (self.characters.to(lags.device) @ lags)).clamp_min(0)

    def matrices(self, name: str) -> Float[Tensor, "n d d"]:
        """Real orthogonal matrices of a representation: ``rho(a) rho(b) = rho(a * b)``.

        Args:
            name: of the representation.

        Returns:
            A matrix per element; d is the representation's dimension, twice that for a quaternionic one.

        Raises:
            UnknownName: no representation has this name; the nearest are named.
        """
        (row,) = self.indices([name])
        size = self.dims[row] * (1 + (self.kinds[row] == "quaternionic"))
        return torch.from_numpy(orthogonal_matrices(self._classes, self.projection([name]).numpy(), size))

    @cached_property
    def _classes(self) -> Classes:
        return classes_of(self.table.numpy())


_known: OrderedDict[bytes, Representations] = OrderedDict()


def representations_of(table: Any) -> Representations:
    """The irreducible representations of a group; kept for the next call.

    Computed from the table alone (`interp.groups.characters`), and refused where the orthogonality relations fail.

    Args:
        table: row a, column b holds a * b: a tensor, an array or nested sequences.

    Returns:
        The representations, ``trivial`` first.

    Raises:
        InterpError: the table is not that of a group.
    """
    array = np.ascontiguousarray(table.cpu().numpy() if isinstance(table, Tensor) else np.asarray(table))
    key = hashlib.sha256(repr((array.shape, array.dtype.str)).encode() + array.tobytes()).digest()
    if key not in _known:
        _known[key] = _computed(classes_of(array))
    _known.move_to_end(key)
    if len(_known) > KEPT:
        _known.popitem(last=False)
    return _known[key]


def _computed(classes: Classes) -> Representations:
    complex_rows = irreducible_characters(classes)
    opposite = classes.of[classes.inverse[classes.first]]
    complex_rows = (complex_rows + complex_rows[:, opposite].conj()) / 2  # chi(g^-1) is conj chi(g), to the last bit
    square = classes.of[classes.table[classes.first, classes.first]]
    indicator = (complex_rows[:, square] @ classes.sizes).real / len(classes.table)  # Frobenius and Schur: 1, 0 or -1
    rows, dims, kinds = [], [], []
    for row, sort in zip(complex_rows, indicator.round().astype(int), strict=True):
        degree = round(row[classes.of[classes.neutral]].real)
        if sort == 0 and _is_second(row):
            continue
        rows.append(row.real * (2 if sort == 0 else 1))
        dims.append(degree * (2 if sort == 0 else 1))
        kinds.append({1: "real", 0: "complex", -1: "quaternionic"}[int(sort)])
    characters = np.stack(rows)[:, classes.of]
    named = names_of(characters, dims, classes)
    order = list(named.values())
    return Representations(
        torch.from_numpy(classes.table), tuple(named), tuple(dims[r] for r in order), tuple(kinds[r] for r in order),
        torch.from_numpy(characters[order]),
    )  # fmt: skip


def _is_second(row: np.ndarray) -> bool:
    """Whether a complex character is the second of its conjugate pair: its first imaginary part that is not 0 is negative."""
    imaginary = np.imag(row)[np.abs(np.imag(row)) > 1e-6]
    return bool(imaginary[0] < 0)
