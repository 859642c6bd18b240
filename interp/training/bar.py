"""A progress bar in notebooks, where a call that takes minutes would otherwise show nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from interp.training.loop import Progress, Watcher


def in_notebook() -> bool:
    """Whether this process is a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None


@contextmanager
def shown(watcher: Watcher | None) -> Iterator[Watcher | None]:
    """Use the watcher that was given; without one, in a notebook, a bar that disappears at the end."""
    if watcher is not None or not in_notebook():
        yield watcher
        return
    with tqdm(unit=" steps", leave=False, mininterval=0.5, file=sys.stderr) as bar:

        def update(seen: Progress) -> None:
            bar.total, bar.n = seen.steps, seen.step
            bar.set_postfix_str(seen.summary, refresh=False)
            bar.refresh()

        yield update
