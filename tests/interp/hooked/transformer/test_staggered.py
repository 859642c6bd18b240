"""`Departures`: runs that differ at one position, against whole forward passes with that position put in by a hook."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from interp import HookedTransformer, TransformerConfig, capture
from interp.errors import UnknownSite
from interp.hooked.transformer.staggered import POINTS, Departures, departs

CONFIG = TransformerConfig(2, 8, 2, 4, 7, 7, 5, d_mlp=12)
TOKENS = torch.randint(0, 7, (3, 5), generator=torch.Generator().manual_seed(0))


GATED = replace(CONFIG, gated_mlp=True, positions=False, act_fn="gelu", attn_scale=1.5)


def departures(config: TransformerConfig = CONFIG) -> Departures:
    model = HookedTransformer(config).double().init_weights(0)
    run = capture(model, TOKENS, POINTS, outputs=lambda outputs: outputs)
    assert run.outputs is not None
    return Departures(model, run, run.outputs)


def whole(model: HookedTransformer, site: str, x: Tensor, position: int) -> Tensor:
    def put(activation: Tensor, hook: Any) -> Tensor:
        activation[:, position] = x
        return activation

    return model.run_with_hooks(TOKENS, fwd_hooks=[(site, put)])


@pytest.mark.parametrize("config", [CONFIG, GATED], ids=["plain", "gated"])
@torch.no_grad()
def test_positions_in_any_order_and_runs_of_any_number(config: TransformerConfig) -> None:
    """What one call leaves behind must not reach the next."""
    ours, generator = departures(config), torch.Generator().manual_seed(1)
    sites = ["blocks.1.hook_resid_post", "hook_embed", "blocks.1.hook_resid_pre", "blocks.0.hook_resid_mid"]
    for position, counts in (
        (3, (1, 2, 1, 1)),
        (1, (0, 1, 0, 2)),
        (4, (1, 1, 3, 0)),
        (2, (0, 0, 1, 0)),
        (0, (1, 1, 1, 1)),
    ):
        starts = [
            (site, torch.randn(n, 3, 8, generator=generator, dtype=torch.float64))
            for site, n in zip(sites, counts, strict=True)
            if n
        ]
        expected = [whole(ours.model, site, x, position) for site, several in starts for x in several]
        torch.testing.assert_close(ours.outputs(starts, position), torch.stack(expected), rtol=1e-10, atol=1e-12)


@torch.no_grad()
def test_nothing_changed_changes_nothing() -> None:
    ours = departures()
    stream = capture(ours.model, TOKENS, "blocks.0.hook_resid_pre")["blocks.0.hook_resid_pre"]
    same = ours.outputs([("blocks.0.hook_resid_pre", stream[None, :, 2])], 2)[0]
    torch.testing.assert_close(same, ours.model(TOKENS), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    "changes",
    [{"causal": False}, {"readout": -1}, {"normalization": "RMS"}, {"normalization": "LN", "post_norm": True}],
)
def test_models_that_cannot_depart(changes: dict) -> None:
    model = HookedTransformer(TransformerConfig(1, 8, 2, 4, 7, 7, 5, **changes))
    assert not departs(model)
    with pytest.raises(UnknownSite, match="only in a causal transformer"):
        Departures(model, {}, torch.zeros(0))


@pytest.mark.parametrize("site", ["blocks.0.attn.hook_z", "blocks.7.hook_resid_pre", "hook_logits", "hook_pos_embed"])
def test_sites_where_nothing_departs(site: str) -> None:
    with pytest.raises(UnknownSite, match="residual stream"):
        departures().outputs([(site, torch.zeros(1, 3, 8, dtype=torch.float64))], 0)
