"""The transformer against a naive twin, torch's own attention, and itself by other routes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F

from interp import HookedTransformer, InterpError, TransformerConfig
from interp.errors import UnknownSite
from interp.hooked import config_from_dict
from interp.hooked.activation_functions import ACTIVATIONS
from interp.hooked.rest import NormedRest
from tests.models import TRANSFORMERS, P, make

NAMES = sorted(TRANSFORMERS)


def tokens(n: int = 6) -> Tensor:
    return torch.randint(0, P + 1, (n, 3), generator=torch.Generator().manual_seed(0))


def naive(model: HookedTransformer, batch: Tensor) -> Tensor:
    """The forward pass written out over examples, heads and positions."""
    config, w = model.config, dict(model.named_parameters())

    def norm(x: Tensor, name: str) -> Tensor:
        if config.normalization is None or (name == "ln_final" and not config.final_norm):
            return x
        if config.normalization == "RMS":
            return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + config.ln_eps) * w[f"{name}.w"]
        weights = (w[f"{name}.w"], w[f"{name}.b"]) if config.normalization == "LN" else (None, None)
        return F.layer_norm(x, (config.d_model,), *weights, eps=config.ln_eps)

    out = []
    for example in batch:
        resid = w["embed.W_E"][example]
        if config.positions:
            resid = resid + w["pos_embed.W_pos"][: len(example)]
        for layer in range(config.n_layers):
            at = f"blocks.{layer}."
            x, written = resid if config.post_norm else norm(resid, f"{at}ln1"), torch.zeros_like(resid)
            for head in range(config.n_heads):
                q, k, v = (
                    x @ w[f"{at}attn.W_{c}"][head] + (w[f"{at}attn.b_{c}"][head] if config.attn_bias else 0)
                    for c in "QKV"
                )
                for position in range(len(example)):
                    last = position + 1 if config.causal else len(example)
                    weights = torch.softmax(k[:last] @ q[position] / (config.attn_scale or math.sqrt(config.d_head)), 0)
                    written[position] += (weights @ v[:last]) @ w[f"{at}attn.W_O"][head]
            resid = resid + written + (w[f"{at}attn.b_O"] if config.attn_bias else 0)
            resid = norm(resid, f"{at}ln1") if config.post_norm else resid
            if config.d_mlp:
                x = resid if config.post_norm else norm(resid, f"{at}ln2")
                pre = x @ w[f"{at}mlp.W_in"] + (w[f"{at}mlp.b_in"] if config.mlp_bias else 0)
                post = ACTIVATIONS[config.act_fn](pre)
                if config.gated_mlp:
                    gate = x @ w[f"{at}mlp.W_gate"] + (w[f"{at}mlp.b_gate"] if config.mlp_bias else 0)
                    post = ACTIVATIONS[config.act_fn](gate) * pre
                resid = resid + post @ w[f"{at}mlp.W_out"]
                resid = resid + (w[f"{at}mlp.b_out"] if config.mlp_bias else 0)
                resid = norm(resid, f"{at}ln2") if config.post_norm else resid
        logits = norm(resid, "ln_final") @ w["unembed.W_U"]
        out.append(logits + (w["unembed.b_U"] if config.unembed_bias else 0))
    return torch.stack(out)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_forward_equals_the_naive_twin(name: str) -> None:
    """Every option of the config, against loops."""
    model = make(name)
    torch.testing.assert_close(model(tokens()), naive(model, tokens()), rtol=1e-10, atol=1e-10)


@torch.no_grad()
def test_attention_equals_torchs() -> None:
    """Scores, mask and values by another library's routine."""
    model = make("plain")
    _, cache = model.run_with_cache(tokens())
    q, k, v = (cache[f"blocks.0.attn.hook_{c}"].transpose(1, 2) for c in "qkv")
    expected = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
    torch.testing.assert_close(cache["blocks.0.attn.hook_z"], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("position", [-1, 0, 1])
@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_readout_equals_the_whole_pass(name: str, position: int) -> None:
    """The last block at one position gives that position's logits, from the same weights."""
    model = make(name)
    reader = model.read_at(position)
    torch.testing.assert_close(reader(tokens())[:, 0], model(tokens())[:, position], rtol=1e-10, atol=1e-10)
    assert reader.W_E is model.W_E


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_resume_continues_the_pass(name: str) -> None:
    """From every place that it can be resumed at, the rest of the model gives the same logits."""
    model = make(name)
    logits, cache = model.run_with_cache(tokens())
    sites = ["hook_embed", *(n for n in cache if "hook_resid" in n)]
    assert len(sites) > model.config.n_layers
    for site in sites:
        torch.testing.assert_close(model.resume(site, cache[site]), logits, rtol=0, atol=0)


@pytest.mark.parametrize("name", NAMES)
@torch.no_grad()
def test_writes_says_where_a_change_arrives(name: str) -> None:
    """Moving a site by d moves the named stream by d @ matrix, by really moving it."""
    model = make(name)
    _, before = model.run_with_cache(tokens())
    for site in (s for s in before if s.endswith(("hook_z", "hook_post", "hook_attn_out", "hook_mlp_out"))):
        stream, matrix = model.writes(site)
        change = torch.randn(before[site].shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        with model.hooks([(site, lambda x, hook, d=change: x + d)]):
            _, after = model.run_with_cache(tokens(), names_filter=stream)
        flat = change.flatten(-2) if "head" in model.axes_of(site) else change
        expected = before[stream] + (flat if matrix is None else flat @ matrix)
        torch.testing.assert_close(after[stream], expected, rtol=1e-10, atol=1e-10)


@torch.no_grad()
def test_linear_rest_is_the_unembedding_perhaps_behind_a_norm() -> None:
    """Without a final LayerNorm ``W_U``; with one, the outputs for a changed stream are those of a run from there."""
    plain, normed = make("plain"), make("layer norm")
    assert plain.linear_rest("blocks.0.hook_resid_post") is plain.W_U
    assert plain.linear_rest("blocks.0.hook_resid_mid") is None
    rest = normed.linear_rest("blocks.1.hook_resid_post")
    assert isinstance(rest, NormedRest)
    generator = torch.Generator().manual_seed(0)
    clean, change = torch.randn(2, 5, 3, normed.config.d_model, generator=generator, dtype=torch.float64)
    outputs = normed.resume("blocks.1.hook_resid_post", clean)
    centred = change - change.mean(-1, keepdim=True)
    found = rest.outputs(clean, outputs, centred[None], centred[None] @ rest.matrix)[0]
    torch.testing.assert_close(found, normed.resume("blocks.1.hook_resid_post", clean + change))


def test_resume_names_where_it_can() -> None:
    """Places without a way on are refused by name."""
    with pytest.raises(UnknownSite, match="hook_resid_pre"):
        make("plain").resume("blocks.0.attn.hook_q", torch.zeros(1))
    with pytest.raises(UnknownSite, match="hook_z"):
        make("plain").writes("blocks.0.attn.hook_pattern")


@torch.no_grad()
def test_names_and_shapes_are_transformer_lenss() -> None:
    """A TransformerLens user finds every name and shape."""
    model = make("two layers")
    logits, cache = model.run_with_cache(tokens(5))
    assert logits.shape == (5, 3, P)
    shapes = {
        "hook_embed": (5, 3, 12), "hook_pos_embed": (5, 3, 12), "blocks.1.hook_resid_pre": (5, 3, 12),
        "blocks.1.attn.hook_q": (5, 3, 3, 4), "blocks.1.attn.hook_z": (5, 3, 3, 4),
        "blocks.1.attn.hook_attn_scores": (5, 3, 3, 3), "blocks.1.attn.hook_pattern": (5, 3, 3, 3),
        "blocks.1.hook_attn_out": (5, 3, 12), "blocks.1.hook_resid_mid": (5, 3, 12),
        "blocks.1.mlp.hook_pre": (5, 3, 10), "blocks.1.mlp.hook_post": (5, 3, 10),
        "blocks.1.hook_mlp_out": (5, 3, 12), "blocks.1.hook_resid_post": (5, 3, 12),
    }  # fmt: skip
    assert {name: tuple(cache[name].shape) for name in shapes} == shapes
    weights = {"W_E": (P + 1, 12), "W_pos": (3, 12), "W_Q": (2, 3, 12, 4), "W_O": (2, 3, 4, 12), "W_in": (2, 12, 10),
               "W_out": (2, 10, 12), "W_U": (12, P)}  # fmt: skip
    assert {name: tuple(getattr(model, name).shape) for name in weights} == weights


@torch.no_grad()
def test_every_axis_has_a_name() -> None:
    """Names of axes match the activations' ranks at every hook point."""
    for name in NAMES:
        model = make(name)
        _, cache = model.run_with_cache(tokens())
        assert all(len(model.axes_of(n)) == t.ndim for n, t in cache.items())


@pytest.mark.parametrize("name", ["plain", "layer norm", "norm last", "gated", "no mlp"])
@torch.no_grad()
def test_vmap_runs_an_ensemble(name: str) -> None:
    """A model is a plain function of its parameters: stacked members give what single ones give."""
    members = [make(name, seed) for seed in range(3)]
    parameters, buffers = stack_module_state(members)  # type: ignore[arg-type]
    batch = tokens()
    together = vmap(lambda p, b: functional_call(members[0], (p, b), (batch,)))(parameters, buffers)
    for member, logits in zip(members, together, strict=True):
        torch.testing.assert_close(logits, member(tokens()), rtol=1e-10, atol=1e-10)


def test_config_round_trip_and_refusals() -> None:
    """A config survives its plain form; impossible ones are refused with the field named."""
    for config in TRANSFORMERS.values():
        assert config_from_dict(config.to_dict()) == config
    with pytest.raises(InterpError, match="n_heads"):
        TransformerConfig(1, 4, 0, 2, 5, 5, 3)
    with pytest.raises(InterpError, match="did you mean 'relu'"):
        TransformerConfig(1, 4, 1, 2, 5, 5, 3, act_fn="rleu")
    with pytest.raises(InterpError, match="readout"):
        TransformerConfig(1, 4, 1, 2, 5, 5, 3, readout=3)
    with pytest.raises(InterpError, match="context"):
        make("plain")(torch.zeros(1, 4, dtype=torch.long))


def test_weights_that_do_not_fit_are_named() -> None:
    """Missing, left-over and misshapen weights: each is named, and no model is built."""
    model = make("plain")
    weights = dict(model.state_dict())
    missing = {k: v for k, v in weights.items() if k != "embed.W_E"}
    with pytest.raises(InterpError, match=r"missing embed.W_E \[8, 12\]"):
        HookedTransformer.from_weights(model.config, missing)
    with pytest.raises(InterpError, match="left over extra"):
        HookedTransformer.from_weights(model.config, {**weights, "extra": torch.zeros(2)})
    with pytest.raises(InterpError, match=r"unembed.W_U is \[7, 12\], expected \[12, 7\]"):
        HookedTransformer.from_weights(model.config, {**weights, "unembed.W_U": weights["unembed.W_U"].T})


def test_from_weights_copies() -> None:
    """The file's memory is never written to by the model."""
    model = make("plain")
    copy = HookedTransformer.from_weights(model.config, model.state_dict())
    with torch.no_grad():
        copy.W_E.zero_()
    assert model.W_E.abs().sum() > 0


def test_initial_weights_follow_the_seed_and_the_scale() -> None:
    """Same seed, same weights; variance scale^2 / fan_in; biases 0."""
    config = TransformerConfig(1, 256, 4, 64, 114, 113, 3, d_mlp=512, attn_bias=True)
    one, two = (HookedTransformer(config).init_weights(3, scale=s) for s in (1.0, 2.0))
    torch.testing.assert_close(two.W_in, 2 * one.W_in)
    assert one.W_in.std().item() == pytest.approx(256**-0.5, rel=0.02)
    assert one.W_out.std().item() == pytest.approx(512**-0.5, rel=0.02)
    assert one.W_O.std().item() == pytest.approx(256**-0.5, rel=0.02)
    assert one.blocks[0].attn.b_Q.abs().sum() == 0


def test_backward_hooks_see_the_gradients() -> None:
    """A point with a backward hook alone is watched, too: d(sum of logits)/d(resid_post) is W_U's row sums."""
    model, seen = make("plain"), []
    with model.hooks(bwd_hooks=[("blocks.0.hook_resid_post", lambda grad, hook: seen.append(grad))]):
        model(tokens(2)).sum().backward()
    torch.testing.assert_close(seen[0], model.W_U.sum(1).expand(2, 3, 12))


@torch.no_grad()
def test_what_follows_the_last_block_where_norms_come_last() -> None:
    """One LayerNorm is algebra for the engine, two or an RMSNorm are not; resuming gives the truth."""
    model = make("norm last")
    site = "blocks.1.hook_resid_post"
    rest = model.linear_rest(site)
    assert isinstance(rest, NormedRest)
    generator = torch.Generator().manual_seed(0)
    clean, change = torch.randn(2, 5, 3, model.config.d_model, generator=generator, dtype=torch.float64)
    outputs, centred = model.resume(site, clean), change - change.mean(-1, keepdim=True)
    found = rest.outputs(clean, outputs, centred[None], centred[None] @ rest.matrix)[0]
    torch.testing.assert_close(found, model.resume(site, clean + change))
    assert make("norm last, no mlp").linear_rest(site) is None
    assert make("gated").linear_rest(site) is None
    assert make("gated with biases").linear_rest(site) is not None


def test_fields_that_do_not_go_together() -> None:
    """Each refusal names the field."""
    shape = {"n_layers": 1, "d_model": 4, "n_heads": 1, "d_head": 4, "d_vocab": 5, "d_vocab_out": 5, "n_ctx": 3}
    for fields, named in (
        ({"post_norm": True}, "post_norm"),
        ({"attn_scale": 0.0}, "attn_scale"),
        ({"normalization": "BN"}, "RMS"),
    ):
        with pytest.raises(InterpError, match=named):
            TransformerConfig(**shape, **fields)


def test_configs_of_older_files_still_load() -> None:
    """They lack the newer fields, whose defaults are what those models were."""
    config = make("layer norm").config
    older = {
        k: v
        for k, v in config.to_dict().items()
        if k not in ("post_norm", "final_norm", "gated_mlp", "positions", "attn_scale")
    }
    assert config_from_dict(older) == config
