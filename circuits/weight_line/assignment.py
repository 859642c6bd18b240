"""Weight matching: the relabelling of one network's units that brings its weights nearest to another's."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from circuits.weight_line.relabelling import Relabelling, shape_of
from circuits.weight_line.symmetries import Parity, Symmetries, UnitGroup

ROUNDING = 1e-12  # of the product of both norms: a smaller gain is none
Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Products:
    """Inner products of every unit's weights with every other's ``[..., unit, unit]``, by what a change of sign does to them.

    Attributes:
        read: of what the units read.
        passed: of what others read of them.
        fixed: of gains.
    """

    read: np.ndarray
    passed: np.ndarray
    fixed: np.ndarray

    def signed(self, parity: Parity) -> tuple[np.ndarray, np.ndarray]:
        """The part that changes its sign with the unit, and the rest."""
        if parity == "odd":
            return self.read + self.passed, self.fixed
        if parity == "even":
            return self.read, self.passed + self.fixed
        return np.zeros_like(self.read), self.read + self.passed + self.fixed

    def best(self, group: UnitGroup, held: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, float]:
        """The assignment with the largest sum of products, unit by unit within its kind (Kuhn 1955).

        Args:
            group: whose units are assigned.
            held: a permutation that stays; only signs are chosen.

        Returns:
            the permutation, the signs and the sum.
        """
        order, signs, total = np.arange(group.size), np.ones(group.size), 0.0
        for units in group.classes().values():
            own = np.ix_(units, units)
            turning, rest = (part[own] for part in self.signed(group.parity(units[0])))
            value = np.abs(turning) + rest
            rows, columns = np.arange(len(units)), np.arange(len(units))
            if held is None:
                rows, columns = linear_sum_assignment(value, maximize=True)
            else:
                columns = np.array([units.index(unit) for unit in held[units]])
            order[units] = np.asarray(units)[columns]
            signs[units] = np.where(turning[rows, columns] < 0, -1.0, 1.0)
            total += float(value[rows, columns].sum())
        return order, signs, total


@dataclass(frozen=True)
class Descent:
    """Coordinate descent over groups of units: each in turn is assigned as best it can be while the others stay.

    Attributes:
        symmetries: the architecture's.
        a: the weights that stay, in float64.
        b: the weights that are relabelled, in float64.
        held: permutations that stay as given, by group; only signs are chosen.
    """

    symmetries: Symmetries
    a: Weights
    b: Weights
    held: Mapping[str, Tensor]

    def run(
        self, start: Relabelling, iterations: int, generator: torch.Generator | None
    ) -> tuple[Relabelling, float, int]:
        """Assign group after group until nothing improves.

        Args:
            start: where it begins.
            iterations: the most passes over all groups.
            generator: draws the order of the groups in each pass. None: the order in which signals pass them, the first pass
                counting only weights between a group and those before it.

        Returns:
            the relabelling, the sum of products of ``a`` and the relabelled ``b``, and the number of passes.
        """
        names = [n for n in self.symmetries.outer() if not self._idle(n)]
        found = start
        if generator is None:
            for place, name in enumerate(names):
                found = self._step(name, found, ahead=names[place + 1 :])
        value, least = self.value(found), ROUNDING * self._scale()
        passes, before = 0, -math.inf
        while passes < iterations and value > before + least:
            passes, before = passes + 1, value
            order = range(len(names)) if generator is None else torch.randperm(len(names), generator=generator).tolist()
            for i in order:
                tried = self._step(names[i], found)
                if not self._recurrent(names[i]) or self.value(tried) > self.value(found) + least:
                    found = tried
            value = self.value(found)
        return found, value, passes

    def value(self, relabelling: Relabelling) -> float:
        """The inner product of ``a`` and the relabelled ``b``: the larger, the nearer."""
        return sum(
            float((w.reshape(self.symmetries.shape(n)) * relabelling.moved(n, self.b[n])).sum())
            for n, w in self.a.items()
        )

    def _scale(self) -> float:
        norms = [sum(float(w.square().sum()) for w in weights.values()) ** 0.5 for weights in (self.a, self.b)]
        return norms[0] * norms[1]

    def _recurrent(self, name: str) -> bool:
        """Whether units read each other, so that to assign them beside the others as they are may lose."""
        places = [parameter for parameter, _ in self.symmetries.places(name)]
        return len(places) > len(set(places))

    def _idle(self, name: str) -> bool:
        return self.symmetries.groups[name].fixed and not self.symmetries.inside(name)

    def _step(self, name: str, found: Relabelling, ahead: Collection[str] | None = None) -> Relabelling:
        """A group assigned anew, and with it the groups within it; weights shared with groups ``ahead`` do not count."""
        group, inside = self.symmetries.groups[name], self.symmetries.inside(name)
        if not inside:
            order, signs, _ = self._products(name, found, ahead).best(group, self._held(name))
            return found.replaced(name, torch.from_numpy(order), torch.from_numpy(signs))
        gains = np.zeros((group.size, group.size))
        chosen: dict[str, dict[tuple[int, int], tuple[np.ndarray, np.ndarray, float]]] = {}
        pairs = [(i, j) for i in range(group.size) for j in range(group.size) if i == j or not group.fixed]
        for inner in inside:
            products, own = self._inner_products(inner, name, found, ahead), self.symmetries.groups[inner]
            chosen[inner] = {
                (i, j): Products(products.read[i, j], products.passed[i, j], products.fixed[i, j]).best(own)
                for i, j in pairs
            }
            for pair, (_, _, value) in chosen[inner].items():
                gains[pair] += value
        order = np.arange(group.size) if group.fixed else linear_sum_assignment(gains, maximize=True)[1]
        found = found.replaced(name, torch.from_numpy(order), torch.ones(group.size))
        for inner, made in chosen.items():
            picked = [made[i, int(j)] for i, j in enumerate(order)]
            orders, signs = (torch.from_numpy(np.stack([p[k] for p in picked])) for k in (0, 1))
            assert orders.shape == shape_of(self.symmetries, self.symmetries.groups[inner])
            found = found.replaced(inner, orders, signs)
        return found

    def _held(self, name: str) -> np.ndarray | None:
        return self.held[name].numpy() if name in self.held else None

    def _counted(self, group: str, ahead: Collection[str] | None) -> list[tuple[str, int]]:
        """Where a group's units lie; with groups ahead, only beside what has been placed, unless there is nothing."""
        places = self.symmetries.places(group)
        if ahead is None:
            return places
        later = {*ahead, *(inner for name in ahead for inner in self.symmetries.inside(name))}
        groups = {p: [axis.group for axis in self.symmetries.axes[p]] for p, _ in places}
        near = [(p, k) for p, k in places if groups[p].count(group) == 1 and later.isdisjoint(groups[p])]
        return near or places

    def _products(self, group: str, found: Relabelling, ahead: Collection[str] | None) -> Products:
        size = self.symmetries.groups[group].size
        sums = {role: torch.zeros(size, size, dtype=torch.float64) for role in ("in", "out", "gain")}
        for parameter, k in self._counted(group, ahead):
            one, other = self._pair(parameter, found, {(parameter, k)})
            role = self.symmetries.axes[parameter][k].role
            sums[role] += one.movedim(k, 0).reshape(size, -1) @ other.movedim(k, 0).reshape(size, -1).mT
        return Products(sums["in"].numpy(), sums["out"].numpy(), sums["gain"].numpy())

    def _inner_products(self, inner: str, outer: str, found: Relabelling, ahead: Collection[str] | None) -> Products:
        """The same for the units within every pair of outer units ``[outer, outer, unit, unit]``."""
        n, size = self.symmetries.groups[outer].size, self.symmetries.groups[inner].size
        sums = {role: torch.zeros(n, n, size, size, dtype=torch.float64) for role in ("in", "out", "gain")}
        for parameter, k in self._counted(inner, ahead):
            axes = self.symmetries.axes[parameter]
            place = next(i for i, axis in enumerate(axes) if axis.group == outer)
            pair = self._pair(parameter, found, {(parameter, k), (parameter, place)})
            one, other = (x.movedim((place, k), (0, 1)).reshape(n, size, -1) for x in pair)
            sums[axes[k].role] += torch.einsum("iur,jvr->ijuv", one, other)
        return Products(sums["in"].numpy(), sums["out"].numpy(), sums["gain"].numpy())

    def _pair(self, parameter: str, found: Relabelling, but: Collection[tuple[str, int]]) -> tuple[Tensor, Tensor]:
        """A parameter of ``a``, and of ``b`` relabelled but for some axes."""
        return (
            self.a[parameter].reshape(self.symmetries.shape(parameter)), found.moved(parameter, self.b[parameter], but)
        )  # fmt: skip
