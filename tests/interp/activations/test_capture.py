"""Capture: safe copies, every call, bounded memory, and streaming reducers against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from interp import InterpError, Site, capture
from interp.activations.reducers import Covariance, Histogram, Mean, TopK
from interp.errors import UnknownSite
from interp.hooked.base import HookedModel
from interp.hooked.config import Config
from interp.hooked.hook_point import HookPoint
from probes.basis import Basis
from tests.models import P, make

TOKENS = torch.cartesian_prod(torch.arange(P), torch.arange(P), torch.tensor([P]))
POST = "blocks.0.mlp.hook_post"


class Repeater(HookedModel):
    """Calls one hook point three times, and edits what passed in place afterwards."""

    def __init__(self, growing: bool = False):
        super().__init__(Config())
        self.scale, self.growing = nn.Parameter(torch.ones(())), growing
        self.hook_state = HookPoint("batch", "unit")
        self.setup()

    def forward(self, x: Tensor) -> Tensor:
        for step in range(3):
            x = self.hook_state(x * self.scale + 1)
            x.mul_(10)
            if self.growing:
                x = torch.cat([x, x], 1)[:, : 2 + step]
        return x


def test_copies_are_safe_and_every_call_is_kept() -> None:
    """Three calls stand on a leading axis, and in-place edits after the hook do not reach them."""
    acts = capture(Repeater(), torch.zeros(2, 1), "hook_state")["hook_state"]
    assert acts.shape == (3, 2, 1)
    assert acts[:, 0, 0].tolist() == [1.0, 11.0, 111.0]


def test_calls_of_different_shape_are_refused_with_a_way_out() -> None:
    """They cannot stand on one axis; reducers can still stream them."""
    with pytest.raises(InterpError, match="different shapes.*reduce"):
        capture(Repeater(growing=True), torch.zeros(2, 1), "hook_state")


@pytest.mark.parametrize("name", ["plain", "layer norm", "deep"])
@torch.no_grad()
def test_chunks_change_nothing(name: str) -> None:
    """Batches of 10 give what one batch gives, and both what run_with_cache gives."""
    model = make(name)
    inputs = TOKENS if name != "deep" else TOKENS[:, :2]
    _, cache = model.run_with_cache(inputs)
    chunked = capture(model, inputs, "*", batch_size=10)
    assert set(chunked) == set(cache)
    for site, expected in cache.items():
        torch.testing.assert_close(chunked[site], expected, rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_parts_of_sites() -> None:
    """Positions, heads, units and coordinates along a basis are cut out of what passed."""
    model = make("plain")
    _, cache = model.run_with_cache(TOKENS)
    z, post = cache["blocks.0.attn.hook_z"], cache[POST]
    basis = Basis.random(2, 10, seed=0)
    sites = [
        Site("blocks.0.attn.hook_z", head=1, pos=-1), Site("blocks.0.attn.hook_pattern", pos=-1),
        Site(POST, unit=[0, 3]), Site(POST, pos=slice(1, None), basis=basis),
    ]  # fmt: skip
    acts = list(capture(model, TOKENS, sites).values())
    expected = [cache["blocks.0.attn.hook_pattern"][:, :, -1], z[:, -1, 1], post[..., [0, 3]],
                post[:, 1:] @ basis.directions.T]  # fmt: skip
    shapes = sorted(tuple(a.shape) for a in acts)
    assert shapes == sorted(tuple(e.shape) for e in expected)
    for value in expected:
        assert any(a.shape == value.shape and torch.allclose(a, value) for a in acts)


def test_hooks_are_gone_afterwards_even_after_an_error() -> None:
    """Neither a finished nor a failed capture leaves anything installed; the user's own hook stays."""
    model = make("plain")
    model.add_hook(POST, lambda x, hook: x)
    with pytest.raises(InterpError, match="context"):
        capture(model, torch.zeros(1, 9, dtype=torch.long), "*")
    capture(model, TOKENS, "*")
    assert sum(len(p._forward_hooks) for p in model.hook_dict.values()) == 1


def test_the_byte_budget_is_checked_before_memory_is_spent() -> None:
    """The estimate after the first batch names the size and the ways out."""
    model = make("plain")
    needed = len(TOKENS) * 3 * 10 * 8
    capture(model, TOKENS, POST, batch_size=7, max_bytes=needed)
    with pytest.raises(InterpError, match="max_bytes.*reduce=Mean"):
        capture(model, TOKENS, POST, batch_size=7, max_bytes=needed - 1)


def test_sites_that_read_the_same_are_not_merged() -> None:
    """Two bases of equal size print alike."""
    sites = [Site(POST, basis=Basis.random(2, 10, seed=s)) for s in (0, 1)]
    with pytest.raises(InterpError, match="have the same name"):
        capture(make("plain"), TOKENS, sites)


def test_refusals() -> None:
    """A wrong name, no inputs, an index outside: each is said."""
    model = make("plain")
    with pytest.raises(UnknownSite):
        capture(model, TOKENS, "blocks.3.*")
    with pytest.raises(InterpError, match="no inputs"):
        capture(model, TOKENS[:0], POST)
    with pytest.raises(InterpError, match="unit 10 is outside an axis of 10"):
        capture(model, TOKENS, Site(POST, unit=10))
    with pytest.raises(KeyError, match="captured: blocks.0.mlp.hook_post"):
        capture(model, TOKENS, POST)["hook_embed"]


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


def test_histogram(post: np.ndarray) -> None:
    """Counts against numpy's, and what lies outside is counted too."""
    found = capture(make("plain"), TOKENS, POST, batch_size=6, reduce=Histogram(0.0, 3.0, 7))[POST]
    counts, edges = np.histogram(post, bins=7, range=(0.0, 3.0))
    assert found.counts.tolist() == counts.tolist()
    np.testing.assert_allclose(found.edges, edges)
    assert (found.below, found.above) == (int((post < 0).sum()), int((post > 3).sum()))
    assert found.above > 0
