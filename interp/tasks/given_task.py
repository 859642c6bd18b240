"""A task with a split and targets that are given in place of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from interp.errors import InterpError
from interp.tasks.base import Task
from interp.tasks.given import GivenData, as_array

T = TypeVar("T", bound=Task)


def given_to(task: T, train_indices: Any = None, test_indices: Any = None, targets: Any = None) -> T:
    """A task with a split and targets that are listed, in place of those that it would draw.

    Args:
        task: any.
        train_indices: of the examples that train, in their order: a list, array or tensor; or a mask ``[n]`` of booleans.
            Where it is left out and ``test_indices`` is given, all others train.
        test_indices: of those that are tested on; all others by default.
        targets: for the loss ``vectors``, the target vector of every answer ``[answer, dim]``.

    Returns:
        The task; as it is where nothing is given.

    Raises:
        InterpError: indices or targets that do not fit the task; targets for another loss.

    >>> from interp import ToyAddition
    >>> given_to(ToyAddition(3), train_indices=[5, 0, 1]).test_indices.tolist()
    [2, 3, 4]
    """
    if train_indices is None and test_indices is None and targets is None:
        return task
    before = task.given or GivenData()
    train, test, vectors = before.train, before.test, before.targets
    if train_indices is not None or test_indices is not None:
        train = None if train_indices is None else _indices(task, "train_indices", train_indices)
        test = None if test_indices is None else _indices(task, "test_indices", test_indices)
    if targets is not None:
        vectors = _targets(task, targets)
    found = replace(task, given=GivenData(train, test, vectors))  # pyright: ignore[reportArgumentType]  a dataclass
    _ = found.train_indices, found.criterion  # refuse what does not fit
    return found


def lent(task: T, other: Task | None) -> T:
    """A task with the split and the targets that were given to another one, where both have the same examples.

    Args:
        task: to which nothing was given.
        other: with `GivenData`, or without.

    Returns:
        The task; as it is where the other has none, or other examples.
    """
    if other is None or other.given is None or type(other) is not type(task):
        return task
    given = other.given
    if not torch.equal(other.labels, task.labels):
        return task
    if given.targets is not None and task.loss != other.loss:
        given = replace(given, targets=None)
    mine = task.given or GivenData()
    if mine.train is not None or mine.test is not None:
        given = replace(given, train=mine.train, test=mine.test)
    if mine.targets is not None:
        given = replace(given, targets=mine.targets)
    return replace(task, given=given)  # pyright: ignore[reportArgumentType]  a dataclass


def _indices(task: Task, name: str, given: Any) -> Tensor:
    found, n = as_array(given, name), len(task.labels)
    if found.dtype == torch.bool and found.shape == (n,):
        return found.nonzero().flatten()
    if found.ndim == 1 and not len(found):
        found = found.long()
    if found.ndim != 1 or found.dtype != torch.int64:
        kind = str(found.dtype).removeprefix("torch.")
        raise InterpError(
            f"{name} must be whole numbers [n], or a mask of {n:,} booleans, got {list(found.shape)} of {kind}"
        )
    return found


def _targets(task: Task, given: Any) -> Tensor:
    found = as_array(given, "targets")
    found = found if found.is_floating_point() else found.double()
    if found.ndim != 2 or not bool(found.isfinite().all()):
        raise InterpError(f"targets must be finite numbers [answer, dim], got {list(found.shape)}")
    return found
