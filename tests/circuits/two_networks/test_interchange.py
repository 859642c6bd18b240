"""Interchange: nothing changes for a copy, a planted shared subspace is found, and parts add up to the whole stitch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import circuits
from circuits.two_networks.shared_subspace import SharedSubspace
from interp.errors import InterpError, UnknownName
from tests.circuits.two_networks.planted import network, rotated, with_units
from tests.models import subject as modular


def test_a_planted_shared_subspace_is_found_with_its_rank() -> None:
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    for rank in (0, 1, 4):
        common, own, other = draw(600, rank), draw(600, 9 - rank), draw(600, 7 - rank)
        x, y = torch.cat([common, own], 1) @ draw(9, 9), torch.cat([common, other], 1) @ draw(7, 7)
        found = SharedSubspace.of(x, y, torch.arange(300), torch.arange(300, 600))
        assert found.rank == rank
        if rank:
            shared = (y - found.mean) @ found.read[:, found.shared()]
            residual = shared - common @ torch.linalg.lstsq(common, shared).solution
            assert residual.square().mean() < 0.02


def test_a_copys_part_changes_nothing() -> None:
    own = network()
    copy = with_units(own, [3, 1, 0, 2, 7, 6, 5, 4], "permuted")
    for a, b, site in ((own, copy, None), (*rotated(), "2.hook_out")):
        rows = circuits.interchange(a, b, site, draws=9, n_random=2).rows
        swapped = rows[rows["what"] == "interchanged"]
        np.testing.assert_allclose(swapped["loss"], swapped["clean_loss"], atol=1e-8)
        assert (rows.query("part == 'shared'")["rank"] == (8 if site is None else 5)).all()
        removed = rows.query("part == 'shared' and what == 'mean-ablated'")
        assert (removed["lost"] > 0.5).all()


def test_all_directions_are_the_stitch() -> None:
    a, b = modular("shared concat"), modular("shared concat", 1)
    rank = 9
    whole = circuits.interchange(a, b, rank=rank, direction="a_to_b", draws=1, n_random=1).rows
    stitched = circuits.stitch(a, b, direction="a_to_b", n_random=0).rows.iloc[0]
    by = whole.set_index(["part", "what"])
    assert by.loc[("shared", "interchanged"), "loss"] == pytest.approx(stitched["loss"], abs=1e-9)
    assert by.loc[("random", "interchanged"), "loss"] == pytest.approx(stitched["loss"], abs=1e-9)
    assert by.loc[("shared", "mean-ablated"), "loss"] == pytest.approx(stitched["constant_loss"], abs=1e-9)
    assert by.loc[("complement", "mean-ablated"), "lost"] == pytest.approx(0, abs=1e-12)
    assert by.loc[("shared", "interchanged"), "variance"] == pytest.approx(1)


def test_parts_are_uncorrelated_on_the_fitting_inputs() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(80, d, generator=generator, dtype=torch.float64) for d in (5, 4))
    fit = torch.arange(50)
    found = SharedSubspace.of(x, y, fit, torch.arange(50, 80), draws=3)
    variates = (y[fit] - found.mean) @ found.read
    torch.testing.assert_close(variates.T @ variates / 50, torch.eye(4).double())
    torch.testing.assert_close(variates @ found.write, y[fit] - found.mean)
    assert len(found.null) == 3


def test_wrong_arguments() -> None:
    own = network()
    with pytest.raises(InterpError, match="rank"):
        circuits.interchange(own, own, rank=99)
    with pytest.raises(InterpError, match="one pair of sites"):
        circuits.interchange(own, own, "all")
    with pytest.raises(UnknownName, match="both"):
        circuits.interchange(own, own, direction="boht")  # type: ignore[arg-type]


def test_it_shows_itself() -> None:
    found = circuits.interchange(network(), network(1), draws=3, n_random=1)
    assert "shared directions" in repr(found)
    assert "<table" in found._repr_html_()
    assert set(found.table["metric"]) == {"loss", "accuracy"}
