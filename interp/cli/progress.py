"""Progress on the terminal: bars for training and for analyses; where there is no terminal, lines of a log."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interp.training.loop import Progress

WIDE = 60  # columns of a terminal from which a bar is drawn
MINUTE = 60.0


class Loudness(Enum):
    """How much a command says on standard error while it works."""

    QUIET = "nothing but errors"
    USUAL = "a bar, or a line per analysis where there is no terminal"
    VERBOSE = "every step"


class Bar:
    """A bar that shows steps per second, time left, accuracies and members done; call it with a `Progress`."""

    def __init__(self) -> None:
        from rich import progress as rich
        from rich.console import Console

        console = Console(stderr=True, highlight=False, emoji=False)
        columns = (
            rich.TextColumn("{task.description}"),
            rich.BarColumn(bar_width=16),
            rich.MofNCompleteColumn(),
            rich.TextColumn("{task.fields[rate]}"),
            rich.TimeRemainingColumn(),
            rich.TextColumn("{task.fields[seen]}"),
        )
        self._bar = rich.Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._line: Any = None
        self._said = time.monotonic() - MINUTE

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def __call__(self, seen: Progress) -> None:
        """Show where the run stands."""
        if self._line is None:
            self._line = self._bar.add_task("steps", total=seen.steps, completed=seen.step, rate="", seen="")
        speed = self._bar.tasks[self._line].finished_speed or self._bar.tasks[self._line].speed
        rate = f"{speed:,.0f} steps/s" if speed else ""
        self._bar.update(self._line, completed=seen.step, rate=rate, seen=seen.summary)

    def shards(self, finished: int, total: int) -> None:
        """Show how many members are finished, where they train in other processes."""
        if self._line is None:
            self._line = self._bar.add_task("members", total=total, rate="", seen="")
        self._bar.update(self._line, completed=finished, total=total)

    def tell(self, text: str) -> None:
        """Say how work in other processes goes: beside the bar, or, where there is no terminal, a line a minute."""
        if self._bar.disable:
            if time.monotonic() - self._said > MINUTE:
                self._said = time.monotonic()
                print(text, file=sys.stderr, flush=True)
        elif self._line is not None:
            self._bar.update(self._line, seen=text)
        else:
            self._line = self._bar.add_task("members", total=None, rate="", seen=text)


class Working:
    """What an analysis does, on the terminal: pieces done and how long; below that, the piece with what is left of it."""

    def __init__(self) -> None:
        from rich import progress as rich
        from rich.console import Console
        from rich.table import Column

        console = Console(stderr=True, highlight=False, emoji=False)
        text = Column(no_wrap=True, overflow="ellipsis")
        columns = (
            rich.SpinnerColumn(),
            rich.TextColumn("{task.description}", markup=False, table_column=text),
            *([rich.BarColumn(bar_width=16)] if console.width >= WIDE else []),
            rich.TextColumn("{task.fields[place]}", table_column=Column(no_wrap=True)),
            rich.TimeElapsedColumn(),
        )
        self._bar = rich.Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._whole = self._bar.add_task("starting", total=None, place="")
        self._inside = self._bar.add_task("", total=None, visible=False, place="")

    def __enter__(self) -> Working:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def say(self, text: str) -> None:
        """Show what is done now."""
        self._bar.update(self._whole, description=text)

    def begin(self, name: str, place: int, total: int) -> None:
        """Show which piece of work starts, and how many there are."""
        shown = f"{place} of {total}"
        self._bar.update(self._whole, description=name, completed=place - 1, total=total, place=shown)
        self._bar.reset(self._inside, visible=False, total=None)

    def tell(self, text: str) -> None:
        """Show how far the piece is."""
        self._bar.update(self._inside, description=text, visible=True)

    def count(self, done: int, total: int) -> None:
        """Draw how far the piece is."""
        self._bar.update(self._inside, completed=done, total=total)


class Logged:
    """The same where there is no terminal: a line once a minute, beside the line that every analysis logs when it ends."""

    def __init__(self) -> None:
        self._name, self._last = "", time.monotonic()

    def begin(self, name: str, place: int, total: int) -> None:
        """Remember which piece of work starts."""
        self._name, self._last = f"{name} ({place} of {total})", time.monotonic()

    def tell(self, text: str) -> None:
        """Log how far the piece is, unless that was said within the last minute."""
        if (now := time.monotonic()) - self._last >= MINUTE:
            self._last = now
            logging.getLogger("interp").info("%s: %s", self._name, text)


def on_terminal() -> bool:
    """Whether standard error can show a bar; FORCE_COLOR, which CI sets, asks for colours alone."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def working(loudness: Loudness) -> Iterator[Callable[[str], None]]:
    """Show the progress of everything in the block: a bar on a terminal, lines in a log, nothing where it shall be quiet.

    Args:
        loudness: how much the user wants to see.

    Yields:
        a function that says what is done now.
    """
    from interp._util.progress_context import Watcher, watched

    if loudness is Loudness.QUIET:
        with watched(None):
            yield lambda text: None
    elif not on_terminal():
        lines = Logged()
        with _logging(loudness), watched(Watcher(lines.tell, begin=lines.begin)):
            yield lambda text: None
    else:
        with Working() as bar, _logging(loudness), watched(Watcher(bar.tell, bar.count, bar.begin)):
            yield bar.say


@contextmanager
def _logging(loudness: Loudness) -> Iterator[None]:
    """Print the log on standard error while the block runs; on a terminal, where the bar says as much, only when asked."""
    log, handler = logging.getLogger("interp"), logging.StreamHandler()
    level = log.level
    handler.setFormatter(logging.Formatter("%(asctime)s interp: %(message)s", "%Y-%m-%d %H:%M:%S"))
    if loudness is Loudness.VERBOSE:
        log.setLevel(logging.DEBUG)
    elif not on_terminal():
        log.setLevel(logging.INFO)
    else:
        handler.addFilter(lambda record: record.levelno == logging.WARNING)  # what failed stands below the summary
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
