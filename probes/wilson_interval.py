"""Interval of a share that was counted."""

from __future__ import annotations

import math


def wilson(count: int, total: int) -> tuple[float, float]:
    """Wilson's 95% score interval of a share.

    Wilson 1927, Probable inference, the law of succession, and statistical inference,
    https://doi.org/10.1080/01621459.1927.10502953. It stays between 0 and 1, and has a width for 0 of n, too.

    Args:
        count: how many.
        total: of how many, at least 1.

    Returns:
        its ends.

    >>> [round(end, 3) for end in wilson(9, 10)]
    [0.596, 0.982]
    """
    z, share = 1.959963984540054, count / total
    middle = share + z * z / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, (middle - spread) / (1 + z * z / total)), min(1.0, (middle + spread) / (1 + z * z / total))
