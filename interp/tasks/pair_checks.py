"""Checks of the fields that all operations on pairs have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interp.errors import InterpError
from interp.tasks.checks import check_common, require_count
from interp.tasks.forms import check_form
from interp.tasks.splits import check_order

if TYPE_CHECKING:
    from interp.tasks.binary import BinaryOperation


def check_split(task: BinaryOperation) -> None:
    """Refuse a split of an unknown kind, or without training examples.

    Args:
        task: to check.

    Raises:
        InterpError: such a split, or a seed or loss that is not allowed.
    """
    fraction = task.train_fraction
    check_common(task)
    check_order(task.name, task.split, len(task.labels))
    if not isinstance(task.split, str):
        object.__setattr__(task, "split", tuple(task.split))  # JSON has lists
    check_form(task.name, task.form, task.encoding)
    if task.n_train is not None:
        require_count(task, "n_train")
        if task.n_train > len(task.labels):
            raise InterpError(f"{task.name}: n_train={task.n_train}, but there are {len(task.labels)} pairs")
    if not isinstance(task.equals_token, bool):
        raise InterpError(f"{task.name}: equals_token must be true or false, got {task.equals_token!r}")
    if not isinstance(fraction, (int, float)) or isinstance(fraction, bool) or not 0 < fraction <= 1:
        raise InterpError(f"{task.name}: train_fraction must lie in (0, 1], got {fraction!r}")
    if task.n_train is None and int(fraction * len(task.labels)) == 0:
        raise InterpError(
            f"{task.name}: train_fraction {fraction} leaves no training example of {len(task.labels)} pairs"
        )
