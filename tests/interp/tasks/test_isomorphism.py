"""Isomorphisms of groups: found for every relabelling, and for none that is not isomorphic."""

from __future__ import annotations

import numpy as np
import pytest

from interp.tasks.isomorphism import isomorphism
from interp.tasks.named_groups import named_table


def relabelled(table: np.ndarray, seed: int) -> np.ndarray:
    """The same group with its elements in another order."""
    order = np.random.default_rng(seed).permutation(len(table))
    place = np.argsort(order)
    return place[table[np.ix_(order, order)]]


@pytest.mark.parametrize("name", ["C_7", "C_2xC_2xC_2", "S_3", "D_4", "A_4", "S_4", "D_61", "A_5", "S_5", "C_2xS_4"])
def test_a_relabelled_group_is_recognised(name: str) -> None:
    """f(a * b) = f(a) * f(b) for all pairs, and f is a bijection."""
    table = named_table(name)
    for seed in range(3):
        other = relabelled(table, seed)
        f = isomorphism(other, table)
        assert f is not None
        assert sorted(f.tolist()) == list(range(len(table)))
        assert (f[other] == table[np.ix_(f, f)]).all()


@pytest.mark.parametrize(
    ("one", "other"), [("C_4", "C_2xC_2"), ("S_3", "C_6"), ("D_4", "C_8"), ("S_4", "C_2xA_4"), ("D_6", "A_4")]
)
def test_other_groups_are_not(one: str, other: str) -> None:
    """Of the same size."""
    assert isomorphism(named_table(one), relabelled(named_table(other), 0)) is None


def test_groups_with_equal_orders_of_elements() -> None:
    """C_4 x C_4 and C_4 x| C_4 have the same orders of elements, and are not isomorphic."""
    direct = named_table("C_4xC_4")
    k = np.arange(16)
    a, b = k // 4, k % 4
    left = (a[:, None] + np.where(b[:, None] % 2, -a[None], a[None])) % 4  # b acts on a by inversion
    semidirect = 4 * left + (b[:, None] + b[None]) % 4
    assert isomorphism(semidirect, direct) is None
    assert isomorphism(relabelled(semidirect, 1), semidirect) is not None
