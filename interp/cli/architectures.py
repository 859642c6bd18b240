"""``interp train image``: the architectures that are trained, and a run for each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interp.errors import InterpError

if TYPE_CHECKING:
    from interp.hooked import CPPNConfig

ARCHITECTURE_HELP = {
    "arch_of": "Take the architecture of this network: a genome, a checkpoint, or a folder of either.",
    "arch": "The architecture itself: '12;cache:15,gaussian:4,identity:2,sin:1'.",
    "width": "Every slot of a layer so many times: 1,2,4. Several widths make a folder of runs.",
    "variant": "plain, gaussian-adjusted (its Gaussian slots stay as many), relu (all are ReLU); several, with commas.",
}


def architectures(given: Mapping[str, Any]) -> dict[str, CPPNConfig]:
    """By the name of the run: every width with every variant. Empty where none of `ARCHITECTURE_HELP`'s options was given.

    Raises:
        InterpError: options that exclude each other, no architecture to widen, or a network that is no CPPN.
    """
    if all(given.get(name) is None for name in ARCHITECTURE_HELP):
        return {}
    if given.get("model") is not None:
        raise InterpError("give --model, or --arch-of, --arch, --width and --variant, not both")
    from interp.hooked import CPPNConfig
    from interp.hooked.cppn.config import VARIANTS, variant
    from interp.training.members import parse_values
    from interp.training.recipes import RECIPES

    if given.get("arch_of") is not None and given.get("arch") is not None:
        raise InterpError("give --arch-of or --arch, not both")
    given = {name: given.get(name) for name in ARCHITECTURE_HELP}
    base = CPPNConfig(RECIPES["image", "cppn"].model["arch"] if given["arch"] is None else given["arch"])
    if given.get("arch_of") is not None:
        base = _arch_of(Path(given["arch_of"]))
    widths = parse_values("width", "1" if given["width"] is None else given["width"])
    kinds = [k.strip() for k in ("plain" if given["variant"] is None else given["variant"]).split(",") if k.strip()]
    if not kinds:
        raise InterpError(f"--variant {given['variant']!r} names none; known: {', '.join(VARIANTS)}")
    found: dict[str, CPPNConfig] = {}
    for kind in kinds:
        for width in widths:
            if not isinstance(width, int):
                raise InterpError(f"--width must be whole numbers, got {width!r}")
            config = variant(base, width, kind)
            if config not in found.values():  # at width 1, gaussian-adjusted is plain
                found[f"width-{width}" + ("" if kind == "plain" else f"-{kind}")] = config
    return found


def _arch_of(path: Path) -> CPPNConfig:
    from interp.checkpoints import load
    from interp.hooked import CPPNConfig

    config = load(path, device="cpu").model.config
    if not isinstance(config, CPPNConfig):
        raise InterpError(f"--arch-of {path}: is a {config.kind}, not a CPPN, so it has no architecture to take")
    return config
