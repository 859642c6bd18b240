"""Tasks by name: ours and those that other packages register, from a spec, from options, or from a stored run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, TypeVar

from interp._util.registry import OURS, Registered
from interp._util.schema import require_fields
from interp._util.specs import parse_spec
from interp.errors import InterpError, UnknownName, kind_of, unknown
from interp.tasks.base import Task
from interp.tasks.given import GivenData

GROUP = "interp.tasks"
TaskClass = TypeVar("TaskClass", bound=type[Task])

# of a message: how a user gives a task
GIVE_A_TASK = "such as --task modular:p=113, in Python interp.Subject(name, model, interp.Examples(inputs, labels))"


def _fault(name: str, value: Any) -> str | None:
    """Why a class cannot be used as a task under a name."""
    if not (isinstance(value, type) and issubclass(value, Task)):
        return f"a task is a subclass of interp.Task, this is {value!r}"
    if missing := [n for n in ("name", "summary", "LOSSES") if not getattr(value, n, None)]:
        return f"{value.__name__} has no {' and no '.join(missing)}"
    if value.name != name:
        return f"{value.__name__}.name is {value.name!r}"
    if inspect.isabstract(value):
        return f"{value.__name__} does not implement {', '.join(sorted(value.__abstractmethods__))}"
    if "__dataclass_fields__" not in vars(value) or not is_dataclass(value):
        return f"{value.__name__} needs the decorator @dataclass(frozen=True)"
    if missing := [n for n in ("seed", "loss") if n not in value.field_names()]:
        return f"{value.__name__} has no field {' and no field '.join(missing)}"
    return None


TASKS: Registered[type[Task]] = Registered(GROUP, "task", _fault)


def register_task(cls: TaskClass) -> TaskClass:
    """Register a task for this process, as in a notebook; usable as a decorator.

    A run of such a task loads again only in a process that has registered it. An installed package registers its tasks as
    entry points in the group ``interp.tasks``.

    Args:
        cls: the task, a frozen dataclass.

    Returns:
        The class.

    Raises:
        InterpError: the class lacks something that a task needs, or an installed package has taken its name.
    """
    TASKS.add(getattr(cls, "name", getattr(cls, "__name__", "?")), cls)
    return cls


def make_task(spec: str | Task) -> Task:
    """A task from its spec, such as ``modular:p=113,operation=add,train_fraction=0.3,seed=1``.

    Args:
        spec: the text; a task is returned as it is.

    Returns:
        The task.

    Raises:
        UnknownName: a task or an option that does not exist; the nearest are named.
        InterpError: a value out of range, or neither a text nor a task.

    >>> make_task("modular:p=7").inputs.shape
    torch.Size([49, 3])
    """
    if isinstance(spec, Task):
        return spec
    if isinstance(spec, type) and issubclass(spec, Task):
        raise InterpError(f"a task is needed, got the class {spec.__name__}: make one, {spec.__name__}(...)")
    if not isinstance(spec, str):
        raise InterpError(f"a task is a text such as 'modular:p=113', or a Task; got {kind_of(spec)}")
    return build_task(*parse_spec(spec))


def build_task(name: str, options: Mapping[str, Any]) -> Task:
    """A task from its name and the options that a user gave.

    Args:
        name: as registered.
        options: values by the names of the task's options.

    Returns:
        The task.

    Raises:
        UnknownName: a task or an option that does not exist; the nearest are named.
        InterpError: a value out of range, or an option that is missing.
    """
    cls = TASKS.find(name)
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
    """Plain values from which `task_from_dict` rebuilds the task: its name and its fields.

    A table without a name is included. Of another package's task, the package is kept too.

    Args:
        task: any but examples given as tensors.

    Returns:
        Values that JSON can hold.

    Raises:
        InterpError: a task that cannot be stored.

    >>> task_from_dict(task_to_dict(make_task("modular:p=7,seed=3"))) == make_task("modular:p=7,seed=3")
    True
    """
    stored = {"name": task.name, **task.stored(), **({"given": task.given.to_dict()} if task.given is not None else {})}
    owner = TASKS.owner(task.name)
    if owner == OURS and TASKS.get(task.name) is type(task):
        return stored
    return {**stored, "package": owner or f"the module {type(task).__module__}"}


def task_from_dict(stored: Mapping[str, Any]) -> Task:
    """The task that `task_to_dict` wrote.

    Args:
        stored: its name and its fields.

    Returns:
        The task.

    Raises:
        UnknownName: a task that is not registered here; the message names the package that it came from.
        InterpError: fields that do not fit it.
    """
    if not isinstance(stored, Mapping):
        raise InterpError(f"a stored task is a dict of its fields, this is {kind_of(stored)}")
    options = dict(stored)
    name, package = options.pop("name", None), options.pop("package", None)
    cls = TASKS.find(str(name), None if package is None else str(package))
    try:
        if options.get("given") is not None:
            options["given"] = GivenData.from_dict(options["given"])
        require_fields(cls, options)
    except InterpError as error:
        raise InterpError(f"the stored task {name!r} does not fit: {error}") from None
    try:
        return cls(**options)
    except (TypeError, OverflowError) as error:
        raise InterpError(f"the stored task {name!r} does not fit this version: {error}") from None


def require_registered(task: Task) -> None:
    """Refuse a task whose run could not be loaded again.

    Args:
        task: to be trained on.

    Raises:
        InterpError: its class is not registered; the message says how to register it.
    """
    if TASKS.get(task.name) is not type(task) and task.storable:
        cls = type(task).__name__
        raise InterpError(
            f"the task {task.name!r} is not registered, so its run could not be loaded again: decorate {cls} with "
            "@interp.tasks.register_task, or register it as an entry point in the group interp.tasks"
        )
