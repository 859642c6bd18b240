"""Numbers of things, in words."""

from __future__ import annotations


def counted(n: int, what: str) -> str:
    """A number of things.

    Args:
        n: how many.
        what: one of them.

    Returns:
        both in words.

    >>> counted(1, "fact"), counted(2_000, "fact")
    ('1 fact', '2,000 facts')
    """
    return f"{n:,} {what}{'' if n == 1 else 's'}"
