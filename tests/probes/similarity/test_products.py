"""Products of two representations, whole and streamed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from interp import InterpError
from probes.similarity.permutations import permuted_products
from probes.similarity.products import Products, StreamedProducts, as_products, products
from tests.probes.similarity.data import gaussian, related, rotation

FIELDS = ("mean_x", "mean_y", "xx", "yy", "xy", "norms_xx", "norms_yy", "norms_xy")


def same(found: Products, expected: Products, rtol: float) -> None:
    assert found.n == expected.n
    for name in FIELDS:
        one, other = (np.asarray(getattr(made, name)) for made in (found, expected))
        assert np.linalg.norm(one - other) <= rtol * np.linalg.norm(other), name


def test_against_numpy() -> None:
    x, y = related()
    made = products(x, y)
    both = np.cov(x.numpy().T, y.numpy().T) * 59
    np.testing.assert_allclose(made.xx, both[:5, :5], rtol=1e-12)
    np.testing.assert_allclose(made.xy, both[:5, 5:], rtol=1e-12)
    np.testing.assert_allclose(made.yy, both[5:, 5:], rtol=1e-12)
    r, s = (((z - z.mean(0)) ** 2).sum(1).numpy() for z in (x, y))
    assert (made.norms_xx, made.norms_yy, made.norms_xy) == pytest.approx((r @ r, s @ s, r @ s))


@pytest.mark.parametrize("batch", [1, 7, 60])
@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_streaming_equals_the_whole(batch: int, mean: float) -> None:
    """Sorted inputs too, where the first batch has another mean than the rest."""
    x, y = related()
    x = x.sort(0).values + mean
    stream = StreamedProducts()
    for start in range(0, 60, batch):
        stream.update(x[start : start + batch], y[start : start + batch])
    same(stream.result(), products(x, y), 1e-10)


def test_swapped_rotated_and_permuted_are_products_of_the_changed_data() -> None:
    x, y = related()
    q = rotation(8)
    same(products(x, y).swapped(), products(y, x), 1e-12)
    same(products(x, y).rotated(q), products(x, y @ q), 1e-12)
    first = next(permuted_products(x, y, 1, seed=5))
    order = torch.randperm(60, generator=torch.Generator().manual_seed(5))
    same(first, products(x, y[order]), 1e-12)


def test_constant_features_are_found() -> None:
    """A constant whose mean rounds is constant all the same, streamed or not."""
    x = torch.cat([torch.full((30, 1), 1 / 3, dtype=torch.float64), gaussian(30, 1), torch.zeros(30, 1)], 1)
    stream = StreamedProducts()
    for part in x.split(7):
        stream.update(part, part[:, :1])
    for made in (products(x, x[:, :1]), stream.result()):
        assert made.alive_x.tolist() == [False, True, False]
        assert made.constant


def test_refusals() -> None:
    x, y = related()
    bad = y.clone()
    bad[3, 1] = torch.nan
    for wrong, words in [
        (lambda: products(x, y[:50]), "x has 60 rows and y 50"),
        (lambda: products(x, bad), "y holds NaN or infinity in 1 of 60 rows"),
        (lambda: products(x[None], y), "x needs the shape"),
        (lambda: as_products(x), "two representations"),
        (lambda: as_products(products(x, y), y), "give them alone"),
        (lambda: StreamedProducts().result(), "update"),
        (lambda: Products(60, x[0], y[0], x, y, x, 0.0, 0.0, 0.0), "need"),
    ]:
        with pytest.raises(InterpError, match=words):
            wrong()
    stream = StreamedProducts()
    stream.update(x, y)
    with pytest.raises(InterpError, match="earlier batches"):
        stream.update(y, x)
