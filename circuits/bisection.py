"""Bisection: the largest number that still passes a test, such as how many components can be removed together."""

from __future__ import annotations

from collections.abc import Callable


def largest(n: int, enough: Callable[[int], bool]) -> int:
    """The largest number up to ``n`` that passes, provided that all below it pass.

    Args:
        n: the largest candidate.
        enough: whether a number passes; not asked of 0, which counts as passing.

    Returns:
        a number from 0 to ``n``, after about ``log2(n)`` tests.

    >>> largest(10, lambda k: k * k <= 30)
    5
    """
    low, high = 0, n
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if enough(middle) else (low, middle - 1)
    return low
