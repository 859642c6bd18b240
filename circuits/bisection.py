"""Bisection: how many of a list, taken from the front, may go together."""

from __future__ import annotations

from collections.abc import Callable


def largest(n: int, enough: Callable[[int], bool]) -> int:
    """The largest number up to ``n`` that passes, where those below it do too; 0 passes untried.

    >>> largest(10, lambda k: k * k <= 30)
    5
    """
    low, high = 0, n
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if enough(middle) else (low, middle - 1)
    return low
