"""Matching of units, one to one and soft, against all permutations and a linear program written out."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import torch

from interp import InterpError
from probes.similarity import soft_matching as soft
from probes.similarity.cka import cka
from probes.similarity.nulls import rotated
from probes.similarity.products import products
from probes.similarity.soft_matching import soft_matching, soft_matching_distance, transport_plan
from probes.similarity.unit_matching import match_units, matched_correlation
from tests.probes.similarity.data import gaussian, related, rotation

ORDER = torch.tensor([3, 0, 4, 1, 2])
FLIPS = torch.tensor([1.0, -1.0, -1.0, 1.0, -1.0], dtype=torch.float64)


def test_a_permuted_and_flipped_copy_is_matched_unit_for_unit() -> None:
    x, _ = related()
    y = (x * FLIPS)[:, ORDER] * torch.arange(1.0, 6.0)
    found = match_units(x, y)
    assert found.pairs.tolist() == [[i, ORDER.tolist().index(i)] for i in range(5)]
    assert torch.equal(found.signs, FLIPS)
    assert found.mean == pytest.approx(1)
    torch.testing.assert_close(found.aligned((x * FLIPS)[:, ORDER]), x)
    assert cka(x, (x * FLIPS)[:, ORDER]) == pytest.approx(1)


def test_a_rotated_copy_has_cka_1_and_units_that_do_not_match() -> None:
    """No more than for any other rotation."""
    x = gaussian(300, 12)
    y = x @ rotation(12, 7)
    assert cka(x, y) == pytest.approx(1)
    found = rotated("unit_matching", x, y)
    assert found.value < 0.75
    assert not found.beyond
    assert rotated("unit_matching", x, x).beyond


@pytest.mark.parametrize("signs", [True, False])
def test_against_all_permutations(signs: bool) -> None:
    x, y = related(d2=7)
    table = np.corrcoef(x.numpy().T, y.numpy().T)[:5, 5:]
    table = np.abs(table) if signs else table
    best = max(sum(table[i, j] for i, j in enumerate(chosen)) for chosen in permutations(range(7), 5))
    assert matched_correlation(x, y, signs=signs) == pytest.approx(best / 5)
    assert matched_correlation(products(x, y).swapped(), signs=signs) == pytest.approx(best / 5)


def test_dead_units_stay_unmatched() -> None:
    x, y = related()
    x = torch.cat([torch.full((60, 1), 0.1), x], 1)
    found = match_units(x, y)
    assert (found.dead_x, found.dead_y, found.unmatched_x) == ((0,), (), ())
    assert found.pairs[:, 0].tolist() == [1, 2, 3, 4, 5]
    assert sorted([*found.unmatched_y, *found.pairs[:, 1].tolist()]) == list(range(8))
    other = match_units(y[:, :5], x)
    assert other.dead_y == (0,)
    assert {(j, i) for i, j in other.pairs.tolist()} == {tuple(p) for p in match_units(x, y[:, :5]).pairs.tolist()}
    none = match_units(x[:, :1], y)
    assert none.pairs.shape == (0, 2)
    assert math.isnan(none.mean)


def test_soft_matching_of_equal_widths_is_the_assignment() -> None:
    x, y = related(d2=5)
    assert soft_matching(x, y) == pytest.approx(matched_correlation(x, y))
    u, v = x - x.mean(0), y - y.mean(0)
    best = min((u - v[:, list(chosen)]).pow(2).mean() for chosen in permutations(range(5)))
    assert soft_matching_distance(x, y) == pytest.approx(math.sqrt(best))


def test_plans_of_different_widths(monkeypatch: pytest.MonkeyPatch) -> None:
    """By copies of units and by the linear program: the same cost, and what a plan must sum to."""
    costs = gaussian(6, 9).numpy()
    plan = transport_plan(costs)
    monkeypatch.setattr(soft, "MAX_COPIES", 0)
    program = transport_plan(costs)
    for one in (plan, program):
        assert one.min() >= -1e-12
        np.testing.assert_allclose(one.sum(1), 1 / 6, atol=1e-10)
        np.testing.assert_allclose(one.sum(0), 1 / 9, atol=1e-10)
    assert (plan * costs).sum() == pytest.approx((program * costs).sum(), abs=1e-10)


def test_soft_matching_of_doubled_units() -> None:
    """Each unit of X three times in Y: 1; half of the units only: less, since every unit counts."""
    x = gaussian(200, 4)
    assert soft_matching(x, torch.cat([x, -x, x], 1)) == pytest.approx(1)
    assert soft_matching_distance(x, torch.cat([x, x], 1)) == pytest.approx(0, abs=1e-6)
    assert soft_matching(x, torch.cat([x, -x], 1), signs=False) < 0.6
    assert 0.5 < soft_matching(x, x[:, :2]) < 0.65
    assert matched_correlation(x, x[:, :2]) == pytest.approx(1)


def test_edges() -> None:
    x, y = related()
    assert math.isnan(soft_matching(x, torch.ones(60, 2)))
    with pytest.raises(InterpError, match="more than max_bytes=100"):
        match_units(x, y, max_bytes=100)
    with pytest.raises(InterpError, match="at least 2"):
        match_units(x[:1], y[:1])
