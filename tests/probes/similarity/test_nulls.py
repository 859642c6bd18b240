"""Excess over chance: how often independent data exceed it, and the same values by the slow way."""

from __future__ import annotations

import math

import pytest
import torch

from interp import InterpError
from probes.basis import Basis
from probes.similarity.measures import MEASURES
from probes.similarity.nulls import Excess, permuted, rotated
from probes.similarity.products import products
from tests.probes.similarity.data import gaussian, related


@pytest.mark.parametrize("name", ["cka", "unit_matching"])
def test_independent_data_lie_within_the_null_95_times_of_100(name: str) -> None:
    """Binomial(100, 0.95): below 88 once in 500."""
    pairs = [(gaussian(30, 4, 2 * i), gaussian(30, 4, 2 * i + 1)) for i in range(100)]
    within = sum(not permuted(name, x, y, seed=i).beyond for i, (x, y) in enumerate(pairs))
    assert within >= 88


def test_nine_draws_hold_eight_of_ten() -> None:
    """Binomial(200, 0.8) within 3 standard deviations: neither too narrow nor too wide."""
    pairs = [(gaussian(30, 3, 2 * i), gaussian(30, 5, 2 * i + 1)) for i in range(200)]
    within = sum(not permuted("cka", x, y, draws=9, seed=i).beyond for i, (x, y) in enumerate(pairs))
    assert 143 <= within <= 177
    assert permuted("cka", *pairs[0], draws=9).coverage == pytest.approx(0.8)


@pytest.mark.parametrize("name", MEASURES)
def test_permuted_is_the_measure_of_permuted_rows(name: str) -> None:
    """Every measure, whichever way its draws are made cheap; related data lie beyond."""
    x, y = related()
    generator = torch.Generator().manual_seed(3)
    drawn = [MEASURES[name].function(x, y[torch.randperm(60, generator=generator)]) for _ in range(5)]
    found = permuted(name, x, y, draws=5, seed=3)
    assert found.value == pytest.approx(MEASURES[name].function(x, y))
    assert (found.low, found.high, found.null) == pytest.approx((min(drawn), max(drawn), sum(drawn) / 5))
    assert permuted(name, x, x + 0.1 * gaussian(60, 5)).beyond
    assert (permuted(name, x, x).excess > 0) is MEASURES[name].higher_is_more_alike


def test_rotated_is_the_measure_of_rotated_features() -> None:
    x, y = related()
    seeds = torch.randint(2**62, (3,), generator=torch.Generator().manual_seed(1)).tolist()
    drawn = [MEASURES["unit_matching"].function(x, y @ Basis.random(8, 8, s).directions) for s in seeds]
    for found in (
        rotated("unit_matching", x, y, draws=3, seed=1),
        rotated("unit_matching", products(x, y), draws=3, seed=1),
    ):
        assert (found.low, found.high) == pytest.approx((min(drawn), max(drawn)))


def test_excess_by_hand() -> None:
    found = Excess.of(0.5, torch.tensor([0.1, 0.2, 0.6]))
    assert (found.null, found.excess) == pytest.approx((0.3, 0.2))
    assert found.interval == pytest.approx((-0.1, 0.4))
    assert not found.beyond
    assert found.coverage == 0.5
    undefined = permuted("cka", torch.ones(9, 2), gaussian(9, 2))
    assert math.isnan(undefined.excess)
    assert not undefined.beyond
    assert not Excess.of(1.0, [0.1, math.nan]).beyond


def test_refusals() -> None:
    x, y = related()
    for wrong, words in [
        (lambda: rotated("cka", x, y), "cka is the same after any rotation"),
        (lambda: permuted("kca", x, y), "cka"),
        (lambda: permuted("cka", x, y, draws=0), "draws must be at least 1"),
        (lambda: permuted("cka", products(x, y), y), "rows"),
        (lambda: permuted("cka", products(x, y), None), "rows"),
        (lambda: Excess.of(1.0, []), "at least one draw"),
    ]:
        with pytest.raises(InterpError, match=words):
            wrong()
