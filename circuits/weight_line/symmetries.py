"""Which hidden units of a network may be relabelled without changing what it computes, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from interp.errors import InterpError

Role = Literal["in", "out", "gain"]
Parity = Literal["odd", "even", "none"]
ODD = ("tanh", "identity", "sin", "cppn sigmoid")  # f(-z) = -f(z): a CPPN's sigmoid runs from -1 to 1
EVEN = ("square", "cos", "gaussian", "ugaussian")  # f(-z) = f(z)


def parity_of(activation: str) -> Parity:
    """Whether an activation function is odd or even.

    Args:
        activation: its name; a CPPN's sigmoid is ``cppn sigmoid``, ``cache`` is ``identity``.

    Returns:
        ``"none"`` for all others.

    >>> parity_of("tanh"), parity_of("gaussian"), parity_of("relu")
    ('odd', 'even', 'none')
    """
    if activation in ODD:
        return "odd"
    return "even" if activation in EVEN else "none"


@dataclass(frozen=True)
class UnitGroup:
    """Units that may change places.

    Attributes:
        name: such as ``layers.0`` or ``residual``.
        size: number of units.
        kinds: of every unit; only units of one kind change places. Empty: all are of one kind.
        parities: of every unit's function: an ``odd`` unit may change the sign of what it reads and of what it hands on, an
            ``even`` one the sign of what it reads alone. Empty: none may.
        within: another group, each of whose units has units of this group of its own, as a head has dimensions.
        fixed: whether the units stay where they are; such a group only counts what others are within.
        site: the hook point that shows the units' activations; empty where none does.
    """

    name: str
    size: int
    kinds: tuple[str, ...] = ()
    parities: tuple[Parity, ...] = ()
    within: str = ""
    fixed: bool = False
    site: str = ""

    def classes(self) -> dict[str, list[int]]:
        """The units of every kind."""
        found: dict[str, list[int]] = {}
        for unit in range(self.size):
            found.setdefault(self.kinds[unit] if self.kinds else "", []).append(unit)
        return found

    def parity(self, unit: int) -> Parity:
        """The parity of a unit's function."""
        return self.parities[unit] if self.parities else "none"


@dataclass(frozen=True)
class Axis:
    """One axis of a parameter.

    Attributes:
        group: whose units lie along it; empty for none.
        role: whether it holds what the units read (``in``), what others read of them (``out``), or a factor of their own that
            no sign touches (``gain``).
        size: its length; -1 for what is left of the parameter's own axis.
    """

    group: str = ""
    role: Role = "gain"
    size: int = -1


@dataclass(frozen=True)
class Symmetries:
    """The relabellings of an architecture's units that leave its function as it is.

    Attributes:
        groups: by name, in the order in which signals pass them.
        axes: of every parameter. A parameter may have more axes here than in the model: an axis that joins operands and their
            dimensions, or gates and units, is written as two.
    """

    groups: Mapping[str, UnitGroup]
    axes: Mapping[str, tuple[Axis, ...]]
    notes: tuple[str, ...] = field(default=())

    def shape(self, parameter: str) -> tuple[int, ...]:
        """The shape that a parameter is viewed in, with a -1 where its own length is taken."""
        return tuple(axis.size for axis in self.axes[parameter])

    def inside(self, group: str) -> list[str]:
        """The groups within another one."""
        return [name for name, own in self.groups.items() if own.within == group]

    def outer(self) -> list[str]:
        """The groups that are within none."""
        return [name for name, own in self.groups.items() if not own.within]

    def places(self, group: str) -> list[tuple[str, int]]:
        """Parameters and axes along which a group's units lie."""
        return [(p, k) for p, axes in self.axes.items() for k, axis in enumerate(axes) if axis.group == group]

    @classmethod
    def read(cls, groups: list[UnitGroup], table: Mapping[str, str], notes: tuple[str, ...] = ()) -> Symmetries:
        """The symmetries that a table of texts describes.

        Args:
            groups: in the order in which signals pass them.
            table: by parameter, a word for every axis: ``in:layers.0``, ``out:layers.0``, ``gain:residual``, or ``-`` for an axis
                that keeps its order, with its length (``-2``) where the model has it joined to the next.
            notes: symmetries that are left out.

        Returns:
            the symmetries.

        Raises:
            InterpError: a word that is none of these.
        """
        known = {group.name: group for group in groups}
        return cls(known, {name: tuple(_axis(w, known) for w in text.split()) for name, text in table.items()}, notes)


def _axis(word: str, groups: Mapping[str, UnitGroup]) -> Axis:
    if match := re.fullmatch(r"-(\d*)", word):
        return Axis(size=int(match[1] or -1))
    role, _, name = word.partition(":")
    for known in get_args(Role):
        if role == known and name in groups:
            return Axis(name, known, groups[name].size)
    raise InterpError(f"an axis is -, in:GROUP, out:GROUP or gain:GROUP, got {word!r}; groups are {', '.join(groups)}")
