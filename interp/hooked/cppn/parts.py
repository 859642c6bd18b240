"""The parts of a CPPN: its architecture, its activations, and the colour at its end."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from interp.errors import InterpError, UnknownName, require_range, unknown
from interp.hooked.base import Config


@dataclass(frozen=True)
class Activation:
    """An elementwise function of z, and its derivative from z and the function's value."""

    function: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor, Tensor], Tensor]


_LINEAR = Activation(lambda z: z, lambda z, _: torch.ones_like(z))
# Picbreeder's gaussian and sigmoid run from -1 to 1
CPPN_ACTIVATIONS: dict[str, Activation] = {
    "cache": _LINEAR,
    "cos": Activation(torch.cos, lambda z, _: -z.sin()),
    "gaussian": Activation(lambda z: 2 * torch.exp(-z.square()) - 1, lambda z, out: -2 * z * (out + 1)),
    "identity": _LINEAR,
    "relu": Activation(torch.relu, lambda z, _: (z > 0).to(z)),
    "sigmoid": Activation(lambda z: 2 * torch.sigmoid(z) - 1, lambda _, out: (1 - out.square()) / 2),
    "sin": Activation(torch.sin, lambda z, _: z.cos()),
    "tanh": Activation(torch.tanh, lambda _, out: 1 - out.square()),
}
LINEAR = tuple(name for name, activation in CPPN_ACTIVATIONS.items() if activation is _LINEAR)
INPUTS = ("y", "x", "d", "b")
OUTPUTS = ("hue", "saturation", "value")
MAX_LAYERS, MAX_UNITS = 1000, 100_000  # of an architecture read from a file
VARIANTS = ("plain", "gaussian-adjusted", "relu")
MAX_ARCH = 10_000  # characters
LONGEST_EDGE = 8192  # of a drawn picture


@dataclass(frozen=True)
class CPPNConfig(Config):
    """Shape of a `HookedCPPN`: ``arch`` is the number of hidden layers and the units of each, by activation.

    Every layer has the same slots, in the order written: ``12;cache:15,gaussian:4,identity:2,sin:1`` is 12 layers of 22.

    Raises:
        InterpError: a text that is no architecture; the message says which part.
        UnknownName: an activation that is not known.

    >>> CPPNConfig("2;cache:1,sin:2").kinds
    ('cache', 'sin', 'sin')
    """

    kind: ClassVar[str] = "cppn"
    d_in: ClassVar[int] = len(INPUTS)
    d_out: ClassVar[int] = 3  # red, green, blue

    arch: str

    def __post_init__(self) -> None:
        n_layers, groups = parse_arch(self.arch)
        object.__setattr__(self, "arch", format_arch(n_layers, groups))

    @cached_property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """Activation and number of its slots, in their order."""
        return parse_arch(self.arch)[1]

    @cached_property
    def n_layers(self) -> int:
        """Hidden layers."""
        return parse_arch(self.arch)[0]

    @cached_property
    def width(self) -> int:
        """Slots of a layer."""
        return sum(n for _, n in self.groups)

    @cached_property
    def kinds(self) -> tuple[str, ...]:
        """The activation of every slot of a layer."""
        return tuple(name for name, n in self.groups for _ in range(n))


def parse_arch(arch: str) -> tuple[int, tuple[tuple[str, int], ...]]:
    """Number of hidden layers, and (activation, slots) in their order.

    Raises:
        InterpError, UnknownName: see `CPPNConfig`.
    """
    form = "write LAYERS;ACTIVATION:UNITS,..., such as 12;cache:15,gaussian:4,identity:2,sin:1"
    if not isinstance(arch, str):
        raise InterpError(f"an architecture is a text, got {type(arch).__name__}; {form}")
    if len(arch) > MAX_ARCH:
        raise InterpError(f"the architecture is a text of {len(arch):,} characters, and {MAX_ARCH:,} are read; {form}")
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
        raise InterpError(f"the architecture {arch[:100]!r} names an activation twice; add up its units")
    groups = [(name, n) for name, n in groups if n]
    width = sum(n for _, n in groups)
    if not 1 <= int(layers) <= MAX_LAYERS or not 1 <= width <= MAX_UNITS:
        raise InterpError(
            f"the architecture {arch[:100]!r} has {int(layers)} layers of {width}; a CPPN has 1 to {MAX_LAYERS} layers "
            f"of 1 to {MAX_UNITS:,} slots"
        )
    return int(layers), tuple(groups)


def format_arch(n_layers: int, groups: tuple[tuple[str, int], ...] | list[tuple[str, int]]) -> str:
    """The text that `parse_arch` reads back.

    >>> format_arch(2, [("cache", 1), ("sin", 2)])
    '2;cache:1,sin:2'
    """
    return f"{n_layers};" + ",".join(f"{name}:{n}" for name, n in groups if n)


def variant(config: CPPNConfig, width: int = 1, kind: str = "plain") -> CPPNConfig:
    """An architecture to compare a network with (METHODS A).

    Args:
        width: every slot this many times.
        kind: ``"plain"``; ``"gaussian-adjusted"``: the Gaussian slots stay as many as they were; ``"relu"``: all are ReLU.

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


def activate(z: Tensor, groups: tuple[tuple[str, int], ...]) -> Tensor:
    """Every slot's own activation; ``z [(member,) slot, pixel]``. With a member axis its backward pass is one kernel a group."""
    return _Activate.apply(z, groups) if z.ndim == 3 else _mixed(z, groups)  # pyright: ignore[reportReturnType]


def _mixed(z: Tensor, groups: tuple[tuple[str, int], ...]) -> Tensor:
    parts = z.split([n for _, n in groups], -2)
    return torch.cat([CPPN_ACTIVATIONS[name].function(p) for p, (name, _) in zip(parts, groups, strict=True)], -2)


class _Activate(torch.autograd.Function):
    """`_mixed` that keeps z and its own value alone, not every step between them."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, groups: tuple[tuple[str, int], ...]) -> Tensor:
        out = _mixed(z, groups)
        ctx.save_for_backward(z, out)
        ctx.groups = groups
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        sizes = [n for _, n in ctx.groups]
        pieces = zip(*(t.split(sizes, -2) for t in (*ctx.saved_tensors, *gradients)), ctx.groups, strict=True)
        slopes = [
            g if name in LINEAR else CPPN_ACTIVATIONS[name].derivative(z, out).mul_(g)
            for z, out, g, (name, _) in pieces
        ]
        return torch.cat(slopes, -2), None


Size = int | tuple[int, int]
Span = tuple[float, float]


def plane(size: Size, x: Span, y: Span, dtype: torch.dtype) -> tuple[Tensor, int, int]:
    """`coordinates` of a picture to draw, with its rows and columns.

    Raises:
        InterpError: no such size, or a rectangle that has no extent.
    """
    rows, columns = (size, size) if isinstance(size, int) else size
    if not all(isinstance(n, int) and 1 <= n <= LONGEST_EDGE for n in (rows, columns)):
        raise InterpError(f"a picture has 1 to {LONGEST_EDGE} pixels along each edge, got {rows} x {columns}")
    if not all(math.isfinite(a) and math.isfinite(b) and a != b for a, b in (x, y)):
        raise InterpError(f"the rectangle x {x}, y {y} has no extent; give two different numbers for each")
    return coordinates(rows, columns, x, y, dtype), rows, columns


def coordinates(
    rows: int,
    columns: int,
    x: Span = (-1.0, 1.0),
    y: Span = (-1.0, 1.0),
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """``y, x, d, b`` of every pixel ``[row * col, 4]``, row-major, over a rectangle of the plane: the whole by default.

    Rows go with x and columns with y; ``d = 1.4 sqrt(x^2 + y^2)`` and ``b = 1``.

    >>> coordinates(1, 3)[:, 0].tolist()  # y runs along a row
    [-1.0, 0.0, 1.0]
    """
    down, along = torch.linspace(*x, rows, dtype=dtype), torch.linspace(*y, columns, dtype=dtype)
    down, along = torch.meshgrid(down, along, indexing="ij")
    d = 1.4 * (down**2 + along**2).sqrt()
    return torch.stack([along, down, d, torch.ones_like(down)], dim=-1).reshape(-1, 4)


def rgb(hsv: Tensor) -> Tensor:
    """What a CPPN's outputs (hue, saturation, value) look like: red, green and blue from 0 to 1, along the last axis.

    Hue is taken as ``(h + 1) mod 1``, saturation and ``|value|`` are clipped to 0..1, and then HSV becomes RGB:
    ``c = v - v s m`` with m = clip(2 - |6 h - 3|), clip(|6 h - 2| - 1), clip(|6 h - 4| - 1) for red, green and blue, each
    clipped to 0..1. Source: akarshkumar0101/fer, by another route to the same colours.

    >>> rgb(torch.tensor([0.0, 1.0, -1.0])).tolist()
    [1.0, 0.0, 0.0]
    """
    return torch.stack(rgb_planes(*hsv.unbind(-1)), -1)


def rgb_planes(h: Tensor, s: Tensor, v: Tensor) -> list[Tensor]:
    """`rgb` of three tensors of one shape, as three of that shape."""
    h, s, v = 6 * (h - h.floor()), s.clamp(0, 1), v.abs().clamp(max=1)
    faded = v * s
    missing = (2 - (h - 3).abs(), (h - 2).abs() - 1, (h - 4).abs() - 1)
    return [v - faded * m.clamp(0, 1) for m in missing]
