"""The toy model of superposition against its formula, and by other routes through itself."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import interp
from circuits import ablate
from interp import HookedToyModel, InterpError, ToyModelConfig, capture
from interp.errors import UnknownName, UnknownSite

EXACT = {"rtol": 1e-12, "atol": 1e-13}
CONFIGS = (ToyModelConfig(5, 2), ToyModelConfig(4, 3, "identity"), ToyModelConfig(5, 2, bias=False))


def made(config: ToyModelConfig, seed: int = 0) -> HookedToyModel:
    model = HookedToyModel(config).double().init_weights(seed)
    if config.bias:
        with torch.no_grad():
            model.b_final.copy_(torch.linspace(-0.3, 0.2, config.n_features))
    return model


def features(n: int, batch: int = 6) -> Tensor:
    return torch.rand(batch, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("config", CONFIGS)
@torch.no_grad()
def test_equals_the_formula(config: ToyModelConfig) -> None:
    """ReLU(W^T W x + b), example by example; and W x at the hidden dimensions."""
    model, x = made(config), features(config.n_features)
    hidden = capture(model, x, "hook_hidden")["hook_hidden"]
    for row, out, h in zip(x, model(x), hidden, strict=True):
        pre = model.W.T @ (model.W @ row) + (model.b_final if config.bias else 0)
        torch.testing.assert_close(out, pre.clamp(min=0) if config.act_fn == "relu" else pre, **EXACT)
        torch.testing.assert_close(h, model.W @ row, **EXACT)


@pytest.mark.parametrize("config", CONFIGS)
@torch.no_grad()
def test_routes_agree(config: ToyModelConfig) -> None:
    """Resuming, writing, and ablation of the hidden dimensions against running with a hook."""
    model, x = made(config), features(config.n_features)
    outputs, cache = model.run_with_cache(x)
    for site in ("hook_input", "hook_hidden", "hook_pre"):
        torch.testing.assert_close(model.resume(site, cache[site]), outputs, **EXACT)
        to, matrix = model.writes(site)
        change = torch.randn(cache[site].shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        moved = cache[to] + (change if matrix is None else change @ matrix)
        hooked = model.run_with_hooks(x, fwd_hooks=[(site, lambda a, hook, change=change: a + change)])
        torch.testing.assert_close(model.resume(to, moved), hooked, **EXACT)
    table = ablate(model, value="zero", inputs=x, metric=lambda y: y.sum(-1))
    for unit in range(config.n_hidden):
        W = model.W.clone()
        W[unit] = 0  # a hidden dimension that nothing writes to is zero
        pre = x @ W.T @ W + (model.b_final if config.bias else 0)
        expected = (pre.clamp(min=0) if config.act_fn == "relu" else pre).sum(-1).mean()
        assert table["metric"][unit] == pytest.approx(float(expected), abs=1e-12)


@torch.no_grad()
def test_a_stack_runs_at_once() -> None:
    """Stacked parameters, with inputs that are shared or stacked too."""
    models = [made(CONFIGS[0], seed) for seed in range(3)]
    stack = made(CONFIGS[0])
    for name in ("W", "b_final"):
        stack._parameters[name] = torch.nn.Parameter(torch.stack([getattr(m, name) for m in models]))
    x = features(5)
    torch.testing.assert_close(stack(x), torch.stack([m(x) for m in models]), **EXACT)
    own = torch.stack([x, 2 * x, 3 * x])
    torch.testing.assert_close(stack(own), torch.stack([m(i) for m, i in zip(models, own, strict=True)]), **EXACT)


def test_saved_and_loaded(tmp_path: Path) -> None:
    model = made(CONFIGS[1])
    interp.save(model, tmp_path / "m.safetensors")
    again = interp.load(tmp_path / "m.safetensors", device="cpu").model
    assert again.config == model.config
    assert torch.equal(again(features(4)), model(features(4)))


def test_what_does_not_fit() -> None:
    with pytest.raises(InterpError, match="n_hidden"):
        ToyModelConfig(5, 0)
    with pytest.raises(UnknownName, match="relu"):
        ToyModelConfig(5, 2, "rleu")
    with pytest.raises(InterpError, match=r"\[batch, 5\]"):
        made(CONFIGS[0])(features(4))
    with pytest.raises(UnknownSite, match="hook_hidden"):
        made(CONFIGS[0]).resume("hook_logits", features(5))
