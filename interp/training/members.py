"""Members of an ensemble: the settings that a network of a run has for its own, and grids of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import lru_cache
from typing import Any

from interp._util.schema import fits, short
from interp._util.specs import parse_value
from interp.errors import InterpError, UnknownName, kind_of, require_range, unknown
from interp.hooked import Config, model_class
from interp.tasks import Task
from interp.training.updates.optimizers import RATES, Optimizer

PENALTIES = ("l1", "norm_penalty", "entropy_penalty", "sparsity_penalty", "complexity_penalty")
SCALES = ("init_scale", "embedding_scale")
SEEDS = ("seed", "data_seed", "init_seed", "order_seed")
STARTS = ("init", "mask")  # names: of a scheme, or of given weights
OWN = (
    *SEEDS,
    *SCALES,
    *RATES,
    *PENALTIES,
    "label_smoothing",
    *STARTS,
)  # and the task's options: these may differ in a block
SHARED = (
    "task",
    "members",
    "starts",
    "steps",
    "lr_times_steps",
    "metrics",
    "checkpoints",
    "dtype",
    "name",
)  # by all members
OPTIMIZER_FIELDS = tuple(f.name for f in fields(Optimizer) if f.name not in ("name", *RATES))
WIDTHS = ("width", "depth")  # short for an MLP's ``hidden``


@lru_cache
def member_names(task: type[Task], plan_fields: tuple[str, ...] = (), kind: str | None = None) -> tuple[str, ...]:
    """Everything in which members of a run may differ.

    Args:
        task: the class of what is trained on.
        plan_fields: of the plan; those that all members share are left out.
        kind: of the network; None leaves its fields out.

    Returns:
        names of the task's options, of the plan's and the optimizer's fields, and of the network's config.
    """
    network = [] if kind is None else [f.name for f in fields(model_class(kind).config_class)]
    own = (*OWN, *(n for n in task.option_names() if n != "seed"), *(n for n in plan_fields if n not in SHARED))
    return tuple(dict.fromkeys((*own, *OPTIMIZER_FIELDS, *network, *(WIDTHS if "hidden" in network else ()))))


def check_member(member: Mapping[str, Any], task: Task, plan_fields: tuple[str, ...], model: Config) -> dict[str, Any]:
    """Refuse a member whose settings cannot be; values of what changes its shape or its step are checked when it is built.

    Args:
        member: its own settings by name.
        task: what it is trained on; its options count as settings.
        plan_fields: names of the plan's fields.
        model: the run's network.

    Returns:
        the settings as a dict of its own.

    Raises:
        UnknownName: something in which members cannot differ; the nearest names are given.
        InterpError: a value out of range, or not a mapping.
    """
    if not isinstance(member, Mapping):
        raise InterpError(f'a member must be a mapping of its own settings, such as {{"seed": 0}}, got {member!r}')
    spec = member.get("model")
    if spec is not None and not isinstance(spec, str):
        raise InterpError(f"a member's model is a spec such as 'mlp:hidden=48', got {kind_of(spec)}")
    known = member_names(type(task), plan_fields, model.kind if spec is None else spec.partition(":")[0].strip())
    for name, value in member.items():
        if name in SHARED and name not in known:
            raise UnknownName(
                f"{name!r} is the same for all members of a run: give it to the run, or train several runs"
            )
        if name not in known:
            raise UnknownName(unknown("setting of a member", name, known))
        if name in SEEDS:
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
                raise InterpError(f"{name} must be a whole number of at least 0, got {value!r}")
        elif name in (*SCALES, *RATES, *PENALTIES):
            require_number(name, value)
        elif name == "label_smoothing":
            require_number(name, value)
            require_range(name, value, 0, 1)
    return {n: tuple(v) if isinstance(v, list) else v for n, v in member.items()}  # as JSON gives a tuple back


def seed_of(member: Mapping[str, Any], purpose: str) -> int:
    """The seed of one of the three things that are random in a member's training.

    ``seed`` seeds all three; ``data_seed``, ``init_seed`` and ``order_seed`` each replace it for one. What has neither is
    seeded by 0; the data by the task's own seed (`Task.of_member`).

    Args:
        member: its own settings.
        purpose: ``"init"``, the initial weights; ``"order"``, of the batches, and dropout.

    Returns:
        the seed.

    >>> seed_of({"seed": 3, "init_seed": 5}, "init"), seed_of({"seed": 3, "init_seed": 5}, "order"), seed_of({}, "order")
    (5, 3, 0)
    """
    return member.get(f"{purpose}_seed", member.get("seed", 0))


def as_members(given: int | Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """The members that a user gave.

    Args:
        given: settings per member; or a number n, which is ``seeds(n)``.

    Returns:
        settings per member; `Plan` checks them.

    Raises:
        InterpError: something else.

    >>> as_members(2)
    ({'seed': 0}, {'seed': 1})
    """
    if isinstance(given, int):
        return tuple(seeds(given))
    if isinstance(given, (str, Mapping)) or not isinstance(given, Iterable):
        raise InterpError(
            f"members are a list of mappings, one per network, or their number; got a {type(given).__name__}. "
            'interp.grid({"lr": [0.1, 0.01], "seed": [0, 1]}) makes every combination, interp.seeds(n) n seeds'
        )
    return tuple(given)


def read_widths(value: Any) -> tuple[int, ...]:
    """The widths of hidden layers, as a user gives them.

    Args:
        value: ``"200x200"``, ``(200, 200)`` or ``200``.

    Returns:
        the widths.

    Raises:
        InterpError: anything else.
    """
    try:
        return tuple(int(w) for w in str(value).strip("()[] ").replace(",", "x").split("x") if w.strip())
    except ValueError:
        raise InterpError(f"cannot read the widths {value!r}: write hidden=200x200") from None


def require_number(name: str, value: Any) -> None:
    """Refuse what is not a finite number of at least 0.

    Raises:
        InterpError: anything else; the message has the name.
    """
    if not fits(value, float):
        raise InterpError(f"{name} must be a number, got {short(value) if isinstance(value, int) else repr(value)}")
    require_range(name, value, 0)


def grid(values: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    """Every combination of values, the last name varying fastest.

    Args:
        values: by name of a setting, the values that it takes.

    Returns:
        a mapping per member.

    Raises:
        InterpError: no mapping, or values that are not a list.

    >>> grid({"lr": [0.1, 0.01], "seed": [0, 1]})
    [{'lr': 0.1, 'seed': 0}, {'lr': 0.1, 'seed': 1}, {'lr': 0.01, 'seed': 0}, {'lr': 0.01, 'seed': 1}]
    """
    if not isinstance(values, Mapping):
        raise InterpError(
            f'grid takes a mapping, such as grid({{"lr": [0.1, 0.01], "seed": [0, 1]}}), got {kind_of(values)}'
        )
    names = list(values)
    for name, several in values.items():
        if isinstance(several, str) or not isinstance(several, Iterable):
            raise InterpError(f"{name} needs a list of values, such as [0.1, 0.01], got {several!r}")
    return [dict(zip(names, combination, strict=True)) for combination in itertools.product(*values.values())]


def seeds(n: int, first: int = 0) -> list[dict[str, int]]:
    """``n`` members that differ in everything random: data and split, initial weights, batches.

    Args:
        n: how many.
        first: the first seed; the others follow.

    Returns:
        a mapping per member, with its ``seed``.

    Raises:
        InterpError: not whole numbers.

    >>> seeds(2)
    [{'seed': 0}, {'seed': 1}]
    """
    if not isinstance(n, int) or not isinstance(first, int):
        raise InterpError(f"seeds takes whole numbers, such as seeds(5), got {n!r} and {first!r}")
    return [{"seed": first + i} for i in range(n)]


def parse_values(name: str, text: str) -> list[Any]:
    """The values of one axis of a grid, as typed.

    Args:
        name: of the setting, for the message.
        text: ``0.1,0.2``; or ``low:high:count``, evenly spaced, with ``:log`` evenly spaced in the logarithm.

    Returns:
        the values.

    Raises:
        InterpError: no values, or a range that cannot be read.

    >>> parse_values("lr", "0.01,0.1"), parse_values("wd", "0:10:3"), parse_values("lr", "0.001:0.1:3:log")
    ([0.01, 0.1], [0.0, 5.0, 10.0], [0.001, 0.01, 0.1])
    """
    parts = text.split(":")
    if len(parts) == 1 or not _number(parts[0]):
        values = [parse_value(part) for part in text.split(",") if part.strip()]
        if not values:
            raise InterpError(f"{name} has no value in {text!r}")
        return values
    spacing = parts[3] if len(parts) == 4 else "linear"
    if len(parts) not in (3, 4) or not all(map(_number, parts[:3])) or spacing not in ("linear", "log"):
        raise InterpError(f"cannot read the range {text!r} of {name}: write low:high:count, or low:high:count:log")
    low, high, count = float(parts[0]), float(parts[1]), float(parts[2])
    if not (math.isfinite(low) and math.isfinite(high) and 1 <= count < 1e6 and count == int(count)):
        raise InterpError(
            f"the range {text!r} of {name} needs finite ends and a whole number of values, got {parts[2]}"
        )
    if spacing == "log" and not (low > 0 and high > 0):
        raise InterpError(f"the range {text!r} of {name} is logarithmic, so both ends must be above 0")
    return spaced(low, high, int(count), log=spacing == "log")


def spaced(low: float, high: float, count: int, *, log: bool) -> list[float]:
    """``count`` values from low to high, evenly spaced (in their logarithm); both ends exact, the others to 12 digits."""
    if count == 1:
        return [low]
    inner = []
    for i in range(1, count - 1):
        t = i / (count - 1)
        inner.append(float(f"{low * (high / low) ** t if log else low + (high - low) * t:.12g}"))
    return [low, *inner, high]


def varying(members: Sequence[Mapping[str, Any]]) -> list[str]:
    """The settings in which members differ, in the order of their first appearance."""
    names = dict.fromkeys(name for member in members for name in member)
    return [n for n in names if any(m.get(n) != members[0].get(n) for m in members)]


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
