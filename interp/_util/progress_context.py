"""How far long work has come, told to whoever watches; functions need not hand a callback down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Tell = Callable[[str], None]
_watcher: ContextVar[Tell | None] = ContextVar("watcher", default=None)


@contextmanager
def watched(tell: Tell | None) -> Iterator[None]:
    """Hear of all `tick`s within."""
    token = _watcher.set(tell)
    try:
        yield
    finally:
        _watcher.reset(token)


def tick(text: str) -> None:
    """Say how far the work is, such as ``120 of 200 checkpoints``.

    >>> with watched(print):
    ...     tick("2 of 3")
    2 of 3
    """
    tell = _watcher.get()
    if tell is not None:
        tell(text)
