"""The architectures of CPPNs that ``interp train`` trains, each in a run of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.errors import InterpError

if TYPE_CHECKING:
    from interp.hooked import CPPNConfig
    from interp.tasks import Task

ARCHITECTURE_HELP = {
    "arch_of": "Take the architecture of this network: a genome, a checkpoint, or a folder of either.",
    "arch": "The architecture itself: '12;cache:15,gaussian:4,identity:2,sin:1'.",
    "width": "Repeat every unit of a layer this many times: 1,2,4. Several widths make a folder of runs.",
    "variant": "plain, gaussian-adjusted (as many Gaussian units as without widening), relu (all ReLU); several, with commas.",
}


def takes_architectures(task: type[Task]) -> bool:
    """Whether CPPNs are trained on the task, so that `ARCHITECTURE_HELP`'s options make sense for it."""
    from interp.training.recipes import recipe_kinds

    return "cppn" in recipe_kinds(task)


def architectures(task: type[Task], given: Mapping[str, Any]) -> dict[str, CPPNConfig]:
    """Every width with every variant.

    Args:
        task: what is trained on; its recipe has the architecture that is varied where none is given.
        given: the values of the command's options, by name.

    Returns:
        configs by the name of their run; empty where none of `ARCHITECTURE_HELP`'s options was given.

    Raises:
        InterpError: options that exclude each other, no architecture to widen, or a network that is not a CPPN.
    """
    if all(given.get(name) is None for name in ARCHITECTURE_HELP):
        return {}
    if given.get("model") is not None:
        raise InterpError("give --model, or --arch-of, --arch, --width and --variant, not both")
    if given.get("arch_of") is not None and given.get("arch") is not None:
        raise InterpError("give --arch-of or --arch, not both")
    from interp.hooked.cppn.config import variant
    from interp.training.members import parse_values

    base = _base(task, given)
    found: dict[str, CPPNConfig] = {}
    for kind in _variants(given.get("variant")):
        for width in parse_values("width", "1" if given.get("width") is None else given["width"]):
            if not isinstance(width, int):
                raise InterpError(f"--width must be whole numbers, got {width!r}")
            config = variant(base, width, kind)
            if config not in found.values():  # at width 1, gaussian-adjusted is plain
                found[f"width-{width}" + ("" if kind == "plain" else f"-{kind}")] = config
    return found


def _variants(text: str | None) -> list[str]:
    from interp.hooked.cppn.config import VARIANTS

    kinds = [k.strip() for k in ("plain" if text is None else text).split(",") if k.strip()]
    if not kinds:
        raise InterpError(f"--variant {text!r} names no variant; known: {', '.join(VARIANTS)}")
    return kinds


def _base(task: type[Task], given: Mapping[str, Any]) -> CPPNConfig:
    """The architecture that is widened and varied."""
    from interp.checkpoints import load
    from interp.hooked import CPPNConfig
    from interp.training.recipes import recipe_for

    if given.get("arch_of") is None:
        arch = given.get("arch")
        return CPPNConfig(recipe_for(task, "cppn").model["arch"] if arch is None else arch)
    path = Path(given["arch_of"])
    config = load(path, device="cpu").model.config
    if not isinstance(config, CPPNConfig):
        raise InterpError(f"--arch-of {path}: is a {config.kind}, not a CPPN, so it has no architecture to take")
    return config
