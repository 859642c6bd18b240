"""The cache's methods on the residual stream give TransformerLens's numbers, on our transformers and on wrapped bridges."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformer_lens import ActivationCache as LensCache
from transformer_lens.utilities import lm_cross_entropy_loss

import interp
from interp import InterpError
from interp.hooked.cache import ActivationCache
from tests.interp.hooked.foreign.test_bridge import TOKENS, native, ours
from tests.models import make

METHODS = ("decompose_resid", "accumulated_resid", "stack_head_results", "stack_neuron_results")
OPTIONS: list[dict[str, Any]] = [
    {}, {"layer": 1}, {"layer": 0}, {"pos_slice": -1}, {"pos_slice": (1, 3)}, {"pos_slice": [0, 2], "apply_ln": True},
    {"apply_ln": True}, {"layer": 1, "apply_ln": True},
]  # fmt: skip
OWN: dict[str, list[dict[str, Any]]] = {
    "decompose_resid": [{"mode": "attn"}, {"mode": "mlp", "incl_embeds": False}, {"layer": 1, "mlp_input": True}],
    "accumulated_resid": [{"incl_mid": True, "apply_ln": True}, {"layer": 1, "mlp_input": True}],
    "stack_head_results": [{"incl_remainder": True}, {"layer": 0, "incl_remainder": True, "pos_slice": 1}],
    "stack_neuron_results": [
        {"incl_remainder": True, "neuron_slice": (2, 7)}, {"neuron_slice": 3, "layer": 1, "mlp_input": True},
        {"project_output_onto": torch.ones(16), "incl_remainder": True},
        {"project_output_onto": torch.arange(48.0).reshape(16, 3), "apply_ln": True, "incl_remainder": True},
    ],
}  # fmt: skip


def both(norm: str | None, wrapped: bool) -> tuple[ActivationCache, LensCache]:
    """Our cache, and TransformerLens's of the same activations."""
    bridge = native(norm)
    model: Any = interp.wrap(bridge) if wrapped else ours(bridge, norm)
    _, cache = model.run_with_cache(TOKENS)
    return cache, LensCache(dict(cache), bridge if wrapped else model)


@pytest.mark.parametrize("wrapped", [False, True], ids=["ours", "bridge"])
@pytest.mark.parametrize("norm", [None, "LN"])
@pytest.mark.parametrize("method", METHODS)
def test_stacks_are_transformerlens_own(method: str, norm: str | None, wrapped: bool) -> None:
    """The same components, in the same order, with the same numbers."""
    own, lens = both(norm, wrapped)
    for options in OPTIONS + OWN[method]:
        if norm is None and options.get("apply_ln") and "project_output_onto" in options:
            continue  # theirs looks for a scale
        given = {"layer": -1, "return_labels": True, **options}
        (found, labels), (expected, names) = getattr(own, method)(**given), getattr(lens, method)(**given)
        assert [label.replace("tensor(", "").replace(")", "") for label in names] == labels
        torch.testing.assert_close(found, expected.detach(), atol=1e-5, rtol=1e-6, msg=lambda m, o=options: f"{o}: {m}")


@pytest.mark.parametrize("wrapped", [False, True], ids=["ours", "bridge"])
def test_logit_attributions_are_transformerlens_own(wrapped: bool) -> None:
    own, lens = both("LN", wrapped)
    for tokens, wrong, part in [
        (3, None, {}), (torch.tensor([1, 2, 3]), torch.tensor([2, 0, 1]), {"pos_slice": -1}),
        (torch.tensor([1, 2, 3]), None, {}), (TOKENS, TOKENS.flip(0), {}), (4, 5, {"batch_slice": (0, 2)}),
    ]:  # fmt: skip
        place = {"pos_slice": part["pos_slice"]} if "pos_slice" in part else {}
        found = own.logit_attrs(own.decompose_resid(**place), tokens, wrong, **part)
        expected = lens.logit_attrs(lens.decompose_resid(**place), tokens, wrong, **part)
        torch.testing.assert_close(found, expected.detach(), atol=1e-5, rtol=1e-6)


@pytest.mark.parametrize("name", ["plain", "layer norm", "folded norm", "gated", "gated with biases", "no mlp"])
def test_components_add_up_to_the_logits(name: str) -> None:
    """Heads, neurons and biases to the last stream, and that through norm and unembedding to the logits: to 1e-10."""
    model: Any = make(name)
    tokens = torch.tensor([[1, 2, 7], [3, 0, 7]])
    logits, cache = model.run_with_cache(tokens)
    whole = cache.decompose_resid().sum(0)
    torch.testing.assert_close(whole, cache["resid_post", -1], atol=1e-10, rtol=0)
    heads = cache.stack_head_results().sum(0) + cache.decompose_resid(mode="mlp").sum(0)
    torch.testing.assert_close(heads + model.b_O.sum(0), whole, atol=1e-10, rtol=0)
    torch.testing.assert_close(model.unembed(cache.accumulated_resid(apply_ln=True)[-1]), logits, atol=1e-10, rtol=0)
    assert isinstance(cache.to("cpu").decompose_resid(), torch.Tensor)


def test_what_has_no_stream_says_so() -> None:
    _, mlp = interp.HookedMLP(interp.MLPConfig((4, 4), 3, d_in=2)).init_weights(seed=0).run_with_cache(torch.ones(1, 2))
    _, last = make("norm last").run_with_cache(torch.tensor([[1, 2, 7]]))
    _, plain = make("no mlp").run_with_cache(torch.tensor([[1, 2, 7]]))
    with pytest.raises(InterpError, match="a HookedMLP has no residual stream"):
        mlp.decompose_resid()
    with pytest.raises(InterpError, match="post_norm"):
        last.decompose_resid()
    with pytest.raises(InterpError, match="no neurons"):
        plain.stack_neuron_results()
    with pytest.raises(InterpError, match="does not know its model"):
        ActivationCache(plain).decompose_resid()
    with pytest.raises(InterpError, match="layer must be from 0 to 2"):
        plain.decompose_resid(5)


@pytest.mark.parametrize("norm", [None, "LN"])
def test_weights_are_the_bridges(norm: str | None) -> None:
    """Stacks over layers, products of heads, biases; and zeros for biases that a model of ours lacks."""
    bridge = native(norm)
    own, guest = ours(bridge, norm), interp.wrap(bridge)
    names = ("W_E", "W_pos", "W_U", "W_Q", "W_K", "W_V", "W_O", "W_in", "W_out")
    for name in (*names, "b_Q", "b_K", "b_V", "b_O", "b_in", "b_out", "b_U"):
        for model in (own, guest):
            torch.testing.assert_close(getattr(model, name), getattr(bridge, name))
    torch.testing.assert_close(own.OV, bridge.OV.AB)
    torch.testing.assert_close(own.QK, bridge.QK.AB)
    assert own.all_head_labels == bridge.all_head_labels
    torch.testing.assert_close(own.accumulated_bias(1, mlp_input=True), bridge.accumulated_bias(1, mlp_input=True))
    plain: Any = make("plain")
    assert [plain.b_Q.shape, plain.b_O.shape, plain.b_U.shape] == [(1, 3, 4), (1, 12), (7,)]
    assert plain.b_V.abs().sum() == 0
    with pytest.raises(AttributeError):
        _ = make("no mlp").W_in  # type: ignore[attr-defined]


def test_what_a_forward_pass_returns() -> None:
    """TransformerLens's ``return_type`` and ``stop_at_layer``, beside the bridge's own."""
    bridge = native("LN")
    own, guest = ours(bridge, "LN"), interp.wrap(bridge)
    logits = own(TOKENS)
    for model in (own, guest):
        torch.testing.assert_close(model(TOKENS, return_type="loss"), lm_cross_entropy_loss(logits, TOKENS))
        torch.testing.assert_close(model(TOKENS, stop_at_layer=1), bridge(TOKENS, stop_at_layer=1))
    given, loss = own(TOKENS, return_type="both", loss_per_token=True)
    assert torch.equal(given, logits)
    torch.testing.assert_close(loss, lm_cross_entropy_loss(logits, TOKENS, per_token=True))
    assert own(TOKENS, return_type=None) is None
    stream, cache = own.run_with_cache(TOKENS, stop_at_layer=-1)
    assert torch.equal(stream, own.run_with_cache(TOKENS)[1]["resid_pre", 1])
    assert "blocks.1.hook_resid_pre" not in cache
    assert torch.equal(own(TOKENS, stop_at_layer=2), own.run_with_cache(TOKENS)[1]["resid_post", 1])
    assert own.to("cpu") is own
    for wrong in ({"return_type": "losses"}, {"stop_at_layer": 3}, {"stop_at_layer": True}):
        with pytest.raises(InterpError):
            own(TOKENS, **wrong)
    for model in (make("plain"), make("bidirectional").read_at(-1)):  # type: ignore[operator]
        with pytest.raises(InterpError, match="next token's loss needs"):
            model(torch.tensor([[1, 2, 3]]), return_type="loss")
