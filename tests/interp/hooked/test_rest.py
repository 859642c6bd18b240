"""The rest of a model: a changed input of the final LayerNorm, against running the model on from there."""

from __future__ import annotations

import pytest
import torch

from interp import capture
from interp.errors import UnknownSite
from interp.hooked.rest import NormedRest, Resumable
from tests.models import P, make

TOKENS = torch.tensor([[1, 2, P], [3, 4, P]])


@pytest.mark.parametrize("name", ["layer norm", "folded norm"])
@torch.no_grad()
def test_normed_rest(name: str) -> None:
    """Outputs after a change, by its algebra and by `resume`."""
    model = make(name)
    site = f"blocks.{model.config.n_layers - 1}.hook_resid_post"  # type: ignore[attr-defined]
    rest, clean = model.linear_rest(site), capture(model, TOKENS, site)[site]
    assert isinstance(rest, NormedRest)
    change = torch.randn(5, *clean.shape, generator=torch.Generator().manual_seed(0), dtype=clean.dtype)
    centred = change - change.mean(-1, keepdim=True)
    found = rest.outputs(clean, model(TOKENS), centred, centred @ rest.matrix)
    for c, outputs in zip(change, found, strict=True):
        torch.testing.assert_close(outputs, model.resume(site, clean + c), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["plain", "two layers", "layer norm", "norm last", "gated", "deep"])
@torch.no_grad()
def test_follow_is_resume_for_each_network(name: str) -> None:
    """Low-rank moves of an activation, for several networks at once, against one run for each."""
    model = make(name)
    inputs = TOKENS if "n_ctx" in model.config.to_dict() else TOKENS[:, :2]
    site = "blocks.0.hook_resid_pre" if "n_ctx" in model.config.to_dict() else "layers.0.hook_post"
    clean = capture(model, inputs, site)[site]
    generator = torch.Generator().manual_seed(1)
    moves = torch.randn(3, *clean.shape[:-1], 2, generator=generator, dtype=clean.dtype)
    rows = torch.randn(3, 2, clean.shape[-1], generator=generator, dtype=clean.dtype)
    found = model.follow(site, clean)(slice(None), moves, rows)
    for outputs, m, r in zip(found, moves, rows, strict=True):
        torch.testing.assert_close(outputs, model.resume(site, clean + m @ r), rtol=1e-9, atol=1e-9)


def test_the_default_is_a_model_that_cannot() -> None:
    """Each method says so, or gives None."""
    rest = Resumable()
    with pytest.raises(UnknownSite, match="a Resumable cannot resume at 'hook_x'"):
        rest.resume("hook_x", torch.zeros(1))
    with pytest.raises(UnknownSite, match="where a change at 'hook_x' arrives"):
        rest.writes("hook_x")
    assert rest.reads("W") is rest.linear_rest("hook_x") is None
