"""Timing against a plain loop, in turns within one run, and the table that ``make bench`` ends with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from interp._util.threads import threads

Step = Callable[[], object]
Steps = Callable[[int], object]


@dataclass(frozen=True)
class Row:
    """One line of the table: milliseconds per network and step.

    Attributes:
        work: what was done.
        plain: of a loop in plain PyTorch, on one thread.
        ours: of the suite, on all threads.
        bound: of the matrix products alone, on all threads; None where nobody has counted them.
    """

    work: str
    plain: float
    ours: float
    bound: float | None = None

    @property
    def ratio(self) -> float:
        """How often ours goes into the plain loop."""
        return self.plain / self.ours

    @property
    def cells(self) -> tuple[str, ...]:
        """As the table shows them."""
        to_bound = (f"{self.plain / self.bound:.1f}", f"{self.bound / self.ours:.0%}") if self.bound else ("", "")
        return (self.work, f"{self.plain:.3f}", f"{self.ours:.3f}", f"{self.ratio:.1f}", *to_bound)


ROWS: list[Row] = []
HEADS = ("work", "plain ms", "ours ms", "ratio", "bound", "ours to bound")


def compare(
    work: str, plain: Steps, ours: Steps, *, members: int = 1, plain_steps: int, steps: int, rounds: int = 7,
    bound: Steps | None = None,
) -> Row:  # fmt: skip
    """Time a plain loop of one network and our step of many in turns; the row is added to the table.

    Args:
        work: what is done, for the table.
        plain: makes so many steps of one network; on one thread, where it is fastest.
        ours: makes so many steps of all networks.
        members: number of them.
        plain_steps: of the plain loop in a round.
        steps: of ours in a round.
        rounds: the best of so many counts, since noise only ever adds.
        bound: does so many steps' matrix products for all networks.

    Returns:
        the row.
    """

    def alone(count: int) -> None:
        with threads(1):
            plain(count)

    turns = [(alone, plain_steps, 1), (ours, steps, members), *([(bound, steps, members)] if bound else [])]
    best = [float("inf")] * len(turns)
    for run, *_ in turns:
        run(2)
    for _ in range(rounds):
        for k, (run, count, share) in enumerate(turns):
            start = time.perf_counter()
            run(count)
            best[k] = min(best[k], (time.perf_counter() - start) / count / share * 1e3)
    row = Row(work, best[0], best[1], best[2] if bound else None)
    ROWS.append(row)
    return row


def repeat(step: Step) -> Steps:
    """A function that makes a step so many times."""

    def run(steps: int) -> None:
        for _ in range(steps):
            step()

    return run


def table(rows: list[Row]) -> list[str]:
    """The rows as lines of a Markdown table."""
    lines = [HEADS, ("---",) * len(HEADS), *(row.cells for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADS))]
    return ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines]
