"""Capture: safe copies, every call, bounded memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from interp import InterpError, Site, capture
from interp.activations import reducers
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


def test_a_reducer_or_its_class() -> None:
    """`Mean` means ``Mean()``; a class that needs arguments, and what is not a reducer, are refused."""
    model = make("plain")
    one, other = (capture(model, TOKENS, POST, reduce=r)[POST] for r in (reducers.Mean, reducers.Mean()))
    assert torch.equal(one, other)
    with pytest.raises(InterpError, match="reduce=Histogram needs arguments: .*'low' and 'high'"):
        capture(model, TOKENS, POST, reduce=reducers.Histogram)  # type: ignore[arg-type]
    for wrong in ("mean", torch.mean, 3):
        with pytest.raises(InterpError, match=r"such as interp.reducers.Mean\(\), got"):
            capture(model, TOKENS, POST, reduce=wrong)  # type: ignore[arg-type]


def test_outputs_and_batch_sizes_of_another_kind() -> None:
    """What is kept of the outputs is a function; a batch is a whole number of inputs."""
    model = make("plain")
    with pytest.raises(InterpError, match="outputs must be a function of the model's output, got str"):
        capture(model, TOKENS, POST, outputs="logits")  # type: ignore[arg-type]
    for wrong in (-1, 0, 2.5, "10"):
        with pytest.raises(InterpError, match="batch_size must be a whole number"):
            capture(model, TOKENS, POST, batch_size=wrong)  # type: ignore[arg-type]
