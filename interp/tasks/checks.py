"""What a task refuses in its fields, and how it says so."""

from __future__ import annotations

from pathlib import Path

from interp._util.specs import parse_value
from interp.errors import InterpError, UnknownName, unknown
from interp.tasks.base import Task


def check_common(task: Task) -> None:
    """Refuse a seed or a loss that cannot be, and a text that a spec cannot say."""
    if not isinstance(task.seed, int) or isinstance(task.seed, bool) or not 0 <= task.seed < 2**63:
        raise InterpError(f"{task.name}: seed must be a whole number of at least 0, got {task.seed!r}")
    if task.loss not in task.LOSSES:
        raise UnknownName(unknown(f"loss for {task.name}", task.loss, task.LOSSES))
    for name, value in task.spec_options().items():
        if isinstance(value, str) and ("," in value or parse_value(value) != value):
            said = "ends at the comma" if "," in value else f"is read as {parse_value(value)!r}"
            raise InterpError(f"{task.name}: {name}={value!r} {said} when it is written in a spec; rename it")


def require_count(task: Task, name: str, low: int = 1) -> None:
    """Refuse a field that is no whole number of at least ``low``."""
    value = getattr(task, name)
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise InterpError(f"{task.name}: {name} must be a whole number of at least {low}, got {value!r}")


def require_share(task: Task, name: str) -> None:
    """Refuse a field that is no number from 0 to 1."""
    value = getattr(task, name)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
        raise InterpError(f"{task.name}: {name} must lie between 0 and 1, got {value!r}")


def text_field(task: Task, name: str) -> str:
    """A field that holds a path, as a text; a `Path` is turned into one.

    Raises:
        InterpError: it holds something else.
    """
    value = getattr(task, name)
    if isinstance(value, Path):
        object.__setattr__(task, name, str(value))
        return str(value)
    if not isinstance(value, str):
        raise InterpError(f"{task.name}: {name} must be the path of a file, got {value!r} (write ./{value} for a file)")
    return value
