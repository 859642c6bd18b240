"""Settings of a run: the fields of `Plan` and `Optimizer` that a user sets by name, here and on the command line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from typing import NoReturn

from interp.errors import UnknownName, unknown
from interp.tasks import Task
from interp.training.members import SEEDS, member_names
from interp.training.plan import Plan
from interp.training.updates.optimizers import Optimizer

OPTIMIZER_SETTINGS = tuple(f.name for f in fields(Optimizer) if f.name != "name")
PLAN_SETTINGS = tuple(f.name for f in fields(Plan) if f.name not in ("task", "model", "starts"))
SETTINGS = (*PLAN_SETTINGS, "epochs", *OPTIMIZER_SETTINGS, "train_indices", "test_indices", "targets")
SYNONYMS = {
    "learning_rate": "lr", "wd": "weight_decay", "l2": "weight_decay", "n_steps": "steps", "n_epochs": "epochs",
    "batchsize": "batch_size", "lr_warmup": "warmup", "grad_clip": "clip_norm", "normalize": "normalise",
    "schedule": "lr_schedule", "scheduler": "lr_schedule", "freeze": "frozen", "entropy": "entropy_penalty",
}  # fmt: skip


def refuse_unknown(names: Iterable[str], task: Task) -> None:
    """Refuse settings that do not exist.

    Args:
        names: those that are not in `SETTINGS`; nothing happens where there are none.
        task: what is trained on; members may set its options.

    Raises:
        UnknownName: the first of them, with the setting that was probably meant.
    """
    for name in names:
        _refuse(name, task)


def _refuse(name: str, task: Task) -> NoReturn:
    if name in SYNONYMS:
        raise UnknownName(f"unknown setting {name!r}; did you mean {SYNONYMS[name]!r}?")
    if name in member_names(task) and name not in SETTINGS:
        own = f"[{{{name!r}: ...}}, ...]"
        where = own if name in SEEDS else f"{own}, or in the task's spec, {task.name}:{name}=..."
        where = "interp.seeds(n)" if name == "seed" else where
        raise UnknownName(f"{name!r} is not a setting of the run; give it per network, members={where}")
    raise UnknownName(unknown("setting", name, SETTINGS))
