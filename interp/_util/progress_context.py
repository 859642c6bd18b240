"""Progress of long work, reported to whoever watches, without handing a callback down through every function."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Tell = Callable[[str], None]
_watcher: ContextVar[Tell | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(tell: Tell | None) -> Iterator[None]:
    """Within the block, call ``tell`` with the text of every `tick`; None silences them."""
    token = _watcher.set(tell)
    try:
        yield
    finally:
        _watcher.reset(token)


def tick(text: str) -> None:
    """Report progress to the watcher, if there is one.

    Args:
        text: such as ``120 of 200 checkpoints``.

    >>> with watched(print):
    ...     tick("2 of 3")
    2 of 3
    """
    tell = _watcher.get()
    if tell is not None:
        tell(text)
