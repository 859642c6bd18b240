"""Groups of units that each make a factor by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

PURE = 0.5  # of what a factor's carriers write together: below it they are entangled, and make no factor of their own
SLACK = 0.05  # by which a group may be less pure than all carriers together
LEAST = 0.05  # share of the carriers' amplitude that a group must write alone
STARTS = 8  # strongest units from which a set is grown
ROUNDING = 1e-9
TINY = 1e-300
ALIKE = 0.995  # cosine from which two units write the same: of pure cosines, phases within four degrees
KIN = 0.9  # cosine from which two groups have the same spectrum


@dataclass(frozen=True)
class Group:
    """Units that make a factor by themselves, all others that carry it ablated.

    Attributes:
        units: in ascending order.
        amplitude: share of the factor that they write.
        purity: share of this factor in all that they write.
        parts: disjoint sets of them that make the factor alone as well, at different phases.
    """

    units: tuple[int, ...]
    amplitude: float
    purity: float
    parts: int = 1


@dataclass(frozen=True, eq=False)
class Writing:
    """What the carriers of one factor write.

    Attributes:
        amplitude: share of the factor that each writes.
        inner: inner products of all that they write, in units of the factor's power.
        spectra: power of what each writes by combination of factors of the arguments, which a translation leaves in place.
    """

    amplitude: Float[Tensor, "units"]
    inner: Float[Tensor, "units units"]
    spectra: Float[Tensor, "units block"]

    def purity(self, chosen: Sequence[int]) -> float:
        """Share of the factor in what some units write together, from 0 to 1; 0 where they write against it."""
        index = torch.tensor(list(chosen), dtype=torch.long)
        return float(_pure(self.amplitude[index].sum().item(), self.inner[index[:, None], index].sum().item()))


def inner_products(
    moves: Float[Tensor, "n units"], writes: Float[Tensor, "units width"]
) -> Float[Tensor, "units units"]:
    """Inner products, over examples and outputs, of what units add to the outputs."""
    return ((moves.T @ moves) * (writes @ writes.T)).double()


def groups_of(writing: Writing, slack: float = SLACK) -> list[Group]:
    """Disconnected groups of units that each make a factor: sets that stand alone, joined where they are one circuit.

    Sets of `standing_alone` are joined, each with the first group to all of whose sets it fits (`one_circuit`).

    Args:
        writing: of the carriers of one factor.
        slack: by which a group may be less pure than all carriers together.

    Returns:
        the groups, strongest first; none where the carriers write less of the factor than of everything else.
    """
    circuits: list[list[list[int]]] = []
    for part in standing_alone(writing, slack):
        fitting = (c for c in circuits if all(one_circuit(writing, part, other) for other in c))
        if (circuit := next(fitting, None)) is None:
            circuits.append([part])
        else:
            circuit.append(part)
    made = [_group(writing, [i for part in circuit for i in part], len(circuit)) for circuit in circuits]
    return sorted(made, key=lambda g: -g.amplitude)


def standing_alone(writing: Writing, slack: float = SLACK) -> list[list[int]]:
    """Disjoint sets of units, as many as found, that each make the factor as purely as all its carriers together.

    From a unit on, the unit that makes the set purest is added until the set is pure enough; then what it does not need is
    taken out again. Of the sets that begin at the strongest units left, the smallest is taken. Units left over join the set
    that stays purest with them.

    Args:
        writing: of the carriers of one factor.
        slack: by which a set may be less pure than all carriers together.

    Returns:
        all units, by set; nothing where the carriers write less of the factor than of everything else.
    """
    left = list(range(len(writing.amplitude)))
    whole = writing.purity(left) if left else 0.0
    if whole < PURE:
        return []
    least = LEAST * float(writing.amplitude.sum())
    found: list[list[int]] = []
    while (group := _smallest(writing, left, whole - slack, least)) is not None:
        found.append(group)
        left = [i for i in left if i not in group]
    for i in left:
        max(found, key=lambda group: writing.purity([*group, i])).append(i)
    return found


def one_circuit(writing: Writing, first: Sequence[int], second: Sequence[int]) -> bool:
    """Whether two sets that each make a factor are phases of one circuit, and not copies or different circuits.

    They are where both compute the same up to a translation of the inputs (the spectra agree), and at other phases: most of
    the weaker set has no counterpart in the stronger, a unit that writes the same.

    Args:
        writing: of all units.
        first: a set of units.
        second: another.

    Returns:
        false of two copies, and of two sets with different spectra.
    """
    weak, strong = sorted((list(first), list(second)), key=lambda units: float(writing.amplitude[units].sum()))
    spectra = torch.stack([writing.spectra[weak].sum(0), writing.spectra[strong].sum(0)])
    if torch.cosine_similarity(spectra[0], spectra[1], dim=0) < KIN:
        return False
    size = writing.inner.diagonal().clamp_min(TINY).sqrt()
    cosine = writing.inner[weak][:, strong] / (size[weak, None] * size[strong])
    found = cosine.amax(1) >= ALIKE
    amplitude = writing.amplitude[weak].clamp_min(0)
    return bool(amplitude[found].sum() < 0.5 * amplitude.sum())


def _smallest(writing: Writing, left: Sequence[int], needed: float, least: float) -> list[int] | None:
    """The smallest set found among the units left that is pure and strong enough; None where there is none."""
    unit = ROUNDING * float(writing.amplitude.abs().max())
    starts = sorted(left, key=lambda i: -round(float(writing.amplitude[i]) / unit))[:STARTS]
    found = [_grown(writing, start, left, needed, least) for start in starts]
    return min((group for group in found if group is not None), key=len, default=None)


def _grown(writing: Writing, start: int, left: Sequence[int], needed: float, least: float) -> list[int] | None:
    """A set grown from one unit, and thinned; sums over the set are kept up as units enter and leave it."""
    amplitude, inner = writing.amplitude.numpy(), writing.inner.numpy()
    own = np.diagonal(inner)
    inside, free = np.zeros(len(amplitude), dtype=bool), np.zeros(len(amplitude), dtype=bool)
    free[left], free[start], inside[start] = True, False, True
    written, cross, total = amplitude[start], inner[start].copy(), own[start]
    while not (written >= least and _pure(written, total) >= needed - ROUNDING):
        if not free.any():
            return None
        purity = _pure(written + amplitude, total + 2 * cross + own)
        purity = np.where(free, purity, -1.0)
        best = int((purity >= purity.max() - ROUNDING).nonzero()[0][-1])  # of a tie always the same, on every machine
        free[best], inside[best] = False, True
        written, total, cross = written + amplitude[best], total + 2 * cross[best] + own[best], cross + inner[best]
    for i in inside.nonzero()[0].tolist():
        fewer = written - amplitude[i], total - 2 * cross[i] + own[i]
        if fewer[0] >= least and _pure(*fewer) >= needed - ROUNDING:
            (written, total), cross, inside[i] = fewer, cross - inner[i], False
    return inside.nonzero()[0].tolist()


def _group(writing: Writing, units: Sequence[int], parts: int) -> Group:
    units = sorted(units)
    return Group(tuple(units), float(writing.amplitude[units].sum()), writing.purity(units), parts)


def _pure(written: Any, total: Any) -> Any:
    """Share of the factor in all that is written; 0 where the factor is written with the wrong sign."""
    return np.square(np.maximum(written, 0.0)) / np.maximum(total, TINY)
