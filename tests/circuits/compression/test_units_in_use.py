"""Units in use against the threshold: counted one by one, by activation function, with copies apart."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import circuits
from circuits.compression.image_curves import unit_effects
from interp.errors import InterpError
from tests.circuits.cppns import ALL, dense, sparse


@pytest.mark.parametrize("make", [dense, sparse])
def test_counted_one_by_one(make: type) -> None:
    model = make(ALL)
    found = circuits.units_in_use(model, (1e-6, 1e-3), 10).set_index(["threshold", "activation"])
    effects, copies = unit_effects(model, 10), model.copies()
    for threshold in (1e-6, 1e-3):
        for activation in ("all", "cache", "sin", "tanh"):
            slots = [j for j, kind in enumerate(model.config.kinds) if activation in ("all", kind)]
            used = [(i, j) for i in range(3) for j in slots if float(effects[i, j]) >= threshold]
            row = found.loc[threshold, activation]
            assert row["used"] == len(used)
            assert row["used_copies"] == sum(bool(copies[at]) for at in used)
            assert row["total"] == 3 * len(slots)
    each = found.drop("all", level="activation").groupby("threshold").sum()
    assert (each == found.xs("all", level="activation")).all().all()
    assert bool(found["used_copies"].any()) == (make is sparse)


def test_a_curve_never_rises() -> None:
    used = circuits.units_in_use(dense(), size=8).query("activation == 'all'")["used"].tolist()
    assert used == sorted(used, reverse=True)
    assert used[0] > used[-1]


def test_a_unit_that_nothing_reads_is_in_use_at_no_threshold() -> None:
    """And the one that alone is read is, at every threshold up to its effect."""
    model = dense("1;gaussian:2,sin:1")
    with torch.no_grad():
        model.W_U[1:] = 0
        model.W_U[0] = torch.tensor([0.0, 0.0, 1.0])
    found = circuits.units_in_use(model, (1e-12, 1e-6), 8)
    assert found["used"].tolist() == [1, 1, 0, 1, 1, 0]


def test_refusals() -> None:
    wrong: Any
    for wrong in ((), 1e-3, "1e-3"):
        with pytest.raises(InterpError, match="thresholds are numbers above 0"):
            circuits.units_in_use(dense(), wrong)
    for wrong in ((1e-3, 0.0), (float("nan"),), ("1e-3",)):
        with pytest.raises(InterpError, match="a threshold must be a finite number above 0"):
            circuits.units_in_use(dense(), wrong)


@pytest.mark.parametrize("size", [0, -3, 2.5, "24", True])
def test_a_size_that_is_no_picture_s_is_refused_at_every_door(size: Any) -> None:
    """By name, not in a message of torch's."""
    model = dense()
    for call in (
        lambda: model.draw(size=size),
        lambda: circuits.sweep(model, circuits.random_directions(model, 2), size=size),
        lambda: circuits.units_in_use(model, size=size),
    ):
        with pytest.raises(InterpError, match="size is their number"):
            call()
