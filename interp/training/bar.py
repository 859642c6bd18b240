"""A progress bar in notebooks, where a call that takes minutes would otherwise show nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from interp._util.bar import in_notebook, make_bar
from interp.training.loop import Progress, Watcher


@contextmanager
def shown(watcher: Watcher | None) -> Iterator[Watcher | None]:
    """Use the watcher that was given; without one, in a notebook, a bar that disappears at the end."""
    if watcher is not None or not in_notebook():
        yield watcher
        return
    with make_bar(unit=" steps") as bar:

        def update(seen: Progress) -> None:
            bar.total, bar.n = seen.steps, seen.step
            bar.set_postfix_str(seen.summary, refresh=False)
            bar.refresh()

        yield update
