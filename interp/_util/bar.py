"""A progress bar for calls that take long: in a notebook by itself, elsewhere when it is asked for."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

from interp._util.progress_context import Watcher, is_watched, watched

DELAY = 1.0  # seconds before a bar appears: short work needs none

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")


def in_notebook() -> bool:
    """Whether this process is a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None


def make_bar(**how: Any) -> Any:
    """A tqdm bar that vanishes at the end: text, which any notebook shows, and which leaves no dead widget in a saved one."""
    from tqdm import tqdm

    return tqdm(leave=False, mininterval=0.5, file=sys.stderr, **how)


@contextmanager
def bar(progress: F | bool | None) -> Iterator[F | None]:
    """Use the progress function that was given; without one, show a bar.

    Args:
        progress: a function; True for a bar, False for none, None for one in a notebook, unless somebody else is told.

    Yields:
        the function, None where there is none.
    """
    if progress is False:
        with watched(None):
            yield None
    elif progress is True or (progress is None and in_notebook() and not is_watched()):
        with make_bar(delay=DELAY) as line, watched(_drawn(line)):
            yield None
    else:
        yield progress or None


def with_bar(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator for a function with the argument ``progress``: True, False and None mean what they mean for `bar`."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        given: Any = kwargs.pop("progress", None)
        with bar(given) as progress:
            if progress is not None:
                kwargs["progress"] = progress
            return function(*args, **kwargs)

    return call


def _drawn(line: Any) -> Watcher:
    """A watcher that draws on a tqdm bar: pieces of work, or, where there are none, what is counted."""
    started, pieces = time.monotonic(), False

    def draw(done: int, total: int) -> None:
        line.n, line.total = done, total
        if time.monotonic() - started >= DELAY:
            line.refresh()

    def begin(name: str, place: int, total: int) -> None:
        nonlocal pieces
        pieces = True
        line.set_description_str(name, refresh=False)
        line.set_postfix_str("", refresh=False)
        draw(place - 1, total)

    def tell(text: str) -> None:
        line.set_postfix_str(text, refresh=False)
        if pieces:
            draw(line.n, line.total)

    def count(done: int, total: int) -> None:
        if not pieces:
            draw(done, total)

    return Watcher(tell, count, begin)
