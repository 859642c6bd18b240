"""Checks of a task's fields."""

from __future__ import annotations

from pathlib import Path

from interp._util.specs import parse_value
from interp.errors import InterpError, UnknownName, unknown
from interp.tasks.base import Task
from interp.tasks.losses import LOSSES


def check_common(task: Task) -> None:
    """Refuse a seed or a loss that is not allowed, and a text that cannot be written in a spec.

    Args:
        task: to check.

    Raises:
        UnknownName: a loss that the task cannot be trained on.
        InterpError: a seed that is not a whole number, or such a text.
    """
    if not isinstance(task.seed, int) or isinstance(task.seed, bool) or not 0 <= task.seed < 2**63:
        raise InterpError(f"{task.name}: seed must be a whole number of at least 0, got {task.seed!r}")
    check_loss(task)
    for name, value in task.spec_options().items():
        if isinstance(value, str) and ("," in value or parse_value(value) != value):
            instead = "would end at the comma" if "," in value else f"would be read as {parse_value(value)!r}"
            raise InterpError(f"{task.name}: in a spec {name}={value!r} {instead}; rename it")


def check_loss(task: Task) -> None:
    """Refuse a loss that is not allowed.

    Args:
        task: to check.

    Raises:
        UnknownName: a loss that the task cannot be trained on.
    """
    if task.loss not in task.LOSSES and task.loss not in losses_of(task):
        raise UnknownName(unknown(f"loss for {task.name}", task.loss, losses_of(task)))


def losses_of(task: type[Task] | Task) -> tuple[str, ...]:
    """The losses that a task can be trained on: its own, variants of them, and registered ones that name the task.

    Args:
        task: or its class.

    Returns:
        Names of losses, the default first.
    """
    own = task.LOSSES
    return (*own, *(n for n, loss in LOSSES.items() if n not in own and loss.serves(task.name, own)))


def require_count(task: Task, name: str, low: int = 1) -> None:
    """Refuse a field that is not a whole number of at least ``low``."""
    value = getattr(task, name)
    if not isinstance(value, int) or isinstance(value, bool) or value < low:
        raise InterpError(f"{task.name}: {name} must be a whole number of at least {low}, got {value!r}")


def require_share(task: Task, name: str) -> None:
    """Refuse a field that is not a number from 0 to 1."""
    value = getattr(task, name)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= 1:
        raise InterpError(f"{task.name}: {name} must lie between 0 and 1, got {value!r}")


def text_field(task: Task, name: str) -> str:
    """A field that holds a path, as a text; a `Path` is turned into one.

    Args:
        task: whose field it is.
        name: of the field.

    Returns:
        The path.

    Raises:
        InterpError: the field holds something else.
    """
    value = getattr(task, name)
    if isinstance(value, Path):
        object.__setattr__(task, name, str(value))
        return str(value)
    if not isinstance(value, str):
        raise InterpError(f"{task.name}: {name} must be the path of a file, got {value!r} (write ./{value} for a file)")
    return value
