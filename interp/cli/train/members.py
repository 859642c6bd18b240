"""Reading what was typed after ``interp train TASK``: the task's options, the members, and the settings of the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interp.cli.train.settings import SETTINGS, SEVERAL
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
    from interp.training.members import grid

    axes = _axes(task, given)
    options = {n: given[n] for n in task.paths if given.get(n) is not None}
    for name in [n for n in axes if n in task.option_names() and n != "seed"]:
        options[name] = axes[name][0]
        if len(axes[name]) == 1:
            del axes[name]
    for name in ("seed", "data_seed"):  # the run's own task is that of its first member
        options |= {"seed": axes[name][0]} if name in axes else {}
    settings = _settings(given)
    for name in [n for n in axes if len(axes[n]) == 1 and n in {s.name for s in SETTINGS}]:
        settings[name] = axes.pop(name)[0]
    return Typed(options, grid(axes), settings)


def _axes(task: type[Task], given: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The values of everything in which members may differ, as far as it was typed."""
    from interp.training.members import SEEDS, STARTS

    own = {*SEEDS, *SEVERAL, *(n for n in task.option_names() if n not in task.paths)} - {*STARTS}
    whole = _whole(task, given)
    axes = {n: axis_values(n, text, whole(n)) for n, text in given.items() if n in own and isinstance(text, str)}
    axes |= {n: _several(given[n]) for n in STARTS if given.get(n) is not None}
    for entry in given["grid"] or ():
        name, equals, text = entry.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise InterpError(f"cannot read --grid {entry!r}: write --grid NAME=VALUES, such as lr=1e-4:1e-2:5:log")
        if name in axes or (name in {s.name for s in SETTINGS} and given.get(name) is not None):
            raise InterpError(f"{name} is given twice, as --{name.replace('_', '-')} and in --grid")
        axes[name] = axis_values(name, text, whole(name))
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


def _whole(task: type[Task], given: Mapping[str, Any]) -> Callable[[str], bool]:
    """Tells of a setting's name whether its values are whole numbers."""
    from interp.training.member_plans import is_whole
    from interp.training.recipes import recipe_for

    kind = (given.get("model") or "").partition(":")[0].strip() or recipe_for(task).model["kind"]
    return lambda name: is_whole(name, task, kind)


def axis_values(name: str, text: str, whole: bool = False) -> list[Any]:
    """The values of an axis of ``--grid``.

    Args:
        name: of the setting.
        text: as `parse_values` reads it; networks are parted by semicolons, since their specs have commas, and two betas, or
            parameters that are frozen together, by a slash (``none`` freezes nothing).
        whole: the values of a range are rounded to whole numbers.

    Returns:
        the values.

    Raises:
        InterpError: no values, or a range that cannot be read.

    >>> axis_values("model", "mlp:hidden=48,d_embed=8; transformer"), axis_values("betas", "0.9/0.98,0.9/0.999")
    (['mlp:hidden=48,d_embed=8', 'transformer'], [(0.9, 0.98), (0.9, 0.999)])
    >>> axis_values("batch_size", "8:64:4:log", whole=True), axis_values("frozen", "none,embedding/last")
    ([8, 16, 32, 64], [[], ['embedding', 'last']])
    """
    from interp._util.specs import parse_value
    from interp.training.members import parse_values

    if name == "model":
        specs = [part.strip() for part in text.split(";") if part.strip()]
        if not specs:
            raise InterpError(f"{name} has no value in {text!r}")
        return specs
    if name == "betas":
        return [tuple(parse_value(beta) for beta in pair.split("/")) for pair in text.split(",")]
    if name == "frozen":
        return [[] if group == "none" else group.split("/") for group in text.split(",")]
    values = parse_values(name, text)
    if whole and ":" in text and all(isinstance(v, float) for v in values):
        return list(dict.fromkeys(round(v) for v in values))
    return values


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that takes one value on the command line."""
    from interp.training.members import parse_values

    settings = {s.name: given[s.name] for s in SETTINGS if s.name not in SEVERAL}
    settings["readout"] = given["readout"]
    for name in ("betas", "grokfast"):
        if settings[name] is not None:
            settings[name] = tuple(parse_values(name, settings[name]))
    return settings
