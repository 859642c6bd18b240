"""Laws of all measures: what each is invariant to, itself with itself, and nothing where nothing is defined."""

from __future__ import annotations

import math

import pytest
import torch

from interp.errors import UnknownName
from probes.similarity import MEASURES, StreamedProducts, measure
from tests.probes.similarity.data import gaussian, related, rotation

CHANGES = {
    "permutation": lambda y: y.flip(1),
    "scaling": lambda y: 3 * y + 2,
    "rotation": lambda y: y @ rotation(8, 5),
    "invertible": lambda y: y @ (gaussian(8, 8, 3) + 2 * torch.eye(8)),
}


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("change", CHANGES)
def test_invariance(name: str, change: str) -> None:
    """What is listed does not move the value, and what is not does."""
    x, y = related()
    one = MEASURES[name]
    same = one.function(x, CHANGES[change](y)) == pytest.approx(one.function(x, y), abs=1e-7)
    assert same is (change in one.invariant_to)


@pytest.mark.parametrize("name", MEASURES)
def test_a_representation_and_itself(name: str) -> None:
    x, _ = related()
    one = MEASURES[name]
    assert one.function(x, x) == pytest.approx(1 if one.higher_is_more_alike else 0, abs=1e-6)


@pytest.mark.parametrize("name", MEASURES)
def test_a_constant_is_like_nothing(name: str) -> None:
    x, _ = related()
    assert math.isnan(MEASURES[name].function(x, torch.full((60, 3), 0.1)))
    assert math.isnan(MEASURES[name].function(torch.full((60, 3), 0.1), x))


@pytest.mark.parametrize("name", [name for name, one in MEASURES.items() if one.from_products])
def test_streamed(name: str) -> None:
    x, y = related()
    stream = StreamedProducts()
    for a, b in zip(x.split(13), y.split(13), strict=True):
        stream.update(a, b)
    assert MEASURES[name].function(stream.result()) == pytest.approx(MEASURES[name].function(x, y), abs=1e-10)


@pytest.mark.parametrize("name", MEASURES)
def test_more_features_than_inputs(name: str) -> None:
    """A value where there is one, or the sentence that says what to do."""
    x, y = gaussian(20, 30), gaussian(20, 25, 1)
    if name in ("cca", "pwcca"):
        with pytest.raises(ValueError, match="20 inputs are too few"):
            MEASURES[name].function(x, y)
    else:
        assert -1 <= MEASURES[name].function(x, y) < 1.6


def test_names() -> None:
    assert measure(measure("cka")) is MEASURES["cka"]
    assert set(MEASURES) == {one.name for one in MEASURES.values()}
    with pytest.raises(UnknownName, match="procrustes"):
        measure("procustes")
