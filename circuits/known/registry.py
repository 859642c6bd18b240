"""The known circuits by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from circuits.known.attention_by_hand import and_or, induction
from circuits.known.compressing import compressed
from circuits.known.known_circuit import KnownCircuit
from circuits.known.mlps_by_hand import modular_addition, parity, superposition
from circuits.known.programs import fraction_previous, histogram, reverse, shuffle_dyck, sort
from interp.errors import UnknownName, unknown


def _interfering() -> KnownCircuit:
    """`sort` in 20 dimensions, where 24 would be exact."""
    return compressed(d_model=20)


CIRCUITS: dict[str, Callable[[], KnownCircuit]] = {
    "reverse": reverse, "sort": sort, "histogram": histogram, "fraction_previous": fraction_previous,
    "shuffle_dyck": shuffle_dyck, "induction": induction, "and_or": and_or, "modular_addition": modular_addition,
    "parity": parity, "superposition": superposition, "compressed_sort": compressed, "interfering_sort": _interfering,
    **{f"soft_{make.__name__}": partial(make, soft=True) for make in (reverse, sort, histogram, induction)},
}  # fmt: skip


def names() -> tuple[str, ...]:
    """Names of all known circuits.

    Returns:
        the names, compiled programs first.
    """
    return tuple(CIRCUITS)


def by_name(name: str) -> KnownCircuit:
    """A known circuit by its name, at its default size.

    Args:
        name: one of `names`.

    Returns:
        the circuit.

    Raises:
        UnknownName: there is none of that name; the nearest are named.

    >>> known = by_name("parity")
    >>> known.compare(["in0 > L0N0", "in4 > L0N0"]).spurious
    frozenset({'in4 > L0N0'})
    """
    if not isinstance(name, str) or name not in CIRCUITS:
        raise UnknownName(unknown("known circuit", name, CIRCUITS))
    return CIRCUITS[name]()


def all_circuits() -> dict[str, KnownCircuit]:
    """All known circuits at their default sizes.

    Returns:
        the circuits by name.
    """
    return {name: make() for name, make in CIRCUITS.items()}
