"""Quantities: what can be computed again from a published file, and the contract by which they are found.

A quantity is a function of a `Material`, decorated with `quantity` and registered as an entry point in the group
``interp.quantities``. The suite's own are registered in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from interp._util.registry import in_order, load_group
from interp.errors import InterpError, UnknownName, unknown
from interp.plugins.options import Option, keyword_options, parse_options
from interp.verification.material import Material

GROUP = "interp.quantities"
CLAIM = (
    "claim",
    "file",
    "quantity",
    "published",
    "published_in",
    "within",
    "tolerance",
    "where",
    "seconds",
    "any_order",
)
HOW = ("task", "layout", "key", "step", "member")  # how `interp.load` is to read a file
Reads = Literal["network", "contents", "file"]
READ_BY: Mapping[Reads, tuple[str, ...]] = {"network": HOW, "contents": ("key",), "file": ()}


@dataclass(frozen=True)
class Quantity:
    """A registered quantity. Called with a `Material` it returns a number, a text, a truth value, a list or a table of these.

    Attributes:
        name: as it stands in a file of claims.
        function: computes the value.
        summary: one line: what it is, and its unit.
        options: the keyword arguments of the function, fields of a claim.
        order: place in lists; the suite's own are below 100.
        reads: the network in the file, what a checkpoint holds, or the file as it is: whether a claim may say how it is read.
    """

    name: str
    function: Callable[..., Any]
    summary: str
    options: tuple[Option, ...]
    order: int = 100
    reads: Reads = "network"

    def __call__(self, material: Material, **options: Any) -> Any:
        """Compute the value.

        Args:
            material: the file.
            **options: of the quantity.

        Returns:
            the value.

        Raises:
            InterpError: the file does not have it, or an option is wrong.
        """
        return self.function(material, **self.parse(options))

    def parse(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All options, with the given values checked against their types."""
        return parse_options(self.name, self.options, given, typed=False)


def quantity(
    name: str, *, summary: str, order: int = 100, reads: Reads = "network"
) -> Callable[[Callable[..., Any]], Quantity]:
    """Make a function of a published file a quantity, which claims can name.

    Args:
        name: as it stands in a file of claims; the entry point (group ``interp.quantities``) carries the same name.
        summary: one line: what it is, and its unit.
        order: place in lists.
        reads: ``network`` (`Material.subject`), ``contents`` (of a checkpoint) or ``file``. Claims may say how a network is
            read (task, layout, key, step, member), of contents under which key.

    Returns:
        A decorator; it turns the function into a `Quantity`.

    Raises:
        TypeError: at once, for an impossible name, or a signature other than one material followed by keyword-only options
            with a type, which are not called as a field of every claim is. One without a default is required.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise TypeError(f"quantity {name!r}: a name consists of letters, digits, _, . and -")
    if reads not in get_args(Reads):
        raise TypeError(f"quantity {name!r}: reads is one of {', '.join(get_args(Reads))}, not {reads!r}")

    def register(function: Callable[..., Any]) -> Quantity:
        options = keyword_options(function, f"quantity {name!r}", "material", may_require=True)
        if taken := [o.name for o in options if o.name in (*CLAIM, *HOW)]:
            raise TypeError(f"quantity {name!r}: every claim has a field {taken[0]}; call the option otherwise")
        made = Quantity(name, function, summary, options, order, reads)
        object.__setattr__(made, "__doc__", function.__doc__)
        return made

    return register


def quantities() -> tuple[dict[str, Quantity], dict[str, str]]:
    """All registered quantities by name, and the errors of plugins that could not be loaded."""
    return in_order(load_group(GROUP), Quantity, "a quantity")


def find_quantity(name: str) -> Quantity:
    """The quantity of a name.

    Args:
        name: as registered.

    Returns:
        the quantity.

    Raises:
        UnknownName: no such quantity; the nearest are named.
        InterpError: it could not be loaded.
    """
    known, broken = quantities()
    if name in broken:
        raise InterpError(f"quantity {name}: {broken[name]}")
    if name not in known:
        raise UnknownName(unknown("quantity", name[:60], known))
    return known[name]
