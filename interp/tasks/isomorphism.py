"""Isomorphisms of finite groups given by their tables: which element of one is which of the other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

MOST = 200_000  # images of generators to try; beyond that the answer is "none found"


def isomorphism(one: np.ndarray, other: np.ndarray) -> np.ndarray | None:
    """A bijection ``f`` with ``f(a * b) = f(a) * f(b)``.

    Args:
        one: a group's table ``[n, n]``, row a, column b holds a * b.
        other: another group's.

    Returns:
        ``f [n]``; None if the groups are not isomorphic, or if none was found among `MOST` images of generators.

    >>> table = (np.arange(4)[:, None] + np.arange(4)) % 4
    >>> order = np.array([2, 0, 3, 1])  # another order of the elements
    >>> place = np.argsort(order)
    >>> f = isomorphism(place[table[np.ix_(order, order)]], table)
    >>> sorted(f.tolist()), int(f[1])
    ([0, 1, 2, 3], 0)
    """
    if one.shape != other.shape:
        return None
    orders, targets = _orders(one), _orders(other)
    if sorted(orders) != sorted(targets):
        return None
    generators = _generators(one, orders)
    images = [np.flatnonzero(targets == orders[g]).tolist() for g in generators]
    for tried, chosen in enumerate(product(*images)):
        if tried >= MOST:
            return None
        found = _extended(one, other, generators, chosen)
        if found is not None:
            return found
    return None


def _neutral(table: np.ndarray) -> int:
    return int(np.flatnonzero((table == np.arange(len(table))).all(1))[0])


def _orders(table: np.ndarray) -> np.ndarray:
    """The order of every element."""
    neutral, n = _neutral(table), len(table)
    powers, orders = np.arange(n), np.zeros(n, dtype=int)
    for k in range(1, n + 1):
        orders[(powers == neutral) & (orders == 0)] = k
        powers = table[powers, np.arange(n)]
    return orders


def _generators(table: np.ndarray, orders: np.ndarray) -> list[int]:
    """A few elements that generate the group: of rare orders first, so that few images fit."""
    counts = {int(o): int((orders == o).sum()) for o in set(orders.tolist())}
    chosen: list[int] = []
    held = {_neutral(table)}
    for element in sorted(range(len(table)), key=lambda g: (-orders[g], counts[int(orders[g])])):
        if element not in held:
            chosen.append(element)
            held = set(_walk(table, chosen))
        if len(held) == len(table):
            break
    return chosen


def _walk(table: np.ndarray, generators: list[int]) -> Iterator[int]:
    """All products of generators."""
    seen = [_neutral(table)]
    known = set(seen)
    for element in seen:
        yield element
        for g in generators:
            following = int(table[element, g])
            if following not in known:
                known.add(following)
                seen.append(following)


def _extended(one: np.ndarray, other: np.ndarray, generators: list[int], images: tuple[int, ...]) -> np.ndarray | None:
    """The homomorphism that sends generators to images, if it is one and a bijection."""
    f = np.full(len(one), -1)
    start = _neutral(one)
    f[start] = _neutral(other)
    queue = [start]
    for element in queue:
        for g, image in zip(generators, images, strict=True):
            following, target = int(one[element, g]), int(other[f[element], image])
            if f[following] == -1:
                f[following] = target
                queue.append(following)
            elif f[following] != target:
                return None
    whole = len(set(f.tolist())) == len(f) and bool((f[one] == other[np.ix_(f, f)]).all())
    return f if whole else None
