"""What a file tells of its task: the pairs that trained, the losses of the run, and a group's order of elements."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from interp.checkpoints.formats.tensors import TensorRef
from interp.errors import InterpError
from interp.hooked import HookedModel
from interp.subject import table_logits
from interp.tasks import GroupComposition, ModularArithmetic, Task
from interp.tasks.binary import BinaryOperation
from interp.tasks.groups import check_group
from interp.tasks.isomorphism import isomorphism
from interp.tasks.modular import OPERATIONS
from interp.tasks.named_groups import group_name
from interp.tasks.splits import ORDERS

TRAIN = re.compile(r"train(ing)?_?(indices|idxs?|inds|ids)", re.IGNORECASE)
TEST = re.compile(r"(test|val(id(ation)?)?)_?(indices|idxs?|inds|ids)", re.IGNORECASE)
CLOSE = 1e-4  # relative difference of a loss, computed in float64, to the one that was recorded in float32
SEEDS = (598, *range(100))  # of well-known splits; 598 is that of the grokking demo
MOST_PAIRS = 1 << 20

Curves = Mapping[str, list[tuple[int, float]]]


class Told(NamedTuple):
    """A task that the file tells.

    Attributes:
        task: the task; None if the file does not tell one.
        notes: what was concluded, and from what.
    """

    task: Task | None
    notes: tuple[str, ...] = ()


def listed_split(tree: Any) -> dict[str, Any]:
    """The split that a file lists as indices, as options of a task on pairs.

    Args:
        tree: of the file.

    Returns:
        ``split``, ``seed`` and ``n_train`` where a well-known shuffle gives it, ``split`` as indices elsewhere; empty if the
        file lists none.
    """
    return _as_options(*_listed(tree))


def _listed(tree: Any) -> tuple[list[int] | None, list[int] | None]:
    """The pairs that train and those that test, as a file lists them."""
    items = tree.items() if isinstance(tree, Mapping) else ()
    train = next((_indices(v) for k, v in items if TRAIN.fullmatch(str(k))), None)
    return train, next((_indices(v) for k, v in items if TEST.fullmatch(str(k))), None)


def _as_options(train: list[int] | None, test: list[int] | None) -> dict[str, Any]:
    if not train or len(set(train)) < len(train) or len(train) + len(test or ()) > MOST_PAIRS:
        return {}
    n = len(train) + len(test) if test else None
    if n is None or set(train) | set(test or ()) != set(range(n)):
        return {"split": tuple(train)}
    for split, seed in ((s, seed) for seed in SEEDS for s in ORDERS if s != "first" or not seed):
        if set(ORDERS[split](n, seed)[: len(train)].tolist()) == set(train):
            return {"split": split, "seed": seed, "n_train": len(train)}
    return {"split": tuple(train)}


def _indices(value: Any) -> list[int] | None:
    if (
        isinstance(value, TensorRef)
        and value.ndim == 1
        and value.numel <= MOST_PAIRS
        and not value.dtype.is_floating_point
    ):
        return value.load().tolist()
    if not isinstance(value, (list, tuple)) or len(value) > MOST_PAIRS:
        return None
    return list(value) if all(type(v) is int and v >= 0 for v in value) else None


def told_split(task: Task, tree: Any) -> Told:
    """A task on pairs with the split that the file lists, where the task was given or described without one.

    Args:
        task: without options of a split.
        tree: of the file.

    Returns:
        The task, with a note; as it is where the file lists no split that fits.
    """
    if not isinstance(task, BinaryOperation) or not (options := listed_split(tree)):
        return Told(task)
    try:
        found = replace(task, **options)  # pyright: ignore[reportArgumentType] every subclass is a dataclass
    except InterpError:  # indices of other pairs than the task's
        return Told(
            task, ("the file lists which examples were trained on, but not those of this task, so they are not used",)
        )
    return Told(found, (f"the split is the one that the file lists: {len(found.train_indices):,} pairs train",))


def told_task(model: HookedModel, tree: Any, curves: Curves, step: int | None) -> Told:
    """Modular arithmetic, where shapes and listed pairs suggest it and the losses in the file agree.

    Args:
        model: the network.
        tree: of its file.
        curves: recorded in the file.
        step: of the network; the end of the curves if it is not known.

    Returns:
        The task with a note; no task where nothing suggests one, with a note where the losses don't agree.
    """
    recorded = list(_recorded(curves, step))
    train, test = _listed(tree) if recorded else (None, None)
    options = _as_options(train, test)
    p = _modulus(train, test) if options else None
    if p is None:
        return Told(None)
    try:
        base = ModularArithmetic(p, "add", **options).fit(model)
        logits = table_logits(model.cast(torch.float64), base)
    except InterpError:
        return Told(None)
    fitting = []
    for operation in OPERATIONS:
        try:
            task = replace(base, operation=operation)
        except InterpError:
            continue
        rows = task.pairs @ torch.tensor([p, 1])
        if _agree(task, logits[rows], recorded):
            fitting.append(task)
    if len(fitting) == 1:
        found = fitting[0]
        return Told(
            found,
            (f"shapes suggest {found.operation} modulo {p}, and the recorded losses agree: task {found}", *found.notes),
        )
    return Told(None, (
        f"shapes suggest arithmetic modulo {p}, but {'no' if not fitting else 'more than one'} operation gives the losses "
        "that the file records: give the task with --task",
    ))  # fmt: skip


def _modulus(train: list[int] | None, test: list[int] | None) -> int | None:
    """p, where the pairs that a file lists are p x p."""
    total = len(train or ()) + len(test or ())
    p = math.isqrt(total)
    return p if train is not None and test is not None and p > 1 and p * p == total else None


def _recorded(curves: Curves, step: int | None) -> Iterator[tuple[str, float]]:
    """Losses that were recorded at the network's step: by name, as ``train`` and ``test``."""
    for name, points in curves.items():
        found = re.fullmatch(r"(train|test|val)(ing)?_?loss(es)?", name, re.IGNORECASE)
        if found and points:
            wanted = (points[-1][0], points[-1][0]) if step is None else (step, step - 1)
            yield from (("train" if found[1].lower() == "train" else "test", v) for s, v in points if s in wanted)


def _agree(task: ModularArithmetic, logits: Tensor, recorded: list[tuple[str, float]]) -> bool:
    """Whether a recorded loss is the task's: a training loop may record one of the two before the last step."""
    losses = task.losses(logits)
    own = {
        "train": losses[task.train_indices.to(losses.device)].mean(),
        "test": losses[task.test_indices.to(losses.device)].mean(),
    }
    return any(abs(float(own[part]) - value) <= CLOSE * abs(value) for part, value in recorded if part in own)


def own_order(task: Task, model: HookedModel) -> Told:
    """A group's task with its elements in the network's order, if that is not the order of the named table.

    A group's elements have no canonical order. Where the network's answers make a table that is isomorphic to the group's,
    its own order is known.

    Args:
        task: composition in a named group.
        model: the network.

    Returns:
        The task in the network's order, with a note; the task as it is where the network solves it, or does not make a group.
    """
    if not isinstance(task, GroupComposition) or task.source is None or group_name(task.source) != task.source:
        return Told(task)
    answers = table_logits(model, task).argmax(-1).cpu()
    right = float((answers == task.labels).double().mean())
    if right > 0.5:
        return Told(task)
    table = answers.reshape(task.n_symbols, task.n_symbols).numpy()
    try:
        check_group(table)
    except InterpError:
        return Told(task)
    f = isomorphism(table, torch.tensor(task.table).numpy())
    if f is None:
        return Told(task)
    rows = tuple(map(tuple, table.tolist()))
    found = replace(task, table=rows, source=f"{task.source} in the network's order")
    note = (
        f"in the order of {task.source} {right:.0%} of the answers are correct; the network's own answers are a table of "
        f"{task.source} in another order of the elements, which is used: its elements 0, 1, 2, ... are "
        f"{', '.join(map(str, f[:6].tolist()))}, ... of {task.source}"
    )
    return Told(found, (note,))
