"""Progress of long work, reported to whoever watches, without handing a callback down through every function."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

Tell = Callable[[str], None]
log = logging.getLogger("interp")  # a line per analysis at INFO, progress inside of them at DEBUG
log.addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Watcher:
    """Who is told of progress.

    Attributes:
        tell: called with the text of every `tick`.
        count: called with how much is done, and of how much, where a tick knows it.
        begin: called with a piece of work, its place (from 1) and the number of pieces, before it starts.
    """

    tell: Tell
    count: Callable[[int, int], None] | None = None
    begin: Callable[[str, int, int], None] | None = None


@dataclass(frozen=True)
class Part:
    """Which part of a larger piece of work is done now: its name, and the pieces before it and in all."""

    name: str
    before: int
    total: int


_watcher: ContextVar[Watcher | None] = ContextVar("watcher", default=None)
_part: ContextVar[Part | None] = ContextVar("part", default=None)


@contextmanager
def watched(tell: Tell | Watcher | None) -> Iterator[None]:
    """Within the block, call ``tell`` with the text of every `tick`; None silences them."""
    token = _watcher.set(tell if isinstance(tell, Watcher) else Watcher(tell or _ignore))
    try:
        yield
    finally:
        _watcher.reset(token)


def _ignore(text: str) -> None:
    pass


def is_watched() -> bool:
    """Whether anybody has asked to be told, or not to be."""
    return _watcher.get() is not None


@contextmanager
def part(name: str, before: int, total: int) -> Iterator[None]:
    """Within the block, pieces of work belong to a larger whole: `begin` names and counts them so.

    Args:
        name: of this part, such as that of a network.
        before: pieces of the whole that come before it.
        total: pieces of the whole.

    Yields:
        Nothing.
    """
    token = _part.set(Part(name, before, total))
    try:
        yield
    finally:
        _part.reset(token)


def begin(name: str, place: int, total: int) -> str:
    """Tell the watcher which piece of work starts.

    Args:
        name: of the piece.
        place: from 1, among those of this part.
        total: pieces of this part.

    Returns:
        the piece as a log names it, such as ``fourier (3 of 13)``.

    >>> with part("skull.zip", 13, 26):
    ...     begin("sweeps", 2, 13)
    'skull.zip: sweeps (15 of 26)'
    """
    whole = _part.get()
    if whole is not None:
        name, place, total = f"{whole.name}: {name}", whole.before + place, whole.total
    watcher = _watcher.get()
    if watcher is not None and watcher.begin is not None:
        watcher.begin(name, place, total)
    return f"{name} ({place} of {total})"


def tick(text: str, done: int = 0, total: int = 0) -> None:
    """Report progress to the watcher, if there is one.

    Args:
        text: such as ``120 of 200 checkpoints``.
        done: how much of it is done, where that is known.
        total: of how much; 0 where it is not known.

    >>> with watched(print):
    ...     tick("2 of 3")
    2 of 3
    """
    log.debug("%s", text)
    watcher = _watcher.get()
    if watcher is not None:
        watcher.tell(text)
        if watcher.count is not None and total:
            watcher.count(done, total)
