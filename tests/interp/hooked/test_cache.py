"""The cache of a forward pass answers to the names that TransformerLens gives, by its own rule."""

from __future__ import annotations

import pytest
import torch
from transformer_lens import ActivationCache as LensCache
from transformer_lens.utilities import get_act_name

import interp
from interp import InterpError
from interp.hooked.cache import NoSuchActivation, full_name

TOKENS = torch.tensor([[1, 2, 5], [0, 3, 5]])


@pytest.fixture(scope="module")
def model() -> interp.HookedTransformer:
    shape = {"d_vocab": 6, "d_vocab_out": 5, "n_ctx": 3, "d_mlp": 6, "normalization": "LN"}
    return interp.HookedTransformer(interp.TransformerConfig(2, 8, 2, 4, **shape)).init_weights(seed=0)  # type: ignore[arg-type]


def test_names_are_transformerlens_own(model: interp.HookedTransformer) -> None:
    """Short names, with a layer and with a part of it, as its own function resolves them."""
    _, cache = model.run_with_cache(TOKENS)
    for key in [
        ("q", 0), ("k", 1), ("v", 0), ("z", 1), ("pattern", 0), ("attn", 1), ("attn_scores", 0), ("pre", 0), ("post", 1),
        ("mlp_post", 1), ("resid_pre", 0), ("resid_mid", 1), ("resid_post", 1), ("attn_out", 0), ("mlp_out", 0),
        ("scale", 0, "ln1"), ("normalized", 1, "ln2"),
    ]:  # fmt: skip
        assert cache[key] is cache[get_act_name(*key)], key
    assert cache["embed"] is cache["hook_embed"]
    assert cache["q1"] is cache["q", 1] is cache["q", -1]
    assert cache["scale", 1, "ln1"] is cache["scale1ln1"]
    assert cache.stack_activation("resid_pre").shape == (2, 2, 3, 8)
    acts = interp.capture(model, TOKENS, "*hook_pattern")
    assert torch.equal(acts["pattern", 1], cache["pattern", 1])
    _, few = interp.HookedMLP(interp.MLPConfig((4, 4), 3, d_in=2)).init_weights(seed=0).run_with_cache(torch.ones(1, 2))
    assert few["post", 1] is few["layers.1.hook_post"]


def test_transformerlens_own_cache_reads_ours(model: interp.HookedTransformer) -> None:
    """With ``model.cfg``: what its components write adds up to the stream."""
    _, cache = model.run_with_cache(TOKENS)
    lens = LensCache(dict(cache), model)
    parts = lens.decompose_resid(apply_ln=False)
    torch.testing.assert_close(parts.sum(0), cache["resid_post", 1])
    assert (model.cfg.n_layers, model.cfg.d_model, model.cfg.attn_only, model.cfg.device.type) == (2, 8, False, "cpu")
    with pytest.raises(AttributeError, match="has no 'n_layer'; it has .*n_layers"):
        _ = model.cfg.n_layer
    with pytest.raises(AttributeError, match="frozen"):
        model.cfg.n_layers = 3  # type: ignore[misc]


def test_a_cache_prints_in_a_few_lines(model: interp.HookedTransformer) -> None:
    _, cache = model.run_with_cache(TOKENS)
    assert repr(cache).startswith(f"ActivationCache of {len(cache)} activations, 0.0 MiB\n  hook_embed [2, 3, 8]")
    assert len(repr(cache)) < 2000
    assert isinstance(cache, dict)


def test_a_name_that_is_not_there(model: interp.HookedTransformer) -> None:
    """Is a KeyError, as of any dict, and a sentence of ours."""
    _, cache = model.run_with_cache(TOKENS)
    for key, message in [
        (("q", 2), r"no activation \('q', 2\) in the cache; nearest: blocks.0.attn.hook_q"),
        ("scale", "could be .*: name the layer"), (("scale", 0), "could be blocks.0.ln1.hook_scale, blocks.0.ln2"),
        ("hook_embde", "nearest: hook_embed"), (3, "named by a text"), (("q", "x"), "no activation"),
    ]:  # fmt: skip
        with pytest.raises(NoSuchActivation, match=message) as caught:
            cache[key]  # type: ignore[index]
        assert isinstance(caught.value, KeyError)
        assert isinstance(caught.value, InterpError)
    with pytest.raises(NoSuchActivation, match="no activation 'nothing'"):
        cache.stack_activation("nothing")
    assert full_name("hook_embed", cache) == "hook_embed"


def test_a_subject_moves_as_a_tensor_does() -> None:
    """To a dtype and a device, in any order; the model keeps its dtype where none is asked for."""
    subject = interp.Subject("mlp", interp.HookedMLP(interp.MLPConfig((4,), 3, d_in=2)).init_weights(seed=0))
    assert subject.to("cpu") is subject
    for moved in (subject.to(torch.float64), subject.to("cpu", "float64"), subject.to(torch.float64, device="cpu")):
        assert moved.model.dtype == torch.float64
    assert subject.to(torch.float32).precision == torch.float32
    assert subject.model.dtype == torch.float32
    for wrong in (("gpu",), ("cpu", "cpu"), (3,), (torch.int64,)):
        with pytest.raises(InterpError):
            subject.to(*wrong)
