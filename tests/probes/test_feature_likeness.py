"""Likeness to the picture and symmetry of features, in three bases, against NumPy and networks made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import interp
from interp.errors import InterpError
from interp.hooked import HookedCPPN
from probes import feature_likeness as fl
from probes import feature_maps as fm
from tests.circuits.cppns import dense, of_weights, sparse

SIZE = 14


def values(model: HookedCPPN, layer: int) -> np.ndarray:
    """What the layer's slots draw, ``[slot, pixel]``."""
    return fm.of(model, SIZE).maps[layer].flatten(1).numpy()


def test_likeness_by_numpy() -> None:
    """The larger of the correlations with the picture and with its mirror image, whatever the sign."""
    dice = np.random.default_rng(0)
    maps, picture = dice.normal(size=(6, 5, 7)), dice.normal(size=(5, 7))
    maps[1], maps[2], maps[3] = -3 * picture + 1, picture[:, ::-1], 0.5
    found = fl.likeness(torch.from_numpy(maps), torch.from_numpy(picture)).tolist()
    for k in (0, 1, 2, 4, 5):
        sides = [np.corrcoef(maps[k].ravel(), side.ravel())[0, 1] for side in (picture, picture[:, ::-1])]
        assert found[k] == pytest.approx(max(map(abs, sides)))
    assert found[1:4] == pytest.approx([1, 1, 0])
    with pytest.raises(InterpError, match="cannot be compared with a picture"):
        fl.likeness(torch.zeros(2, 3, 3), torch.zeros(4, 4))


def test_components_and_singular_features_by_numpy() -> None:
    """Variances and likeness of NumPy's principal components and of what the singular vectors of the next weights read."""
    model = dense()
    table = fl.of(model, SIZE)
    picture = model.draw(SIZE).pixels.mean(-1).numpy()
    for layer in range(3):
        maps = values(model, layer)
        centred = maps - maps.mean(1, keepdims=True)
        u, s, _ = np.linalg.svd(centred, full_matrices=False)
        left, sizes, _ = np.linalg.svd(model.matrices[layer + 1].detach().numpy(), full_matrices=False)
        for basis, features in (("components", u.T @ centred), ("singular", (left * sizes).T @ centred)):
            own = table[(table["layer"] == layer) & (table["basis"] == basis)]
            variance = features.var(1)
            np.testing.assert_allclose(own["share"], variance / variance.sum(), atol=1e-9)
            for share, alike, drawn in zip(own["share"], own["likeness"], features, strict=True):
                sides = [np.corrcoef(drawn, side.ravel())[0, 1] for side in (picture, picture[:, ::-1])]
                assert share < 1e-6 or alike == pytest.approx(max(map(abs, sides)), abs=1e-6)
        np.testing.assert_allclose(
            table.query("layer == @layer and basis == 'components'")["share"], s**2 / (s**2).sum(), atol=1e-9
        )


def test_units_are_active_and_no_copies() -> None:
    model = sparse()
    found, table = fm.of(model, SIZE), fl.of(model, SIZE).query("basis == 'units'")
    assert [tuple(at) for at in found.own.nonzero().tolist()] == list(zip(table["layer"], table["index"], strict=True))
    assert bool(found.copies.any())
    kept = table.set_index(["layer", "index"])["symmetric"]
    assert all(bool(found.symmetric[at]) == kept[at] for at in kept.index)


def test_a_sum_and_a_difference_are_symmetric_though_no_unit_is() -> None:
    """Two units that mirror each other: neither is its own mirror image, their principal components are (up to sign)."""
    first = torch.tensor([[2.0, -2.0], [0.0, 0.0], [0.0, 0.0], [-1.0, -1.0]], dtype=torch.float64)  # y, x, d, b
    last = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    model = of_weights("1;gaussian:2", [first, last])
    table = fl.of(model, 21)
    units, components, read = (table.query(f"basis == '{basis}'") for basis in fl.BASES)
    assert (units["left_right"] < 0.9).all()
    assert sorted(components["left_right"].round(9)) == [-1, 1]
    assert read["left_right"].iloc[0] == pytest.approx(1)  # the picture reads the sum alone
    summary = fl.by_layer(table).set_index("basis")
    assert summary.loc["singular", ["features", "symmetric_share", "symmetric_variance"]].tolist() == [1, 1, 1]
    assert summary.loc["singular", "largest"] == pytest.approx(components["likeness"].max())


def test_summary_by_hand() -> None:
    """Small features are left out of the counts and of the variance."""
    table = fl.of(dense(), SIZE)
    own = table.query("layer == 1 and basis == 'components' and share >= 0.05")
    row = fl.by_layer(table, 0.05).set_index(["layer", "basis"]).loc[(1, "components")]
    assert row["features"] == len(own) < len(table.query("layer == 1 and basis == 'components'"))
    assert (row["largest"], row["mean"]) == (own["likeness"].max(), pytest.approx(own["likeness"].mean()))
    assert row["symmetric_variance"] == pytest.approx(own.query("symmetric")["share"].sum() / own["share"].sum())
    with pytest.raises(InterpError, match="least"):
        fl.by_layer(table, 2.0)
    with pytest.raises(InterpError, match="need an image network"):
        fl.of(interp.Subject("linear", interp.wrap(torch.nn.Linear(4, 2), torch.ones(2, 4))))
