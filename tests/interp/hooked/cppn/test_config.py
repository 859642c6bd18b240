"""Variants of an architecture: widths, the Gaussian units held, all-ReLU."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp import CPPNConfig, HookedCPPN, InterpError
from interp.errors import UnknownName
from interp.hooked.cppn.activation_functions import CPPN_ACTIVATIONS
from interp.hooked.cppn.config import VARIANTS, variant

SKULL = "12;cache:15,gaussian:4,identity:2,sin:1"
groups = st.lists(st.sampled_from(sorted(CPPN_ACTIVATIONS)), min_size=1, unique=True).flatmap(
    lambda names: st.tuples(st.just(names), st.lists(st.integers(1, 9), min_size=len(names), max_size=len(names)))
)


def written(layers: int, names: list[str], counts: list[int]) -> str:
    return f"{layers};" + ",".join(f"{n}:{c}" for n, c in zip(names, counts, strict=True))


@pytest.mark.parametrize(
    ("width", "kind", "arch"),
    [
        (1, "plain", SKULL),
        (2, "plain", "12;cache:30,gaussian:8,identity:4,sin:2"),
        (4, "plain", "12;cache:60,gaussian:16,identity:8,sin:4"),
        (1, "gaussian-adjusted", SKULL),
        (2, "gaussian-adjusted", "12;cache:30,gaussian:4,identity:4,sin:2"),
        (1, "relu", "12;relu:22"),
        (4, "relu", "12;relu:88"),
    ],
)
def test_variants_of_the_skull(width: int, kind: str, arch: str) -> None:
    """Worked by hand."""
    assert variant(CPPNConfig(SKULL), width, kind).arch == arch


@given(st.integers(1, 5), groups, st.integers(1, 6), st.sampled_from(VARIANTS))
def test_law_of_variants(layers: int, given: tuple[list[str], list[int]], width: int, kind: str) -> None:
    """Depth and order stay; slots are as many times more, but for Gaussians that are held."""
    names, counts = given
    found = variant(CPPNConfig(written(layers, names, counts)), width, kind)
    assert found.n_layers == layers
    if kind == "relu":
        assert found.kinds == ("relu",) * (sum(counts) * width)
        return
    kept = [
        c if kind == "gaussian-adjusted" and n == "gaussian" else c * width for n, c in zip(names, counts, strict=True)
    ]
    assert found.groups == tuple(zip(names, kept, strict=True))


@given(groups, st.integers(1, 4), st.integers(1, 4), st.sampled_from(VARIANTS))
def test_widening_twice_is_widening_by_the_product(
    given: tuple[list[str], list[int]], first: int, second: int, kind: str
) -> None:
    """So a variant of a variant is one; width 1 of either kind but ReLU changes nothing."""
    config = CPPNConfig(written(2, *given))
    assert variant(variant(config, first, kind), second, kind) == variant(config, first * second, kind)
    if kind != "relu":
        assert variant(config, 1, kind) == config


def test_a_variant_is_a_network() -> None:
    """The matrices have its slots."""
    model = HookedCPPN(variant(CPPNConfig("2;cache:1,gaussian:2"), 3, "gaussian-adjusted"))
    assert [tuple(m.shape) for m in model.matrices] == [(4, 5), (5, 5), (5, 3)]


@pytest.mark.parametrize("width", [0, -1])
def test_widths_that_are_none(width: int) -> None:
    with pytest.raises(InterpError, match="width"):
        variant(CPPNConfig(SKULL), width)


def test_too_wide_is_refused_by_its_architecture() -> None:
    """The limit of an architecture holds for what is made of one, before any matrix is."""
    with pytest.raises(InterpError, match="1 to 100,000 slots|characters"):
        variant(CPPNConfig(SKULL), 10**6)


def test_unknown_variants_name_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"unknown variant 'gausian-adjusted'.*did you mean 'gaussian-adjusted'"):
        variant(CPPNConfig(SKULL), 2, "gausian-adjusted")
