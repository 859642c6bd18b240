"""Circuits of the weights: what they say is what the network does, and what TransformerLens computes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import circuits
import interp
from interp import InterpError, UnknownName
from tests.interp.hooked.foreign.test_bridge import native, ours
from tests.models import make, subject

TOKENS = torch.tensor([[1, 2, 7], [3, 3, 0]])


def bare(**changes: Any) -> Any:
    """A transformer without positions, norms and biases, in which circuits are exact."""
    shape = {"d_vocab": 8, "d_vocab_out": 7, "n_ctx": 3, "positions": False, **changes}
    config = interp.TransformerConfig(2, 12, 3, 4, **shape)  # type: ignore[arg-type]
    return interp.HookedTransformer(config).double().init_weights(seed=0)


@torch.no_grad()
def test_circuits_are_what_heads_do() -> None:
    """QK circuits are the first layer's scores; OV circuits are what attending to a token adds to the logits."""
    model = bare(causal=False)
    _, cache = model.run_with_cache(TOKENS)
    qk, ov = circuits.qk_circuit(model), circuits.ov_circuit(model)
    assert (qk.shape, ov.shape) == ((2, 3, 8, 8), (2, 3, 8, 7))
    scores = qk[0][:, TOKENS[:, :, None], TOKENS[:, None]].transpose(0, 1)
    torch.testing.assert_close(scores, cache["attn_scores", 0], atol=1e-10, rtol=0)
    moved = torch.einsum("bhqk,hbko->bqho", cache["pattern", 0], ov[0][:, TOKENS])
    torch.testing.assert_close(moved, cache.head_results(0) @ model.W_U, atol=1e-10, rtol=0)
    torch.testing.assert_close(circuits.qk_circuit(model, "L1H2"), qk[1, 2])
    torch.testing.assert_close(circuits.ov_circuit(model, "L1H2", source="stream", target="stream"), model.OV[1, 2])


@torch.no_grad()
def test_tokens_and_positions_add_up_to_the_scores() -> None:
    model: Any = make("plain")  # with positions
    _, cache = model.run_with_cache(TOKENS)
    parts = [
        circuits.qk_circuit(model, "L0H1", query=q, key=k)
        for q in ("embed", "pos_embed")
        for k in ("embed", "pos_embed")
    ]
    query, key = TOKENS[0, 2], TOKENS[0, 1]
    total = parts[0][query, key] + parts[1][query, 1] + parts[2][2, key] + parts[3][2, 1]
    torch.testing.assert_close(total, cache["attn_scores", 0][0, 1, 2, 1], atol=1e-10, rtol=0)


@torch.no_grad()
def test_norms_are_folded_in() -> None:
    """What a part reads, times the stream over the norm's scale, is what it reads of the normed stream, but for biases."""
    model: Any = make("layer norm")
    _, cache = model.run_with_cache(TOKENS)
    stream, scale = cache["resid_mid", 1], cache["scale", 1, "ln2"]
    read = circuits.virtual_weights(model, "embed", "L1 mlp")
    centred = model.W_E - model.W_E.mean(1, keepdim=True)
    torch.testing.assert_close(read, (centred * model.blocks[1].ln2.w) @ model.W_in[1], atol=1e-10, rtol=0)
    pre = (stream - stream.mean(-1, keepdim=True)) / scale * model.blocks[1].ln2.w @ model.W_in[1]
    torch.testing.assert_close(pre + model.blocks[1].ln2.b @ model.W_in[1] + model.b_in[1], cache["pre", 1])
    plain = circuits.virtual_weights(model, "embed", "L1 mlp", fold_norms=False)
    torch.testing.assert_close(plain, model.W_E @ model.W_in[1])


@torch.no_grad()
def test_paths_are_products() -> None:
    model: Any = make("two layers")
    found = circuits.effective_weights(model, "embed -> L0H1 -> L1H2 -> L1 mlp")
    expected = model.W_E @ model.OV[0, 1] @ model.OV[1, 2] @ model.W_in[1]
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(circuits.effective_weights(model, ["L0 mlp", "unembed"]), model.W_out[0] @ model.W_U)
    torch.testing.assert_close(circuits.virtual_weights(model, "L0H1", "L1H0 K"), model.W_O[0, 1] @ model.W_K[1, 0])
    torch.testing.assert_close(
        circuits.effective_weights(model, "embed -> L0H0 -> unembed"), circuits.ov_circuit(model, "L0H0")
    )


def test_what_is_no_path_is_refused() -> None:
    model = make("two layers")
    for path, message in [
        ("embed -> L0 mlp -> unembed", "is not linear"), ("L0H1 -> L0H0", "earlier parts to later"), ("embed", "two or more"),
        ("embed -> L9H0", "layers 0 to 1, heads 0 to 2"), ("embed -> nothing", "a path goes through"), (3, "two or more"),
        ("unembed -> embed", "earlier parts to later"),
    ]:  # fmt: skip
        with pytest.raises(InterpError, match=message):
            circuits.effective_weights(model, path)  # type: ignore[arg-type]


@pytest.mark.parametrize("norm", [None, "LN"])
def test_composition_scores_are_transformerlens_own(norm: str | None) -> None:
    """On a bridge and on ours, without the norms' weights; with them they are those of weights in which they are folded."""
    bridge = native(norm)
    for model in (ours(bridge, norm), interp.wrap(bridge)):
        found = circuits.composition_scores(model, fold_norms=False, n_random=2)
        for k, kind in enumerate("QKV"):
            expected = bridge.all_composition_scores(kind).scores.detach().flatten(0, 1).flatten(1)
            torch.testing.assert_close(found.scores[k].float(), expected, atol=1e-6, rtol=1e-5)


def test_composition_stands_out_where_it_was_planted() -> None:
    """A head that reads the queries' directions that another writes scores 1; rotations score about 1 / sqrt(d_model)."""
    model = bare(d_mlp=None)
    with torch.no_grad():
        q, _ = torch.linalg.qr(model.W_O[0, 1].T)
        model.blocks[1].attn.W_K[2].copy_(q)
        model.blocks[0].attn.W_O[1].copy_(q.T)  # orthonormal, so that nothing of it is lost
    found = circuits.composition_scores(model, "K", n_random=30)
    table = found.table
    best = table.loc[table["change"].idxmax()]
    assert best["component"] == "L0H1 -> L1H2 K"
    read, written = model.W_Q[1, 2].detach(), model.OV[0, 1].detach()
    through = written @ q @ read.T
    expected = through.norm() / (written.norm() * (q @ read.T).norm())
    assert best["changed"] == pytest.approx(float(expected))
    assert table["clean"].mean() == pytest.approx(12**-0.5, rel=0.05)
    assert len(table) == 9
    assert found.figure().data[0].z.shape == (3, 3)
    with pytest.raises(InterpError, match="one layer"):
        circuits.composition_scores(make("plain"))
    with pytest.raises(UnknownName, match="kind of composition"):
        circuits.composition_scores(model, "O")


@torch.no_grad()
def test_copying_is_a_matter_of_eigenvalues() -> None:
    """Those of the small matrix are the whole circuit's; a head that writes what it reads scores 1, one that takes it away -1."""
    model = bare(d_vocab_out=8)
    found = circuits.copying_score(model)
    assert found.eigenvalues is not None
    whole = torch.linalg.eigvals(circuits.ov_circuit(model, "L0H1"))
    largest = whole[whole.abs().argsort(descending=True)[:4]]
    own = found.eigenvalues[0, 1]
    torch.testing.assert_close(own.abs().sort().values, largest.abs().sort().values, atol=1e-8, rtol=1e-8)
    assert float(found.scores["copying"][0, 1]) == pytest.approx(float(whole.sum().real / whole.abs().sum()))
    model.unembed.W_U.copy_(model.W_E.T)
    for head, sign in ((0, 1), (1, -1)):
        model.blocks[0].attn.W_O[head].copy_(sign * model.W_V[0, head].T)
    score = circuits.copying_score(model).scores["copying"][0]
    assert score[:2].tolist() == pytest.approx([1, -1])
    assert circuits.copying_score(bare()).notes["tokens_without_a_logit"] == 1
    assert circuits.copying_score(model).figure().data[0].z.shape == (6, 1)
    with pytest.raises(InterpError, match="8 tokens and 9 logits"):
        circuits.copying_score(bare(d_vocab_out=9))


@torch.no_grad()
def test_a_bridges_weights_are_ours() -> None:
    bridge = native("LN")
    own, guest = ours(bridge, "LN"), interp.wrap(bridge)
    for function in (circuits.qk_circuit, circuits.ov_circuit, lambda m: circuits.copying_score(m).scores["copying"]):
        torch.testing.assert_close(function(guest), function(own))
    path = "embed -> L0H1 -> L1 mlp"
    torch.testing.assert_close(circuits.effective_weights(guest, path), circuits.effective_weights(own, path))


def test_what_has_no_such_weights_is_refused() -> None:
    for function in (circuits.qk_circuit, circuits.ov_circuit, circuits.copying_score, circuits.composition_scores):
        with pytest.raises(InterpError, match="which a HookedTransformer and a wrapped TransformerBridge have"):
            function(subject("deep"))
        with pytest.raises(InterpError, match="post_norm"):
            function(subject("norm last"))
    with pytest.raises(InterpError, match="max_bytes"):
        circuits.qk_circuit(subject("plain"), max_bytes=100)
    with pytest.raises(UnknownName, match="did you mean 'embed'"):
        circuits.qk_circuit(subject("plain"), query="embde")
    with pytest.raises(InterpError, match="a head is named such as L0H1"):
        circuits.ov_circuit(subject("plain"), "L0 mlp")
