"""`patch`: the plain loop over hooks as its twin, TransformerLens's own patching, and effects worked out by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformer_lens import ActivationCache
from transformer_lens import patching as lens

from circuits import Patch, applied, patch
from interp import HookedMLP, HookedTransformer, InterpError, MLPConfig, Site, Subject, TransformerConfig, capture
from interp.errors import UnknownSite
from tests.models import subject

SEQUENCES = TransformerConfig(3, 12, 3, 4, 9, 9, 6, d_mlp=10)


def sequences(seed: int = 0, **changes: Any) -> HookedTransformer:
    return HookedTransformer(replace(SEQUENCES, **changes)).double().init_weights(seed, 2.0)


def pair(model: HookedTransformer, n: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randint(0, model.config.d_vocab, (2, n, model.config.n_ctx), generator=generator))  # type: ignore


def score(outputs: Tensor) -> Tensor:
    """A value per input that depends on every position."""
    return outputs.double().log_softmax(-1)[..., 0].mean(-1) + outputs[:, -1, 1]


@torch.no_grad()
def loop(one: Subject, clean: Tensor, corrupted: Tensor, sites: list[Site], metric=score) -> list[float]:
    """One forward pass for each cell."""
    found = []
    for site in sites:
        source = capture(one.model, clean, site.name)[site.name]
        with applied(one.model, Patch(site, source), strict=False):
            found.append(float(metric(one.model(corrupted)).mean()))
    return found


def cells(model: HookedTransformer, pattern: str) -> list[Site]:
    """Every position, and every head where a site has heads."""
    found = []
    for name in [n for n in model.hook_dict if n.endswith(pattern)]:
        heads = range(model.config.n_heads) if "head" in model.axes_of(name) else [None]
        order = model.axes_of(name)
        at = itertools.product(range(model.config.n_ctx), heads)
        if "head" in order and "query" in order:
            at = ((p, h) for h, p in itertools.product(heads, range(model.config.n_ctx)))
        found += [Site(name, pos=p, head=h) for p, h in at]
    return found


@pytest.mark.parametrize(
    "point",
    ["hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out", "mlp.hook_post", "hook_z", "hook_q",
     "hook_k", "hook_v", "hook_embed", "hook_pattern"],
)  # fmt: skip
@pytest.mark.parametrize(
    "changes",
    [{}, {"normalization": "LN", "attn_bias": True}, {"causal": False}],
    ids=["causal", "LN", "bidirectional"],
)
def test_every_cell_equals_its_own_pass(point: str, changes: dict) -> None:
    """From the position on, from the site on, or whole: the numbers of one forward pass for each cell."""
    model = sequences(**changes)
    one, (clean, corrupted) = Subject("sequences", model), pair(model)
    found = patch(one, clean, corrupted, f"*{point}", metric=score).effects
    expected = loop(one, clean, corrupted, cells(model, point))
    np.testing.assert_allclose(found["score"], expected, rtol=1e-9)


@pytest.mark.parametrize(
    "changes",
    [{}, {"d_mlp": None}, {"act_fn": "gelu", "unembed_bias": True, "attn_bias": True}, {"d_vocab_out": 14, "mlp_bias": False},
     {"normalization": "LN"}, {"n_layers": 1}],
    ids=str,
)  # fmt: skip
def test_sites_in_any_order_and_all_together(changes: dict) -> None:
    """Runs of several depths climb together, few or many at once; biases are there, and outputs fewer or more than d_model."""
    model = sequences(**changes)
    generator = torch.Generator().manual_seed(3)
    for vector in (p for p in model.parameters() if p.ndim == 1 or p.shape == (3, 4)):
        vector.data += torch.randn(vector.shape, generator=generator, dtype=torch.float64)
    one, (clean, corrupted) = Subject("sequences", model), pair(model)
    points = ["hook_resid_post", "hook_resid_pre", "hook_z", "hook_embed", "hook_attn_out"]
    wanted = [site for point in points for site in cells(model, point)]
    found = [
        patch(one, clean, corrupted, [f"*{p}" for p in points], metric=score, max_bytes=max_bytes).effects
        for max_bytes in (1, 40_000, 1 << 29)
    ]
    order = list(dict.fromkeys(found[0]["site"]))
    wanted.sort(key=lambda site: order.index(site.name))
    expected = loop(one, clean, corrupted, wanted)
    for effects in found:
        assert list(effects["site"]) == [site.name for site in wanted]
        np.testing.assert_allclose(effects["score"], expected, rtol=1e-9)


def test_small_budgets_give_the_same() -> None:
    model = sequences()
    one, (clean, corrupted) = Subject("sequences", model), pair(model)
    found = [patch(one, clean, corrupted, "*hook_z", metric=score, max_bytes=b).effects["score"] for b in (1, 1 << 29)]
    np.testing.assert_allclose(*found, rtol=1e-12)


class Lens:
    """Our model with the ``cfg`` that TransformerLens's functions read."""

    def __init__(self, model: HookedTransformer):
        config = model.config
        self.cfg = SimpleNamespace(
            n_layers=config.n_layers, n_heads=config.n_heads, n_key_value_heads=None, device="cpu"
        )
        self.model, self.training = model, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)


@torch.no_grad()
@pytest.mark.parametrize(
    ("function", "point"),
    [(lens.get_act_patch_resid_pre, "hook_resid_pre"), (lens.get_act_patch_resid_mid, "hook_resid_mid"),
     (lens.get_act_patch_attn_out, "hook_attn_out"), (lens.get_act_patch_mlp_out, "hook_mlp_out"),
     (lens.get_act_patch_attn_head_out_by_pos, "attn.hook_z")],
)  # fmt: skip
def test_transformer_lens_draws_the_same_map(function: Any, point: str) -> None:
    """TransformerLens's own activation patching, of the same model and inputs."""
    model = sequences()
    one, (clean, corrupted) = Subject("sequences", model), pair(model)
    _, cache = model.run_with_cache(clean)
    theirs = function(Lens(model), corrupted, ActivationCache(cache, Lens(model)), lambda out: score(out).mean())
    ours = patch(one, clean, corrupted, f"blocks.*.{point}", metric=score).effects["score"]
    np.testing.assert_allclose(ours, theirs.flatten(), rtol=1e-6)  # theirs are float32


def test_hand_made() -> None:
    """Inputs (1, 0) and (0, 1) through W = [[1, 2], [3, 4]], ReLU and the unembedding [[1, 0], [0, 1]].

    Clean hidden (1, 2), corrupted (3, 4). Patching unit 0 of the corrupted run gives logits (1, 4), unit 1 gives (3, 2).
    The score out[0] - 2 out[1] is -3 clean and -5 corrupted; -7 and -1 patched.
    """
    weights = {"layers.0.W": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "unembed.W_U": torch.eye(2)}
    model = HookedMLP.from_weights(MLPConfig((2,), 2, d_in=2, bias=False, unembed_bias=False), weights)
    clean, corrupted = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    found = patch(
        Subject("by hand", model), clean, corrupted, "layers.0.hook_post", metric=lambda out: out[:, 0] - 2 * out[:, 1]
    ).effects
    assert found["metric"].tolist() == [-7.0, -1.0]
    assert found["recovered"].tolist() == [-1.0, 2.0]  # (v + 5) / 2
    assert (found.attrs["clean"], found.attrs["corrupted"]) == (-3.0, -5.0)


@pytest.mark.parametrize("name", ["plain", "deep", "per operand"])
def test_the_whole_of_an_embedding_is_the_clean_run(name: str) -> None:
    """Everything patched recovers everything, of a task's own answers."""
    one = subject(name)
    inputs = one.require_task().inputs
    clean, corrupted = inputs[:5], inputs[5:10]
    found = patch(one, clean, corrupted, "hook_embed", by=()).effects
    assert found["recovered"].tolist() == pytest.approx([1.0])


def test_a_picture_of_layers_and_positions() -> None:
    model = sequences()
    one, (clean, corrupted) = Subject("sequences", model), pair(model)
    figure = patch(one, clean, corrupted, "blocks.*.hook_resid_pre", metric=score).figure()
    assert np.asarray(figure.data[0].z).shape == (3, 6)


def test_refusals_of_patch() -> None:
    """Each names what is wrong."""
    model = sequences()
    one, (clean, corrupted) = Subject("sequences", model), pair(model)
    with pytest.raises(InterpError, match="do not align"):
        patch(one, clean, corrupted[:2], "*hook_z", metric=score)
    with pytest.raises(InterpError, match="are the same"):
        patch(one, clean, clean, "*hook_z", metric=score)
    with pytest.raises(UnknownSite, match="hook_zz"):
        patch(one, clean, corrupted, "hook_zz", metric=score)
    with pytest.raises(InterpError, match="correct answers"):
        patch(one, clean, corrupted, "*hook_z")
    with pytest.raises(InterpError, match="unknown axis of blocks.0.attn.hook_z 'row'"):
        patch(one, clean, corrupted, "*hook_z", metric=score, by=("row",))
    handle = model.hook_dict["hook_embed"].register_forward_hook(lambda *_: None)
    with pytest.raises(InterpError, match="hook"):
        patch(one, clean, corrupted, "*hook_z", metric=score)
    handle.remove()


def test_a_heat_map_says_what_its_colours_are_and_has_room_for_its_rows() -> None:
    one = subject("two layers")
    clean, corrupted = one.require_task().inputs[:6], one.require_task().inputs[6:12]
    small = patch(one, clean, corrupted, "blocks.*.hook_resid_pre").figure()
    assert small.data[0].colorbar.title.text == "recovered"
    assert small.layout.xaxis.title.text == "position"
    assert small.layout.height == 340
    everything = patch(one, clean, corrupted, "*").figure()
    assert everything.layout.height >= 15 * len(everything.data[0].y)
