"""Progress on the terminal: a bar for training, a line for everything else; nothing where output goes to a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interp.training.loop import Progress


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
        self._bar.update(self._line, completed=finished)


@contextmanager
def working() -> Iterator[Callable[[str], None]]:
    """A line on the terminal that says what is being done, and for how long; it vanishes at the end."""
    from rich import progress as rich
    from rich.console import Console

    console = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
    columns = rich.SpinnerColumn(), rich.TextColumn("{task.description}", markup=False), rich.TimeElapsedColumn()
    with rich.Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        line = bar.add_task("starting")
        yield lambda text: bar.update(line, description=text)
