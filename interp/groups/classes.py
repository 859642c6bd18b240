"""Conjugacy classes, inverses and powers of a finite group."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from interp.errors import InterpError

MOST = 5040  # elements; the table of a larger group has more than 25 million entries


@dataclass(frozen=True, eq=False)
class Classes:
    """A finite group's conjugacy classes.

    Attributes:
        table: row a, column b holds a * b.
        neutral: the neutral element.
        inverse: of every element.
        of: the class of every element; classes are numbered by their first element.
        first: the first element of every class.
        sizes: number of elements of every class.
    """

    table: np.ndarray
    neutral: int
    inverse: np.ndarray
    of: np.ndarray
    first: np.ndarray
    sizes: np.ndarray

    @cached_property
    def orders(self) -> np.ndarray:
        """The order of every element."""
        orders = np.zeros(len(self.table), dtype=np.int64)
        power = np.arange(len(self.table))
        for k in range(1, len(self.table) + 1):
            orders[(power == self.neutral) & (orders == 0)] = k
            if orders.all():
                break
            power = self.table[power, np.arange(len(self.table))]
        return orders

    def powers(self, element: int) -> np.ndarray:
        """``1, g, g^2, ...``: as many as the order of the element."""
        found = [self.neutral]
        for _ in range(int(self.orders[element]) - 1):
            found.append(int(self.table[found[-1], element]))
        return np.array(found)


def classes_of(table: np.ndarray) -> Classes:
    """The conjugacy classes of a group.

    Args:
        table: row a, column b holds a * b.

    Returns:
        The classes.

    Raises:
        InterpError: the table is not square, not a Latin square or without a neutral element, or it is too large.

    >>> a = np.arange(4)
    >>> classes_of((a[:, None] + a) % 4).sizes.tolist()
    [1, 1, 1, 1]
    """
    table = _checked(table)
    n, elements = len(table), np.arange(len(table))
    neutral = np.flatnonzero((table == elements).all(1))
    if not len(neutral):
        raise InterpError("group: the table has no neutral element, so this is not a group")
    rows, columns = np.nonzero(table == neutral[0])
    inverse = np.empty(n, dtype=np.int64)
    inverse[rows] = columns
    label = np.full(n, n)
    for g in range(n):  # one conjugation at a time: n memory
        np.minimum(label, table[table[g], inverse[g]], out=label)
    first, of, sizes = np.unique(label, return_inverse=True, return_counts=True)
    return Classes(table, int(neutral[0]), inverse, of, first, sizes)


def _checked(table: np.ndarray) -> np.ndarray:
    table = np.asarray(table)
    n = len(table) if table.ndim else 0
    if table.shape != (n, n) or n < 1 or table.dtype.kind not in "iu":
        raise InterpError(
            f"group: the table must be a square of whole numbers, got shape {list(table.shape)} of {table.dtype}"
        )
    if n > MOST:
        raise InterpError(f"group: representations are computed up to order {MOST}, the table has {n} elements")
    elements = np.arange(n)
    if not ((np.sort(table, 0) == elements[:, None]).all() and (np.sort(table, 1) == elements).all()):
        raise InterpError("group: a row or column of the table repeats an element, so this is not a group")
    return table.astype(np.int64)
