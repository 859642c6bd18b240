"""Scores and values looked up by token: the model's own outputs, hooks that act, and inputs that are refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from interp import HookedTransformer, TransformerConfig, capture
from interp.errors import InterpError
from interp.hooked.transformer.token_tables import TokenTables

P = 7
PAIRS = torch.cartesian_prod(torch.arange(P), torch.arange(P))
INPUTS = torch.cat([PAIRS, torch.full((P * P, 1), P)], 1)
SHAPE: dict[str, Any] = {
    "n_layers": 1, "d_model": 8, "n_heads": 2, "d_head": 4, "d_vocab": P + 1, "d_vocab_out": P, "n_ctx": 3, "d_mlp": 9,
    "readout": -1,
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "plain": {}, "biases": {"attn_bias": True, "mlp_bias": True, "unembed_bias": True}, "LayerNorm": {"normalization": "LN"},
    "attention only": {"d_mlp": None}, "gated": {"gated_mlp": True, "act_fn": "gelu"}, "bidirectional": {"causal": False},
    "wide": {"d_vocab_out": 20}, "no positions": {"positions": False}, "read in the middle": {"readout": 1},
}  # fmt: skip


def model_of(case: str, dtype: torch.dtype = torch.float64, **other: Any) -> HookedTransformer:
    made = HookedTransformer(TransformerConfig(**{**SHAPE, **CASES[case], **other})).to(dtype)
    return made.init_weights(0, 2.0)


def changed(activation: Tensor, hook: object) -> Tensor:
    return activation * 2


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_outputs_of_the_tables_are_the_models(case: str) -> None:
    model = model_of(case)
    run = model.for_all(INPUTS)
    assert isinstance(run, TokenTables)
    for part in INPUTS.split(20):
        torch.testing.assert_close(run(part), model(part), rtol=1e-12, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("site", ["attn.hook_z", "hook_resid_mid", "mlp.hook_post", "hook_resid_post"])
def test_hooks_behind_the_heads_act_and_are_captured(site: str) -> None:
    model, name = model_of("biases"), f"blocks.0.{site}"
    _, cache = model.run_with_cache(INPUTS)
    torch.testing.assert_close(capture(model, INPUTS, name)[name], cache[name], rtol=1e-12, atol=1e-12)
    with model.hooks([(name, changed)]):
        run = model.for_all(INPUTS)
        assert isinstance(run, TokenTables)
        torch.testing.assert_close(run(INPUTS), model(INPUTS), rtol=1e-12, atol=1e-12)


@torch.no_grad()
def test_where_tables_do_not_apply_the_model_runs_itself() -> None:
    model = model_of("plain")
    for site in ("hook_embed", "blocks.0.attn.hook_k", "blocks.0.attn.hook_pattern"):
        with model.hooks([(site, changed)]):
            assert model.for_all(INPUTS) is model
    assert model.for_all(INPUTS[:10]) is model  # fewer inputs than the tables are worth
    for other in ({"readout": None}, {"n_layers": 2}, {"normalization": "RMS"}):
        whole = model_of("plain", **other)
        assert whole.for_all(INPUTS) is whole
    with torch.enable_grad():
        assert model.for_all(INPUTS) is model


@torch.no_grad()
def test_in_float32_only_where_rounding_may_show() -> None:
    model, half = model_of("plain", torch.float32), model_of("plain", torch.bfloat16)
    assert model.for_all(INPUTS) is model
    assert half.for_all(INPUTS, coarse=True) is half
    torch.testing.assert_close(model.for_all(INPUTS, coarse=True)(INPUTS), model(INPUTS), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_token_outside_the_vocabulary_is_named() -> None:
    with pytest.raises(InterpError, match="9"):
        model_of("plain").for_all(INPUTS)(torch.tensor([[0, 9, 7]]))
