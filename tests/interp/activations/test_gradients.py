"""Gradients at sites: against finite differences of really changed activations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from interp import InterpError, Site, capture
from interp.activations.gradients import gradients
from interp.activations.transform import transform_at
from interp.errors import UnknownSite
from tests.models import P, make

TOKENS = torch.tensor([[1, 2, P], [3, 4, P], [6, 0, P]])
SITES = ["blocks.0.hook_resid_pre", "blocks.0.attn.hook_z", "blocks.0.attn.hook_pattern", "blocks.1.mlp.hook_post"]


def score(logits: Tensor) -> Tensor:
    return (logits[:, -1] ** 2).sum(-1)


@pytest.mark.parametrize("site", SITES)
def test_against_finite_differences(site: str) -> None:
    """A small step of the activation along a random direction changes the score by the gradient's share of it."""
    model = make("two layers")
    acts, found = gradients(model, TOKENS, score, site)
    assert torch.equal(acts[site], capture(model, TOKENS, site)[site])
    step = 1e-6 * torch.randn(acts[site].shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    moved = []
    with torch.no_grad():
        for sign in (1, -1):
            with transform_at(model, {site: lambda x, s=sign: x + s * step}):
                moved.append(score(model(TOKENS)))
    expected = (found[site] * step).flatten(1).sum(1)
    torch.testing.assert_close((moved[0] - moved[1]) / 2, expected, rtol=1e-5, atol=1e-12)


def test_of_replaced_activations() -> None:
    """The gradient is taken at the replacement: of a square it is twice the replacement."""
    model = make("plain")
    zeros = {"hook_logits": torch.full((3, 3, P), 0.5, dtype=torch.float64)}
    acts, found = gradients(model, TOKENS, lambda out: out.square(), "hook_logits", replaced=zeros)
    assert torch.equal(acts["hook_logits"], zeros["hook_logits"])
    assert torch.equal(found["hook_logits"], 2 * zeros["hook_logits"])


def test_a_site_that_the_score_does_not_depend_on() -> None:
    """Its gradient is 0, not missing."""
    found = gradients(make("plain"), TOKENS, lambda out: out[:, 0], ["hook_logits", "blocks.0.attn.hook_z"])[1]
    assert found["blocks.0.attn.hook_z"][:, 1:].abs().max() == 0 < found["blocks.0.attn.hook_z"][:, 0].abs().max()


def test_refusals() -> None:
    """Unknown sites, parts of sites, scores that are not a function or have no gradient; no hook is left behind."""
    model = make("plain")

    with pytest.raises(UnknownSite):
        gradients(model, TOKENS, score, "blocks.9.*")
    with pytest.raises(InterpError, match="whole hook points; select from the result instead of"):
        gradients(model, TOKENS, score, Site("hook_embed", pos=0))
    with pytest.raises(InterpError, match="score must be a function of the model's outputs, got str"):
        gradients(model, TOKENS, "loss", "hook_embed")  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="no gradient"):
        gradients(model, TOKENS, lambda out: out.argmax(-1), "hook_embed")
    with pytest.raises(InterpError, match=r"no inputs were given: a tensor \[0, 3\]"):
        gradients(model, TOKENS[:0], score, "hook_embed")
    assert model.watched_sites() == []
