"""Reading what was typed after ``interp train TASK``: the task's options, the members, and the settings of the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interp.cli.train.settings import SETTINGS
from interp.errors import InterpError

if TYPE_CHECKING:
    from interp.tasks import Task


@dataclass(frozen=True)
class Typed:
    """What a user typed, sorted by what it belongs to.

    Attributes:
        options: of the task, shared by all members.
        members: per member, what it has for its own.
        settings: of the run: arguments of `interp.train`; None where nothing was typed.
    """

    options: dict[str, Any]
    members: list[dict[str, Any]]
    settings: dict[str, Any]


def read_typed(task: type[Task], given: Mapping[str, Any]) -> Typed:
    """Sort what was typed. What all members share belongs to the task or to the run, not to each of them.

    Args:
        task: the class of the task.
        given: the values of the command's options, by name.

    Returns:
        options, members and settings.

    Raises:
        InterpError: several values for something that all members share, or a value given twice.
    """
    from interp.training.members import OWN, SEEDS, grid

    axes = _axes(task, given)
    options = {n: given[n] for n in task.paths if given.get(n) is not None}
    for name in [n for n in axes if n in task.option_names() and n != "seed"]:
        options[name] = axes[name][0]
        if len(axes[name]) == 1:
            del axes[name]
    for name in ("seed", "data_seed"):  # the run's own task is that of its first member
        options |= {"seed": axes[name][0]} if name in axes else {}
    settings = _settings(given, OWN)
    for name in [n for n in axes if len(axes[n]) == 1 and n in OWN and n not in SEEDS]:
        settings[name] = axes.pop(name)[0]
    return Typed(options, grid(axes), settings)


def _axes(task: type[Task], given: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The values of everything in which members may differ, as far as it was typed."""
    from interp.training.members import OWN, SEEDS, STARTS, parse_values

    own = {*OWN, *(n for n in task.option_names() if n not in task.paths)}
    axes = {n: parse_values(n, text) for n, text in given.items() if n in own - {*STARTS} and isinstance(text, str)}
    axes |= {n: _several(given[n]) for n in STARTS if given.get(n) is not None}
    for entry in given["grid"] or ():
        name, equals, text = entry.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise InterpError(f"cannot read --grid {entry!r}: write --grid NAME=VALUES, such as lr=1e-4:1e-2:5:log")
        if name in axes:
            raise InterpError(f"{name} is given twice, as --{name.replace('_', '-')} and in --grid")
        axes[name] = parse_values(name, text)
    if given["seeds"] is not None:
        if "seed" in axes:
            raise InterpError("give --seed or --seeds, not both")
        if given["seeds"] < 1:
            raise InterpError(f"--seeds must be at least 1, got {given['seeds']}")
        axes["seed"] = list(range(given["seeds"]))
    for name in [n for n in SEEDS if n in axes]:  # a range gives floats
        axes[name] = [int(v) if isinstance(v, float) and v.is_integer() else v for v in axes[name]]
    return axes


def _several(text: str) -> list[Any]:
    """Several schemes of initial weights with commas; the path of weights is one value, whatever it holds."""
    from interp.training.starts import SCHEMES

    parts = [part.strip() for part in text.split(",")]
    return list(parts) if all(part in SCHEMES for part in parts) else [text]


def _settings(given: Mapping[str, Any], own: tuple[str, ...]) -> dict[str, Any]:
    """Everything in which members cannot differ."""
    from interp.training.members import parse_values

    settings = {s.name: given[s.name] for s in SETTINGS if s.name not in own}
    settings["readout"] = given["readout"]
    for name in ("betas", "grokfast"):
        if settings[name] is not None:
            settings[name] = tuple(parse_values(name, settings[name]))
    for name in ("late_at", "batch_size"):
        if settings[name] is not None and settings[name].strip("-").isdecimal():
            settings[name] = int(settings[name])
    return settings
