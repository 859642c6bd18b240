"""Detectors find the heads that were made, with the masks that TransformerLens has."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from transformer_lens import head_detector

import circuits
import interp
from circuits.lens.head_detectors import DETECTORS, repeated_tokens
from interp import InterpError, UnknownName
from tests.interp.hooked.foreign.test_bridge import TOKENS, native
from tests.models import make, subject

THEIRS = {
    "previous token": head_detector.get_previous_token_head_detection_pattern,
    "duplicate token": head_detector.get_duplicate_token_head_detection_pattern,
    "induction": head_detector.get_induction_head_detection_pattern,
}


@pytest.mark.parametrize("name", THEIRS)
def test_masks_are_transformerlens_own(name: str) -> None:
    tokens = torch.tensor([[1, 2, 3, 1, 2, 3, 3, 2], [0, 0, 0, 1, 1, 0, 1, 2]])
    for one in tokens:
        assert torch.equal(DETECTORS[name](one[None])[0], THEIRS[name](one[None]).bool())


def test_scores_are_means_over_queries() -> None:
    """Attention to the masked places, over the queries that have one; on a wrapped bridge."""
    guest = interp.wrap(native("LN"))
    found = circuits.head_detectors(guest, TOKENS)
    _, cache = guest.run_with_cache(TOKENS)
    for name, detector in DETECTORS.items():
        mask = detector(TOKENS)
        own = (cache["pattern", 1][:, 1].double() * mask).sum() / mask.any(-1).sum()
        assert float(found.scores[name][1, 1]) == pytest.approx(float(own), abs=1e-5)
        uniform = (mask.sum(-1) / torch.arange(1, 6)).sum() / mask.any(-1).sum()
        assert found.baseline[name] == pytest.approx(float(uniform))
    assert found.table["component"].tolist()[:4] == ["L0H0", "L0H1", "L1H0", "L1H1"]


@torch.no_grad()
def induction_network(length: int = 6) -> Any:
    """Two layers by hand: a head that looks one position back and hands on the token there, and one that looks for it."""
    vocabulary, context = 9, 2 * length
    config = interp.TransformerConfig(2, 2 * vocabulary + context, 2, context, vocabulary, vocabulary, context)
    model = interp.HookedTransformer(config).double()
    token, copy, position = slice(0, vocabulary), slice(vocabulary, 2 * vocabulary), slice(2 * vocabulary, None)
    model.embed.W_E[:, token] = torch.eye(vocabulary).double()
    model.pos_embed.W_pos[:, position] = torch.eye(context).double()
    sharp, eye = 100.0 * math.sqrt(context), torch.eye(context).double()
    first, second = (block.attn for block in model.blocks)
    first.W_Q[0, position] = sharp * eye.roll(-1, 1).tril(-1)  # the query of position i is the key of i - 1
    first.W_K[0, position] = eye
    first.W_V[0, token, :vocabulary] = first.W_O[0, :vocabulary, copy] = torch.eye(vocabulary).double()
    second.W_Q[1, token, :vocabulary] = sharp * torch.eye(vocabulary).double()
    second.W_K[1, copy, :vocabulary] = torch.eye(vocabulary).double()
    first.W_Q[1, token, :vocabulary] = sharp * torch.eye(vocabulary).double()  # looks for its own token
    first.W_K[1, token, :vocabulary] = torch.eye(vocabulary).double()
    return model


def test_heads_by_hand_are_found() -> None:
    """And the first head of the pair composes with the second's keys."""
    model = induction_network()
    tokens = torch.stack([torch.randperm(9, generator=torch.Generator().manual_seed(i))[:6] for i in range(20)])
    found = circuits.head_detectors(model, torch.cat([tokens, tokens], 1))
    rows = found.rows.set_index("head")
    assert rows.loc["L0H0", "previous token"] == pytest.approx(1)
    # the first position copies itself, so one query of six finds its token twice
    assert rows.loc["L1H1", "induction"] == pytest.approx(11 / 12)
    assert rows.loc["L0H1", ["duplicate token", "current token"]].tolist() == pytest.approx([0.5, 0.75])
    assert rows.loc["L1H0", "induction"] == pytest.approx(found.baseline["induction"])
    assert found.summary["induction"].startswith("L1H1 0.917")
    table = circuits.composition_scores(model, "K", n_random=5).table.set_index("component")
    assert table["change"].idxmax() == "L0H0 -> L1H1 K"


def test_inputs_by_default() -> None:
    """Repeated random tokens, in batches; the task's examples where the context is too short for them."""
    model = induction_network()
    found = circuits.head_detectors(model, detectors="induction", length=4, n=8, seed=3)
    assert list(found.scores) == ["induction"]
    assert "8 sequences of random tokens" in found.notes["inputs"]
    tokens = repeated_tokens(model, 4, 8, 3)
    assert torch.equal(tokens[:, :4], tokens[:, 4:])
    small = circuits.head_detectors(model, tokens, detectors=["induction"], max_bytes=1)
    torch.testing.assert_close(small.scores["induction"], found.scores["induction"])
    assert circuits.head_detectors(subject("plain")).notes["inputs"] == "49 inputs"
    none = circuits.head_detectors(model, torch.arange(4)[None], detectors="induction")
    assert bool(none.scores["induction"].isnan().all())
    with pytest.raises(UnknownName, match="did you mean 'induction'"):
        circuits.head_detectors(model, detectors="inductions")
    with pytest.raises(InterpError, match="no detectors were named; there are previous token"):
        circuits.head_detectors(model, detectors=[])
    with pytest.raises(InterpError, match="holds no repeated sequence"):
        circuits.head_detectors(make("plain"))
    with pytest.raises(InterpError, match="holds no repeated sequence of 7"):
        circuits.head_detectors(model, length=7)


def test_shares_are_drawn_from_0_to_1_with_the_first_head_on_top() -> None:
    """On a scale of their own, heads that attend alike would look like day and night."""
    figure = circuits.head_detectors(subject("two layers")).figure()
    assert (figure.data[0].zmin, figure.data[0].zmax) == (0, 1)
    assert figure.layout.yaxis.autorange == "reversed"
    assert figure.data[0].y[0] == "L0H0"
