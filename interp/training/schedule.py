"""When to measure or to save: a function of the step, independent of what is measured."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass

from interp._util.schema import short
from interp.errors import InterpError, require_range

MOST = 1_000_000  # checkpoints of a schedule that is spaced in the logarithm


@dataclass(frozen=True)
class Schedule:
    """A set of steps: every multiple of an interval, or the listed ones. The last step of a run always belongs to it.

    Attributes:
        interval: steps from one to the next; None for the listed ones only.
        steps: the listed ones.

    >>> Schedule(interval=100).after(250), Schedule(steps=(0, 1, 10)).after(1), Schedule(steps=(0, 1)).after(1)
    (300, 10, None)
    """

    interval: int | None = None
    steps: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.interval is not None and not (isinstance(self.interval, int) and self.interval >= 1):
            raise InterpError(f"a schedule's interval must be a whole number of at least 1 step, got {self.interval!r}")
        if not all(isinstance(s, int) for s in self.steps):
            raise InterpError(f"a schedule's steps must be whole numbers, got {self.steps!r}")
        if any(s < 0 for s in self.steps):
            raise InterpError(f"a schedule's steps must be 0 or more, got {min(self.steps)}")
        object.__setattr__(self, "steps", tuple(sorted(set(self.steps))))

    def __contains__(self, step: int) -> bool:
        if self.interval is not None and step % self.interval == 0:
            return True
        at = bisect.bisect_left(self.steps, step)
        return at < len(self.steps) and self.steps[at] == step

    def after(self, step: int) -> int | None:
        """The first scheduled step after ``step``; None where there is none."""
        later = []
        if self.interval is not None:
            later.append(step - step % self.interval + self.interval)
        at = bisect.bisect_right(self.steps, step)
        return min([*later, *self.steps[at : at + 1]], default=None)

    def within(self, total: int) -> list[int]:
        """The scheduled steps of a run of ``total`` steps, its last one included."""
        regular = range(0, total + 1, self.interval) if self.interval is not None else ()
        return sorted({*regular, *(s for s in self.steps if s <= total), total})

    def spec(self) -> str:
        """The text that `parse_schedule` reads back."""
        return f"every:{self.interval}" if self.interval is not None else ",".join(map(str, self.steps))


def every(n: int) -> Schedule:
    """Steps 0, n, 2n, ...

    Args:
        n: the interval, in updates.

    Returns:
        the schedule; the last step of a run belongs to it too.

    Raises:
        InterpError: not a whole number of at least 1.
    """
    if not isinstance(n, int):
        raise InterpError(f"every takes a whole number of at least 1 step, got {n!r}")
    return Schedule(interval=n)


def log_spaced(n: int, total: int) -> Schedule:
    """About ``n`` steps from 0 to ``total``, evenly spaced in their logarithm.

    Args:
        n: how many; where steps coincide they are fewer.
        total: the last step.

    Returns:
        the steps, always with 0 and ``total``.

    Raises:
        InterpError: fewer than 2, too many, not whole numbers, or a last step below 1.

    >>> log_spaced(5, 1000).steps
    (0, 1, 10, 100, 1000)
    """
    if not isinstance(n, int) or not isinstance(total, int):
        raise InterpError(
            f"log_spaced takes two whole numbers, such as log_spaced(60, 20_000), got {n!r} and {total!r}"
        )
    if n > MOST:
        raise InterpError(f"log_spaced gives at most {MOST:,} checkpoints, got {n}")
    if n < 2:
        raise InterpError(f"log_spaced needs at least 2 checkpoints, got {n}")
    require_range("the last step of log_spaced", total, 1)
    if n == 2:
        return Schedule(steps=(0, total))
    return Schedule(steps=(0, *(round(total ** (i / (n - 2))) for i in range(n - 1))))


def parse_schedule(text: str | Schedule, total: int) -> Schedule:
    """The schedule that a text describes.

    Args:
        text: ``every:1000``, ``log:60``, or the steps themselves, ``0,10,100``; a schedule is returned as it is.
        total: number of steps of the run.

    Returns:
        the schedule.

    Raises:
        InterpError: anything else.

    >>> parse_schedule("log:4", 100).steps, parse_schedule("every:50", 100).interval
    ((0, 1, 10, 100), 50)
    """
    if isinstance(text, Schedule):
        return text
    if not isinstance(text, str):
        steps = isinstance(text, Iterable)
        example = ",".join(map(str, text)) if steps else f"every:{text}"
        hint = f"'{example}'" if steps else f"'{example}' or every({text})"
        raise InterpError(f"a schedule is a text or a Schedule, got a {type(text).__name__}: write {hint}")
    kind, _, rest = text.partition(":")
    try:
        numbers = [int(s) for s in (rest if kind in ("every", "log") else text).split(",") if s.strip()]
        if kind in ("every", "log"):
            (count,) = numbers
            return every(count) if kind == "every" else log_spaced(count, total)
    except InterpError:
        raise
    except ValueError:
        raise InterpError(
            f"cannot read the schedule {short(text)}: write every:1000, log:60, or steps as 0,10,100"
        ) from None
    return Schedule(steps=tuple(numbers))
