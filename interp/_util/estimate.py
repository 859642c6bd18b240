"""How much longer long work takes, told to whoever watches."""

from __future__ import annotations

import time
from collections.abc import Callable

from interp._util.progress_context import tick

QUIET = 2.0  # seconds before the first word: short work needs none


def told(what: str, then: Callable[[int, int], None] | bool | None = None) -> Callable[[int, int], None]:
    """A progress function that tells the watcher how far the work is and how long the rest takes at the pace so far.

    Args:
        what: is counted, such as ``components``.
        then: another progress function, called with the same numbers; what `with_bar` has dealt with is none.

    Returns:
        a function of (done, total).
    """
    start = last = time.monotonic()

    def progress(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - start > QUIET and (now - last > 1 or done == total):
            last = now
            left = (now - start) * (total - done) / max(1, done)
            rest = f", about {duration(left)} left" if done < total else ""
            tick(f"{done:,} of {total:,} {what}{rest}", done, total)
        if callable(then):
            then(done, total)

    return progress


def duration(seconds: float) -> str:
    """Seconds in words.

    Args:
        seconds: at least 0.

    Returns:
        such as ``"3 min"``.

    >>> duration(8.4), duration(200), duration(8000)
    ('8 s', '3 min', '2.2 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
