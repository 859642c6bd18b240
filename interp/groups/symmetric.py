"""Characters of symmetric groups in closed form: the Murnaghan-Nakayama rule."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from functools import cache

Partition = tuple[int, ...]


def partitions(n: int, most: int | None = None) -> Iterator[Partition]:
    """Partitions of n, parts falling, in falling lexicographic order.

    Args:
        n: what is divided.
        most: the largest part; n by default.

    Yields:
        Partitions.

    >>> list(partitions(3))
    [(3,), (2, 1), (1, 1, 1)]
    """
    if n == 0:
        yield ()
    for part in range(min(n, n if most is None else most), 0, -1):
        for rest in partitions(n - part, part):
            yield (part, *rest)


def class_size(n: int, cycles: Partition) -> int:
    """Number of permutations of n points with these cycles."""
    centraliser = math.prod(k**m * math.factorial(m) for k, m in Counter(cycles).items())
    return math.factorial(n) // centraliser


@cache
def character(shape: Partition, cycles: Partition) -> int:
    """The character of the Specht module of a shape on permutations with these cycles.

    By removing rim hooks: a first-column hook length b becomes b - k, with the sign of the lengths that it passes
    (Murnaghan-Nakayama rule, https://en.wikipedia.org/wiki/Murnaghan-Nakayama_rule).

    Args:
        shape: a partition, parts falling.
        cycles: lengths of the cycles, another partition of the same number.

    Returns:
        The trace, a whole number.

    >>> [character((2, 1), cycles) for cycles in ((1, 1, 1), (2, 1), (3,))]
    [2, 0, -1]
    """
    if not cycles:
        return 1
    k, total = cycles[0], 0
    hooks = [part + len(shape) - 1 - i for i, part in enumerate(shape)]
    for b in hooks:
        if b >= k and b - k not in hooks:
            passed = sum(b - k < other < b for other in hooks)
            left = sorted((b - k if other == b else other for other in hooks), reverse=True)
            smaller = tuple(h - (len(left) - 1 - i) for i, h in enumerate(left))
            total += (-1) ** passed * character(tuple(p for p in smaller if p), cycles[1:])
    return total
