"""Tasks: what a network was asked to do."""

from __future__ import annotations

from typing import Any

from interp._util.specs import parse_spec
from interp.errors import InterpError, UnknownName, unknown
from interp.tasks.addition import ToyAddition
from interp.tasks.base import CyclicStructure, Task
from interp.tasks.binary import BinaryOperation
from interp.tasks.digits import Digits
from interp.tasks.examples import Examples
from interp.tasks.grid import GridDirections
from interp.tasks.groups import GroupComposition
from interp.tasks.images import ImageTask
from interp.tasks.modular import OPERATIONS, ModularArithmetic
from interp.tasks.parity import SparseParity
from interp.tasks.reviews import Reviews

TASKS: dict[str, type[Task]] = {
    cls.name: cls
    for cls in (
        ModularArithmetic, GroupComposition, ToyAddition, SparseParity, GridDirections, ImageTask, Digits, Reviews,
    )
}  # fmt: skip


def make_task(spec: str | Task) -> Task:
    """A task from its spec, such as ``modular:p=113,operation=add,train_fraction=0.3,seed=1``.

    Raises:
        UnknownName: a task or an option that does not exist; the nearest are named.
        InterpError: a value out of range.

    >>> make_task("modular:p=7").inputs.shape
    torch.Size([49, 3])
    """
    if isinstance(spec, Task):
        return spec
    return build_task(*parse_spec(spec))


def build_task(name: str, options: dict[str, Any]) -> Task:
    """A task from its name and the options that a user gave; errors as those of `make_task`."""
    if name not in TASKS:
        raise UnknownName(unknown("task", name, TASKS))
    cls = TASKS[name]
    known = cls.option_names()
    for option in options:
        if option not in known:
            raise UnknownName(unknown(f"option of task {name}", option, known))
    if missing := [option for option in cls.required_names() if option not in options]:
        raise InterpError(f"task {name} needs {', '.join(missing)}: write {name}:{missing[0]}=...")
    try:
        return cls(**options)
    except (TypeError, OverflowError) as error:  # values of a kind that no check foresaw
        raise InterpError(f"task {name}: an option has a value of the wrong kind ({error})") from None


def task_to_dict(task: Task) -> dict[str, Any]:
    """Plain values from which `task_from_dict` rebuilds the task: its fields; a table that has no name is included.

    >>> task_from_dict(task_to_dict(make_task("modular:p=7,seed=3"))) == make_task("modular:p=7,seed=3")
    True
    """
    return {"name": task.name, **task.stored()}


def task_from_dict(stored: dict[str, Any]) -> Task:
    """The task that `task_to_dict` wrote.

    Raises:
        UnknownName: a task that this version does not know.
        InterpError: fields that do not fit it.
    """
    if not isinstance(stored, dict):
        raise InterpError(f"a stored task is a dict of its fields, this is {type(stored).__name__}")
    options = dict(stored)
    name = options.pop("name", None)
    if not isinstance(name, str) or name not in TASKS:
        raise UnknownName(unknown("task", str(name), TASKS))
    try:
        return TASKS[name](**options)
    except (TypeError, OverflowError) as error:
        raise InterpError(f"the stored task {name!r} does not fit this version: {error}") from None


def task_from_config(config: dict[str, Any]) -> tuple[Task | None, str | None]:
    """The task that a training config describes, and a note on what it leaves open.

    Understands the configs of neelnanda-io/Grokking (``p``, ``fn_name``, ``frac_train``, ``seed``) and of
    bilal-chughtai/rep-theory-mech-interp (``group``, ``group_parameter``, ``frac_train``, ``seed``). Each family has its
    own way to split: Python's shuffle in the first, torch's permutation in the second.
    """
    if "group" in config and "group_parameter" in config:
        options = f"train_fraction={config.get('frac_train', 0.3)},seed={config.get('seed', 0)},split=torch"
        if config["group"] == "CyclicGroup":
            return make_task(f"modular:p={config['group_parameter']},operation=add,{options}"), None
        return None, (
            f"the config names {config['group']}({config['group_parameter']}), but not the order of its elements: "
            f"give its table, --task group:table=TABLE.csv,{options}"
        )
    if "p" in config and "fn_name" in config:
        operation = {"x2xyy2": "x^2+xy+y^2"}.get(config["fn_name"], config["fn_name"])
        if operation not in OPERATIONS:
            return (
                None,
                f"the config's function {operation!r} is not among {', '.join(OPERATIONS)}: give --task",
            )
        fraction, seed = config.get("frac_train", 0.3), config.get("seed", 0)
        return ModularArithmetic(int(config["p"]), operation, float(fraction), int(seed)), None
    return None, None


__all__ = [
    "TASKS", "BinaryOperation", "CyclicStructure", "Digits", "Examples", "GridDirections", "GroupComposition", "ImageTask",
    "ModularArithmetic", "Reviews", "SparseParity", "Task", "ToyAddition", "make_task", "task_from_config",
    "task_from_dict", "task_to_dict",
]  # fmt: skip
