"""TransformerLens's bridges, wrapped: against our own transformer with the same weights, at every site that both have."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformer_lens import ActivationCache as LensCache
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformers import GPT2Config, GPT2LMHeadModel

import circuits
import interp
from circuits import Ablate, Scale, Zero, applied
from interp import HookedTransformer, InterpError, Site, TransformerConfig
from interp.activations.gradients import gradients
from interp.hooked import HookedModel

TOKENS = torch.tensor([[1, 2, 3, 4, 5], [10, 0, 7, 7, 2], [3, 3, 9, 1, 0]])
LAYERS, D, HEADS, D_HEAD, VOCAB = 2, 16, 2, 8, 11
SHARED = [
    "hook_embed", "hook_pos_embed", "hook_logits",
    *(f"blocks.{i}.{n}" for i in range(LAYERS) for n in (
        "hook_resid_pre", "attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_pattern", "attn.hook_z",
        "hook_attn_out", "hook_resid_mid", "mlp.hook_pre", "mlp.hook_post", "hook_mlp_out", "hook_resid_post",
    )),
]  # fmt: skip
NORMS = [f"{n}.{p}" for n in ("blocks.0.ln1", "blocks.1.ln2", "ln_final") for p in ("hook_scale", "hook_normalized")]


@functools.cache
def native(norm: str | None, **changes: Any) -> Any:
    """A small bridge with weights large enough that everything matters."""
    torch.manual_seed(0)
    config = TransformerBridgeConfig(
        n_layers=LAYERS, d_model=D, n_heads=HEADS, d_head=D_HEAD, d_vocab=VOCAB, n_ctx=6, d_mlp=32, act_fn="relu",
        normalization_type=norm, architecture="TransformerLensNative", **changes,
    )  # fmt: skip
    bridge = TransformerBridge.boot_native(config).eval()
    with torch.no_grad():
        for parameter in bridge.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape) + (1.0 if parameter.ndim == 1 else 0.0))
    return bridge


def ours(bridge: Any, norm: Any) -> HookedTransformer:
    """Our transformer around the same numbers, read from the bridge's own modules."""
    weights = {"embed.W_E": bridge.embed.weight, "pos_embed.W_pos": bridge.pos_embed.weight}
    weights |= {"unembed.W_U": bridge.unembed.weight.T}
    for i, block in enumerate(bridge.blocks):
        at = f"blocks.{i}"
        for name in "QKV":
            linear = getattr(block.attn, name.lower())
            weights[f"{at}.attn.W_{name}"] = linear.weight.T.unflatten(1, (HEADS, D_HEAD)).transpose(0, 1)
            weights[f"{at}.attn.b_{name}"] = linear.bias.unflatten(0, (HEADS, D_HEAD))
        weights |= {
            f"{at}.attn.W_O": block.attn.o.weight.T.unflatten(0, (HEADS, D_HEAD)),
            f"{at}.attn.b_O": block.attn.o.bias,
        }
        mlp_in, mlp_out = getattr(block.mlp, "in"), block.mlp.out
        weights |= {f"{at}.mlp.W_in": mlp_in.weight.T, f"{at}.mlp.b_in": mlp_in.bias}
        weights |= {f"{at}.mlp.W_out": mlp_out.weight.T, f"{at}.mlp.b_out": mlp_out.bias}
        for ln in ("ln1", "ln2") if norm else ():
            weights |= {f"{at}.{ln}.w": getattr(block, ln).weight, f"{at}.{ln}.b": getattr(block, ln).bias}
    if norm:
        weights |= {"ln_final.w": bridge.ln_final.weight, "ln_final.b": bridge.ln_final.bias}
    config = TransformerConfig(
        LAYERS, D, HEADS, D_HEAD, VOCAB, VOCAB, n_ctx=6, d_mlp=32, normalization=norm, attn_bias=True
    )
    return HookedTransformer.from_weights(config, weights)


def sites(norm: str | None) -> list[str]:
    return SHARED + (NORMS if norm else [])


@torch.no_grad()
def logits_under(model: HookedModel, change: Any) -> Tensor:
    with applied(model, change):
        return model(TOKENS)


@pytest.mark.parametrize("norm", [None, "LN"])
@torch.no_grad()
def test_activations_and_axes_are_ours(norm: str | None) -> None:
    """Every site that both have: the same numbers, shapes and names of axes."""
    guest, own = interp.wrap(native(norm)), ours(native(norm), norm)
    assert set(sites(norm)) <= set(guest.hook_dict)
    shared = [n for n in guest.hook_dict if n in own.hook_dict]
    found, expected = interp.capture(guest, TOKENS, shared), interp.capture(own, TOKENS, shared)
    for name in shared:
        torch.testing.assert_close(found[name], expected[name], atol=1e-5, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
        assert guest.axes_of(name) == own.axes_of(name)
    torch.testing.assert_close(guest(TOKENS), own(TOKENS), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("norm", [None, "LN"])
def test_a_change_does_the_same_in_both(norm: str | None) -> None:
    """Also at hook_resid_mid, where the bridge alone would leave the skip connection as it was."""
    guest, own = interp.wrap(native(norm)), ours(native(norm), norm)
    for name in (n for n in guest.hook_dict if n in own.hook_dict):
        whole = name.endswith(("hook_scale", "hook_pattern"))
        change = Scale(name if whole else Site(name, unit=range(3)), 0.4)
        found, expected = logits_under(guest, change), logits_under(own, change)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}")
        assert not torch.allclose(found, own(TOKENS), atol=1e-4), name


@pytest.mark.parametrize("changes", [
    {"n_key_value_heads": 1}, {"positional_embedding_type": "rotary"}, {"gated_mlp": True},
], ids=["shared keys", "rotary", "gated"])  # fmt: skip
def test_rms_norms_keep_the_points_before_them(changes: dict[str, Any]) -> None:
    """A hook at such a norm makes the bridge rebuild its output without gradients; what comes before it still acts."""
    guest = interp.wrap(native("RMS", **changes))
    points = ("hook_resid_pre", "attn.hook_z", "attn.hook_pattern", "mlp.hook_post", "hook_resid_post")
    assert {f"blocks.{i}.{n}" for i in range(LAYERS) for n in points} <= set(guest.hook_dict)
    for by in ("component", "neuron", "position"):
        assert (
            circuits.logit_attribution(guest, TOKENS, by=by, answers=TOKENS[:, 0]).error < 1e-6
        )  # the norm computes in float32
    _, cache = guest.run_with_cache(TOKENS)
    theirs = LensCache(dict(cache) | native("RMS", **changes).run_with_cache(TOKENS)[1].cache_dict, guest.module)
    expected = theirs.decompose_resid(apply_ln=True).detach()
    torch.testing.assert_close(cache.decompose_resid(apply_ln=True), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("site", [
    Site("blocks.0.attn.hook_z", head=1), Site("blocks.1.attn.hook_q", head=0, pos=-1),
    Site("blocks.0.mlp.hook_post", unit=range(9)), Site("blocks.0.hook_resid_mid", pos=1),
])  # fmt: skip
def test_parts_of_sites(site: Site) -> None:
    """Heads, positions and units mean the same in both."""
    guest, own = interp.wrap(native("LN")), ours(native("LN"), "LN")
    torch.testing.assert_close(
        logits_under(guest, Ablate(site, Zero())), logits_under(own, Ablate(site, Zero())), atol=1e-4, rtol=1e-4
    )


def test_two_changes_of_the_residual_stream_at_once() -> None:
    """What is ablated behind the attention, and again behind the MLP."""
    guest, own = interp.wrap(native(None)), ours(native(None), None)
    both = [Ablate("blocks.0.hook_resid_mid", Zero()), Scale("blocks.0.hook_resid_post", 3.0)]
    torch.testing.assert_close(logits_under(guest, both), logits_under(own, both), atol=1e-4, rtol=1e-4)


def test_gradients_are_ours() -> None:
    """Through the skip connection too."""
    guest, own = interp.wrap(native("LN")), ours(native("LN"), "LN")
    names = ["blocks.0.hook_resid_mid", "blocks.1.attn.hook_z", "blocks.0.attn.hook_q", "hook_embed"]
    _, found = gradients(guest, TOKENS, lambda out: out[:, -1, 3], names)
    _, expected = gradients(own, TOKENS, lambda out: out[:, -1, 3], names)
    for name in names:
        torch.testing.assert_close(found[name], expected[name], atol=1e-5, rtol=1e-4)


def test_points_that_lie_are_left_out() -> None:
    """What this bridge shows at hook_attn_scores is the pattern; the notes say what is missing."""
    guest = interp.wrap(native(None))
    assert not [n for n in guest.hook_dict if n.endswith("hook_attn_scores")]
    assert "blocks.1.attn.hook_attn_scores" in guest.notes[0]


def test_the_bridge_is_left_as_it_was() -> None:
    """No hooks when it is wrapped, nor after a pass that failed; its own hooks are named."""
    bridge = copy.deepcopy(native(None))
    guest = interp.wrap(bridge)
    with pytest.raises(KeyboardInterrupt), guest.hooks([("blocks.1.hook_attn_out", interrupt)]):
        guest(TOKENS)
    assert guest.foreign_hooks() == []
    handle = bridge.blocks[0].hook_in.register_forward_hook(lambda *_: None)
    with pytest.raises(InterpError, match="blocks.0.*hook_in"):
        interp.Subject("guest", guest).refuse_hooks()
    handle.remove()
    interp.Subject("guest", guest).refuse_hooks()


def interrupt(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_in_another_dtype() -> None:
    """A copy, which the original knows nothing of."""
    bridge = native(None)
    wide = interp.wrap(bridge).cast(torch.float64)
    assert wide(TOKENS).dtype == torch.float64
    assert bridge(TOKENS).dtype == torch.float32
    torch.testing.assert_close(wide(TOKENS).float(), bridge(TOKENS), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_hugging_faces_model_from_disk(tmp_path: Path) -> None:
    """GPT-2 with random weights: its logits, and the scores and patterns that transformers itself gives."""
    config = GPT2Config(
        n_layer=2, n_embd=16, n_head=2, n_positions=12, vocab_size=11, bos_token_id=0, eos_token_id=0,
        attn_implementation="eager",
    )  # fmt: skip
    torch.manual_seed(0)
    model = GPT2LMHeadModel(config).eval()
    model.save_pretrained(tmp_path)
    guest = interp.wrap(TransformerBridge.boot_transformers(str(tmp_path), device="cpu"))
    truth = model(TOKENS, output_attentions=True, output_hidden_states=True)
    acts = interp.capture(guest, TOKENS, ["*.hook_pattern", "*.hook_attn_scores", "*.hook_resid_pre", "*.hook_z"])
    torch.testing.assert_close(guest(TOKENS), truth.logits, atol=1e-5, rtol=1e-5)
    for layer in range(2):
        torch.testing.assert_close(acts[f"blocks.{layer}.attn.hook_pattern"], truth.attentions[layer])
        torch.testing.assert_close(acts[f"blocks.{layer}.hook_resid_pre"], truth.hidden_states[layer])
        assert acts[f"blocks.{layer}.attn.hook_attn_scores"].softmax(-1).allclose(truth.attentions[layer], atol=1e-5)
        assert acts[f"blocks.{layer}.attn.hook_z"].shape == (3, 5, 2, 8)
    # in float64, of a copy: transformers' own hooks are no obstacle, nor what the bridge keeps of a pass with gradients
    found = circuits.logit_attribution(guest, TOKENS, by="neuron", answers=TOKENS[:, 0])
    assert found.error < 1e-10
    assert float(circuits.logit_lens(guest, TOKENS, answers="next").values[-1, 0, 3]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("norm", "changes"), [(None, {}), ("LN", {}), ("RMS", {"gated_mlp": True})], ids=["none", "LN", "RMS"]
)
def test_edges_of_a_bridge(norm: str | None, changes: dict[str, Any]) -> None:
    """Edges are those of a transformer with the bridge's weights, and EAP's sums are what hooks on the bridge itself give."""
    guest = interp.wrap(native(norm, **changes))
    clean, corrupted = TOKENS, TOKENS.flip(0)
    metric = circuits.LogitDiff(TOKENS[:, 0], TOKENS[:, 1])
    found = circuits.eap(guest, clean, corrupted, metric=metric)
    own = interp.capture(guest, clean, "hook_embed", outputs=lambda out: out)
    assert own.outputs is not None
    rows = torch.arange(3)
    last = own.outputs[:, -1]
    assert found.clean == pytest.approx(float((last[rows, TOKENS[:, 0]] - last[rows, TOKENS[:, 1]]).mean()), abs=1e-4)
    # all edges of a sender together: its gradient in the bridge, times what it would write
    site = "blocks.0.hook_mlp_out"
    by_hooks = circuits.attribute(guest, corrupted, clean, site, metric=metric, by=())
    sender = found.edges.query("sender == 'L0 mlp'")["score"].sum()
    assert sender == pytest.approx(float(by_hooks.effects["effect"].sum()), rel=1e-3, abs=1e-4)
    kept = circuits.acdc(guest, clean, corrupted, threshold=0.01, metric=metric).chosen
    assert kept is not None
    assert 0 < int(kept.sum()) < len(found.edges)


def test_edges_of_a_bridge_that_has_no_twin() -> None:
    guest = interp.wrap(native("RMS", positional_embedding_type="rotary"))
    with pytest.raises(InterpError, match="'rotary'"):
        circuits.eap(guest, TOKENS, TOKENS.flip(0), metric=circuits.LogitDiff(TOKENS[:, 0], TOKENS[:, 1]))
