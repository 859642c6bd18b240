"""Multiplication tables of groups by their names: cyclic, symmetric, alternating, dihedral, and their products."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from interp.errors import InterpError

LIMIT = 720  # S_6; the table of a group of order n has n^2 pairs
FORMS = "C_6, S_3, A_4, D_4, products such as C_2xC_4"


def cyclic(n: int) -> np.ndarray:
    """Z_n: element k is k, and ``a * b = a + b mod n``."""
    a = np.arange(n)
    return (a[:, None] + a) % n


def dihedral(n: int) -> np.ndarray:
    """The 2 n symmetries of the regular n-gon: element k < n is the rotation r^k, n + k the reflection r^k s.

    Args:
        n: corners.

    Returns:
        The table: row a, column b holds a * b.

    >>> int(dihedral(3)[3, 1])  # s r = r^-1 s
    5
    """
    a = np.arange(2 * n)
    rotation, mirrored = a % n, a // n
    turns = (rotation[:, None] + np.where(mirrored[:, None], -rotation, rotation)) % n
    return turns + n * (mirrored[:, None] ^ mirrored)


def symmetric(n: int) -> np.ndarray:
    """All permutations of range(n) in lexicographic order, the identity first; a * b is first b, then a.

    Args:
        n: points.

    Returns:
        The table: row a, column b holds a * b.

    >>> int(symmetric(3)[1, 2])  # (0, 2, 1) after (1, 0, 2) is (2, 0, 1)
    4
    """
    return _composition(list(itertools.permutations(range(n))))


def alternating(n: int) -> np.ndarray:
    """The even permutations of range(n) in lexicographic order, composed as in `symmetric`."""
    return _composition([p for p in itertools.permutations(range(n)) if _is_even(p)])


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The direct product: element (a, b) is ``a * len(right) + b``.

    Args:
        left: table of the first group.
        right: table of the second group.

    Returns:
        Its table.

    >>> product(cyclic(2), cyclic(2))[3].tolist()  # (1, 1) with (0, 0), (0, 1), (1, 0), (1, 1)
    [3, 2, 1, 0]
    """
    n, m = len(left), len(right)
    return (left[:, None, :, None] * m + right[None, :, None, :]).reshape(n * m, n * m)


FAMILIES: dict[str, tuple[Callable[[int], np.ndarray], Callable[[int], int]]] = {
    "C": (cyclic, lambda n: n),
    "S": (symmetric, math.factorial),
    "A": (alternating, lambda n: max(1, math.factorial(n) // 2)),
    "D": (dihedral, lambda n: 2 * n),
}


def group_name(text: str) -> str | None:
    """The canonical form of a group's name. Z_n is C_n; case and ``_`` do not matter.

    Args:
        text: what was typed.

    Returns:
        The name, or None if the text is not one.

    >>> group_name("s3xz2"), group_name("table.csv")
    ('S_3xC_2', None)
    """
    factors = [re.fullmatch(r"([CZSAD])_?([0-9]{1,9})", part) for part in re.split("[X×]", text.strip().upper())]
    if None in factors:
        return None
    return "x".join(f"{f[1].replace('Z', 'C')}_{int(f[2])}" for f in factors if f)


@lru_cache(maxsize=8)
def named_table(name: str) -> np.ndarray:
    """The table of a group by its canonical name.

    Args:
        name: as from `group_name`.

    Returns:
        The table: row a, column b holds a * b.

    Raises:
        InterpError: an order below 2 or above `LIMIT`.

    >>> len(named_table("S_3xC_2"))
    12
    """
    factors = [(factor[0], int(factor[2:])) for factor in name.split("x")]
    # the factorial of a large number is slow: beyond 10 every family but C and D is too large anyway
    orders = [FAMILIES[kind][1](n if kind in "CD" else min(n, 10)) for kind, n in factors]
    if 0 in (n for _, n in factors) or not 2 <= math.prod(orders) <= LIMIT:
        raise InterpError(f"group: {name} does not have an order between 2 and {LIMIT} (D_n has 2 n elements)")
    table = np.zeros((1, 1), dtype=np.int64)
    for kind, n in factors:
        table = product(table, FAMILIES[kind][0](n))
    table.flags.writeable = False
    return table


def _composition(elements: list[tuple[int, ...]]) -> np.ndarray:
    points = np.array(elements)
    n = points.shape[1]
    codes = n ** np.arange(n)[::-1]  # ascending, since the elements are in lexicographic order
    return np.searchsorted(points @ codes, points[:, points] @ codes)


def _is_even(permutation: tuple[int, ...]) -> bool:
    return sum(a > b for a, b in itertools.combinations(permutation, 2)) % 2 == 0
