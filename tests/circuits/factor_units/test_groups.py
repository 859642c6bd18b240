"""Groups of units that make a factor alone: circuits of cosines, copies of them, and a table."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from circuits.factor_units.coordinates import Coordinates
from circuits.factor_units.effects import linear_effects
from circuits.factor_units.groups import Group, Writing, groups_of, inner_products, standing_alone
from interp import ModularArithmetic

P, K = 11, 2
W = 2 * math.pi * K / P
TASK = ModularArithmetic(P)
A, B, C = TASK.pairs[:, 0].double(), TASK.pairs[:, 1].double(), torch.arange(P).double()
Circuit = tuple[Tensor, Tensor]  # what units compute [example, unit], and what they write [unit, output]


def ring(n: int, kind: str, shift: float = 0.0) -> Circuit:
    """Units at n phases, spread evenly over those that differ."""
    span = {"pure": math.pi / 2, "square": math.pi, "relu": 2 * math.pi}[kind]
    units, writes = [], []
    for phase in (span * (i + shift) / n for i in range(n)):
        wave = torch.cos(W * A + phase) + torch.cos(W * B + phase)
        made = {"pure": torch.cos(W * (A + B) + 2 * phase), "square": wave**2, "relu": wave.relu()}[kind]
        units.append(made - made.mean())
        writes.append(torch.cos(W * C + 2 * phase))
    return torch.stack(units, 1), torch.stack(writes)


def table() -> Circuit:
    """One unit per example, which is on at that example alone and writes its answer."""
    units = torch.eye(P * P, dtype=torch.float64)
    writes = torch.eye(P, dtype=torch.float64)[TASK.labels]
    return units - units.mean(0), writes - writes.mean(1, keepdim=True)


def writing(*circuits: Circuit, factor: int = K) -> Writing:
    """What all units of some circuits side by side write of a factor."""
    units, writes = torch.cat([c[0] for c in circuits], 1), torch.cat([c[1] for c in circuits])
    coordinates = Coordinates.of(TASK.factors(), P * P, P)  # type: ignore[arg-type]
    added = coordinates.of_examples(units)
    found = linear_effects(coordinates, units @ writes, units, writes, added)
    spectra = coordinates.power_by_block(added) * writes.square().sum(1, keepdim=True)
    return Writing(found.amplitude[:, factor], inner_products(units, writes) / found.power[factor], spectra)


CIRCUITS = {"pure": (2, 3, 4, 5, 6, 9, 16), "square": (3, 4, 5, 6, 8, 33), "relu": (5, 8, 12)}


@pytest.mark.parametrize(
    ("copies", "kind", "n"),
    [
        (copies, kind, n) for copies in (1, 2, 3) for kind, sizes in CIRCUITS.items() for n in sizes
        if (copies, n) != (3, 33)  # three exact copies of 33 phases: sets mix them, and four groups are found
    ],
)  # fmt: skip
def test_copies_of_a_circuit_are_groups_and_its_phases_are_not(copies: int, kind: str, n: int) -> None:
    """However many phases it has, one circuit is one group, and each copy one more; each writes its part of the factor."""
    found = groups_of(writing(*[ring(n, kind)] * copies))
    assert len(found) == copies
    assert sum(g.amplitude for g in found) == pytest.approx(1, abs=1e-10)
    assert sorted(i for g in found for i in g.units) == list(range(copies * n))
    if kind == "pure":  # whole it is pure, and 0.05 less is allowed
        assert min(g.purity for g in found) >= 0.95 - 1e-9


def test_copies_are_found_apart() -> None:
    """Where a circuit needs all its units, each group holds one of each phase, and writes half."""
    for group in groups_of(writing(ring(3, "square"), ring(3, "square"))):
        assert sorted(i % 3 for i in group.units) == [0, 1, 2]
        assert group.amplitude == pytest.approx(1 / 2, abs=1e-10)
        assert group.purity == pytest.approx(2 / 3, abs=1e-10)  # the rest are cos(2 w a - w c) and cos(2 w b - w c)


def test_more_phases_than_needed_are_parts_of_one_group() -> None:
    """Four pure phases, two of which would do: one group of two parts."""
    one = writing(ring(4, "pure"))
    assert sorted(sorted(part) for part in standing_alone(one)) == [[0, 2], [1, 3]]
    assert [(g.units, g.parts) for g in groups_of(one)] == [((0, 1, 2, 3), 2)]


def test_circuits_of_different_form_are_groups_at_any_phase() -> None:
    """A circuit of pure cosines and one of squares, at other phases: their spectra differ."""
    mixed = writing(ring(2, "pure"), (ring(3, "square", 0.37)[0], 0.2 * ring(3, "square", 0.37)[1]))
    first, *_ = groups_of(mixed)
    assert first.units[:2] == (0, 1)
    assert len(groups_of(writing(ring(2, "pure"), ring(2, "pure", 0.5)))) == 1


def test_a_table_is_entangled() -> None:
    """Each unit writes every factor alike: together they write one of five, and no group makes one."""
    every = writing(table())
    assert every.purity(range(P * P)) == pytest.approx(1 / 5, abs=1e-10)
    assert groups_of(every) == []


def test_halves_of_the_inputs_are_one_group() -> None:
    """Units that are on for half of the inputs make no factor without the others."""
    units, writes = ring(3, "square")
    on = (A < P // 2).double()[:, None]
    halves = torch.cat([units * on, units * (1 - on)], 1)
    assert len(groups_of(writing((halves - halves.mean(0), torch.cat([writes, writes]))))) == 1


def test_nothing_to_group() -> None:
    """No units, or units that write against the factor."""
    nothing = Writing(torch.zeros(0), torch.zeros(0, 0), torch.zeros(0, 1))
    assert groups_of(nothing) == []
    against = Writing(torch.tensor([-1.0]), torch.tensor([[1.0]]), torch.ones(1, 1))
    assert against.purity([0]) == 0
    assert groups_of(against) == []


def test_a_single_unit_is_a_group() -> None:
    """One unit that writes all of it."""
    one = Writing(torch.tensor([1.0]), torch.tensor([[1.25]]), torch.ones(1, 1))
    assert groups_of(one) == [Group((0,), 1.0, 0.8, 1)]
