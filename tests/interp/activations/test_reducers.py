"""Streaming reducers against numpy on everything at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from interp import InterpError, capture
from interp.activations.reducers import Covariance, Histogram, Mean, TopK
from tests.models import P, make

TOKENS = torch.cartesian_prod(torch.arange(P), torch.arange(P), torch.tensor([P]))
POST = "blocks.0.mlp.hook_post"


@pytest.fixture(scope="module")
def post() -> np.ndarray:
    return capture(make("plain"), TOKENS, POST)[POST].numpy()


def test_mean(post: np.ndarray) -> None:
    """Streamed in batches of 5, against numpy on everything."""
    for over, axes in ((("batch",), (0,)), (("batch", "pos"), (0, 1))):
        streamed = capture(make("plain"), TOKENS, POST, batch_size=5, reduce=Mean(over))[POST]
        np.testing.assert_allclose(streamed, post.mean(axes), rtol=1e-12)
    with pytest.raises(InterpError, match="over the batch"):
        capture(make("plain"), TOKENS, POST, reduce=Mean(("pos",)))


def test_covariance(post: np.ndarray) -> None:
    """Merged batch by batch, against numpy.cov."""
    found = capture(make("plain"), TOKENS, POST, batch_size=4, reduce=Covariance())[POST]
    rows = post.reshape(-1, 10)
    np.testing.assert_allclose(found.mean, rows.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(rows.T, bias=True), rtol=1e-9, atol=1e-12)
    assert found.samples == len(rows)


def test_top_k(post: np.ndarray) -> None:
    """The strongest inputs of every unit and position, with their indices, across batches."""
    found = capture(make("plain"), TOKENS, POST, batch_size=6, reduce=TopK(4))[POST]
    np.testing.assert_allclose(found.values, -np.sort(-post, axis=0)[:4])
    np.testing.assert_allclose(np.take_along_axis(post, found.indices.numpy(), 0), found.values)


@pytest.mark.parametrize("batch_size", [5, 16, 49])
def test_equal_activations_go_by_the_order_of_the_inputs(batch_size: int) -> None:
    """Whatever the batches: a unit behind a ReLU has many of 0."""
    activations = torch.randint(-2, 3, (49, 3, 4), generator=torch.Generator().manual_seed(0)).relu().double()
    state = TopK(30).start(("batch", "pos", "unit"))
    for batch in activations.split(batch_size):
        state.update(batch)
    right = np.argsort(-activations.numpy(), axis=0, kind="stable")[:30]
    np.testing.assert_array_equal(state.result().indices, right)


def test_what_is_not_a_number_is_counted_apart() -> None:
    state = Histogram(-1.0, 1.0, 2).start(("batch",))
    state.update(torch.tensor([torch.nan, -2.0, 0.5, 1.0, torch.inf]))
    found = state.result()
    assert (found.counts.tolist(), found.below, found.above, found.nan) == ([0, 2], 1, 1, 1)
    top = TopK(3).start(("batch",))
    for batch in ([0.0, torch.nan, 2.0], [2.0, torch.nan, torch.inf]):
        top.update(torch.tensor(batch))
    assert top.result().indices.tolist() == [1, 4, 5]


def test_histogram(post: np.ndarray) -> None:
    """Counts against numpy's, and what lies outside is counted too."""
    found = capture(make("plain"), TOKENS, POST, batch_size=6, reduce=Histogram(0.0, 3.0, 7))[POST]
    counts, edges = np.histogram(post, bins=7, range=(0.0, 3.0))
    assert found.counts.tolist() == counts.tolist()
    np.testing.assert_allclose(found.edges, edges)
    assert (found.below, found.above) == (int((post < 0).sum()), int((post > 3).sum()))
    assert found.above > 0


@pytest.mark.parametrize(
    ("reducer", "message"),
    [
        (Mean("batch"), "over is a tuple of axis names, such as .'batch',."),  # type: ignore[arg-type]
        (Mean(("batch", "head")), "no axis 'head'; its axes are batch, pos, unit"),
        (TopK(0), "TopK needs k of at least 1, got 0"),
        (TopK(2.0), "TopK needs k of at least 1, got 2.0"),  # type: ignore[arg-type]
        (Histogram(1, 1), "low < high"),
        (Histogram(0, 1, 0), "at least one bin"),
        (Histogram(0, 1, 2.5), "at least one bin"),  # type: ignore[arg-type]
        (Histogram("a", 1), "low < high"),  # type: ignore[arg-type]
        (Histogram(0, float("inf")), "low < high"),
    ],
)
def test_refusals(reducer: Mean | TopK | Histogram, message: str) -> None:
    """Before the model runs."""
    with pytest.raises(InterpError, match=message):
        capture(make("plain"), TOKENS, POST, reduce=reducer)
