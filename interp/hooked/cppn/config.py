"""The shape of a CPPN: layers of slots, each with its own activation function, written as a text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from interp.errors import InterpError, UnknownName, require_range, unknown
from interp.hooked.config import MOST_LAYERS, Config
from interp.hooked.cppn.activation_functions import CPPN_ACTIVATIONS

INPUTS = ("y", "x", "d", "b")
OUTPUTS = ("hue", "saturation", "value")
MAX_LAYERS, MAX_UNITS = 1000, 100_000  # limits of an architecture read from a file
VARIANTS = ("plain", "gaussian-adjusted", "relu")
MAX_ARCH = 10_000  # characters


@dataclass(frozen=True)
class CPPNConfig(Config):
    """Shape of a `HookedCPPN`.

    Args:
        arch: the number of hidden layers and the slots of each by activation function, in order:
            ``12;cache:15,gaussian:4,identity:2,sin:1`` is 12 layers of 22 slots.

    Raises:
        InterpError: a text that cannot be read as an architecture; the message says which part.
        UnknownName: an activation function that is not known.

    >>> CPPNConfig("2;cache:1,sin:2").kinds
    ('cache', 'sin', 'sin')
    """

    kind: ClassVar[str] = "cppn"
    d_in: ClassVar[int] = len(INPUTS)
    d_out: ClassVar[int] = 3  # red, green, blue

    arch: str

    def __post_init__(self) -> None:
        n_layers, groups = parse_arch(self.arch)
        require_range("the number of hidden layers", n_layers, 0, MOST_LAYERS)
        object.__setattr__(self, "arch", format_arch(n_layers, groups))

    @cached_property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """Activation functions and the number of their slots, in order."""
        return parse_arch(self.arch)[1]

    @cached_property
    def n_layers(self) -> int:
        """Number of hidden layers."""
        return parse_arch(self.arch)[0]

    @cached_property
    def width(self) -> int:
        """Number of slots of a layer."""
        return sum(n for _, n in self.groups)

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The activation function of every slot of a layer."""
        return tuple(name for name, n in self.groups for _ in range(n))


def parse_arch(arch: str) -> tuple[int, tuple[tuple[str, int], ...]]:
    """Read an architecture.

    Args:
        arch: as in `CPPNConfig`.

    Returns:
        the number of hidden layers, and pairs of an activation function and its number of slots, in order.

    Raises:
        InterpError: a text that cannot be read as an architecture; the message says which part.
        UnknownName: an activation function that is not known.
    """
    form = "write LAYERS;ACTIVATION:UNITS,..., such as 12;cache:15,gaussian:4,identity:2,sin:1"
    if not isinstance(arch, str):
        raise InterpError(f"an architecture is a string, got {type(arch).__name__}; {form}")
    if len(arch) > MAX_ARCH:
        raise InterpError(f"the architecture has {len(arch):,} characters, at most {MAX_ARCH:,} are allowed; {form}")
    layers, separator, units = arch.partition(";")
    if not separator or not re.fullmatch(r"\s*[0-9]{1,9}\s*", layers):
        raise InterpError(f"cannot read the architecture {arch[:100]!r}: {form}")
    groups = []
    for part in units.split(","):
        name, colon, count = (piece.strip() for piece in part.partition(":"))
        if not colon or not re.fullmatch(r"[0-9]{1,9}", count):
            raise InterpError(f"cannot read {part.strip()[:60]!r} in the architecture {arch[:100]!r}: {form}")
        if name not in CPPN_ACTIVATIONS:
            raise UnknownName(unknown("activation", name[:60], CPPN_ACTIVATIONS))
        groups.append((name, int(count)))
    if len({name for name, _ in groups}) < len(groups):
        raise InterpError(f"the architecture {arch[:100]!r} names an activation twice; add up its slots")
    groups = [(name, n) for name, n in groups if n]
    width = sum(n for _, n in groups)
    if not 1 <= int(layers) <= MAX_LAYERS or not 1 <= width <= MAX_UNITS:
        raise InterpError(
            f"the architecture {arch[:100]!r} has {int(layers)} layers of {width}; a CPPN has 1 to {MAX_LAYERS} layers "
            f"of 1 to {MAX_UNITS:,} slots"
        )
    return int(layers), tuple(groups)


def format_arch(n_layers: int, groups: tuple[tuple[str, int], ...] | list[tuple[str, int]]) -> str:
    """Write an architecture.

    Args:
        n_layers: number of hidden layers.
        groups: pairs of an activation function and its number of slots.

    Returns:
        a string that `parse_arch` reads back.

    >>> format_arch(2, [("cache", 1), ("sin", 2)])
    '2;cache:1,sin:2'
    """
    return f"{n_layers};" + ",".join(f"{name}:{n}" for name, n in groups if n)


def variant(config: CPPNConfig, width: int = 1, kind: str = "plain") -> CPPNConfig:
    """A wider or all-ReLU architecture to compare a network with.

    Args:
        config: the architecture to vary.
        width: factor on the number of slots.
        kind: ``"plain"``; ``"gaussian-adjusted"``: the number of Gaussian slots stays as it is; ``"relu"``: all are ReLU.

    Returns:
        the varied architecture, of the same depth.

    Raises:
        UnknownName: no such kind.
        InterpError: a width below 1, or an architecture that becomes too wide.

    >>> variant(CPPNConfig("2;cache:1,gaussian:2"), 4, "gaussian-adjusted").arch
    '2;cache:4,gaussian:2'
    """
    if kind not in VARIANTS:
        raise UnknownName(unknown("variant", kind, VARIANTS))
    require_range("width", width, 1)
    if kind == "relu":
        groups = [("relu", config.width * width)]
    else:
        held = ("gaussian",) if kind == "gaussian-adjusted" else ()
        groups = [(name, n if name in held else n * width) for name, n in config.groups]
    return CPPNConfig(format_arch(config.n_layers, groups))
