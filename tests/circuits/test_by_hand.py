"""Two networks with weights 1, 2, 3, 4, and what a person finds when working out every intervention and experiment.

The MLP: ``h = x @ [[1, 2], [3, 4]]``, a ReLU, ``out = h @ [[1, 4], [4, 2]]``. Its two examples are A = (1, 0), answer
0, and B = (0, 1), answer 1. Everything is positive there, so that the ReLU passes it.

    A: h = (1, 2)   out = (1 + 8,  4 + 4) = ( 9,  8)   right by 1      out[0] - out[1] = -3 h0 + 2 h1
    B: h = (3, 4)   out = (3 + 16, 12 + 8) = (19, 20)  right by 1

The transformer: one layer of two heads that look at all positions alike (``W_Q = W_K = 0``) and read one feature each:
head 0 the first, which it writes along (1, 2), head 1 the second, which it writes along (3, 4). Tokens 0 and 1 embed as
(1, 2) and (3, 4); the logits are the stream. Read at the second position of two:

    "0 0": z = (1, 2)                                out = (1, 2) + 1 (1, 2) + 2 (3, 4) = ( 8, 12)
    "1 0": z = ((3 + 1) / 2, (4 + 2) / 2) = (2, 3)   out = (1, 2) + 2 (1, 2) + 3 (3, 4) = (12, 18)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import pandas as pd
import pytest
import torch
from torch import Tensor

from circuits import ablate, applied, attribute, discover, freeze, patch, path_patch
from circuits.interventions.kinds import Ablate, Add, Freeze, Intervention, Keep, Remove, Scale
from circuits.interventions.values import Fixed, Mean, Zero
from interp import Examples, HookedMLP, HookedTransformer, MLPConfig, Site, Subject, TransformerConfig
from probes.basis import Basis

HIDDEN, Z = "layers.0.hook_post", "blocks.0.attn.hook_z"
A, B = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]]], dtype=torch.float64)
BOTH = torch.cat([A, B])
ONE, OTHER = torch.tensor([[0, 0]]), torch.tensor([[1, 0]])
DIAGONAL = Basis(torch.tensor([[0.6, 0.8]], dtype=torch.float64), ("3 4 5",))  # B's h is 5 times this, A's 11/5


def mlp() -> Subject:
    weights = {"layers.0.W": torch.tensor([[1.0, 2], [3, 4]]), "unembed.W_U": torch.tensor([[1.0, 4], [4, 2]])}
    config = MLPConfig((2,), 2, d_in=2, bias=False, unembed_bias=False)
    model = HookedMLP.from_weights(config, weights, dtype=torch.float64)
    return Subject("mlp", model, Examples(BOTH, torch.tensor([0, 1])))


def transformer() -> Subject:
    nothing, attn = torch.zeros(2, 2, 1), "blocks.0.attn"
    weights = {
        "embed.W_E": torch.tensor([[1.0, 2], [3, 4]]), "pos_embed.W_pos": torch.zeros(2, 2),
        f"{attn}.W_Q": nothing, f"{attn}.W_K": nothing, f"{attn}.W_V": torch.eye(2).unsqueeze(-1),
        f"{attn}.W_O": torch.tensor([[[1.0, 2]], [[3, 4]]]), "unembed.W_U": torch.eye(2),
    }  # fmt: skip
    config = TransformerConfig(1, d_model=2, n_heads=2, d_head=1, d_vocab=2, d_vocab_out=2, n_ctx=2)
    return Subject("transformer", HookedTransformer.from_weights(config, weights, dtype=torch.float64))


def zeroth(outputs: Tensor) -> Tensor:
    """The first logit, at the last position."""
    return outputs[..., 0] if outputs.ndim == 2 else outputs[:, -1, 0]


@torch.no_grad()
def under(one: Subject, inputs: Tensor, *interventions: Intervention) -> list:
    """Outputs, those of a transformer at the last position."""
    with applied(one, interventions):
        outputs = one.model(inputs)
    return (outputs if outputs.ndim == 2 else outputs[:, -1]).tolist()


def table(frame: pd.DataFrame, *columns: str) -> list[list]:
    return frame[list(columns)].to_numpy().tolist()


@pytest.mark.parametrize(
    ("interventions", "expected"),
    [
        ([], [[9, 8], [19, 20]]),
        ([Ablate(HIDDEN, Zero())], [[0, 0], [0, 0]]),
        ([Ablate(Site(HIDDEN, unit=0), Zero())], [[8, 4], [16, 8]]),  # h = (0, 2), (0, 4)
        ([Ablate(Site(HIDDEN, unit=0), Mean())], [[10, 12], [18, 16]]),  # mean 2: h = (2, 2), (2, 4)
        ([Ablate(Site(HIDDEN, unit=1), Mean(reference=A))], [[9, 8], [11, 16]]),  # A's own 2: h = (1, 2), (3, 2)
        ([Ablate(Site(HIDDEN, unit=1), Fixed(torch.tensor(1.0)))], [[5, 6], [7, 14]]),  # h = (1, 1), (3, 1)
        ([Scale(Site(HIDDEN, unit=1), 3.0)], [[25, 16], [51, 36]]),  # h = (1, 6), (3, 12)
        ([Add(HIDDEN, torch.tensor([1.0, 0]), 2.0)], [[11, 16], [21, 28]]),  # h = (3, 2), (5, 4)
        ([Add("hook_input", torch.tensor([0.0, 1]), -1.0)], [[0, 0], [0, 0]]),  # A: h = (-2, -2), cut to 0; B: (0, 0)
        ([Scale(Site(HIDDEN, unit=0), 2.0), Add(HIDDEN, torch.tensor([3.0, 0]))], [[13, 24], [25, 44]]),  # 2 h + 3
        ([Add(HIDDEN, torch.tensor([3.0, 0])), Scale(Site(HIDDEN, unit=0), 2.0)], [[16, 36], [28, 56]]),  # 2 (h + 3)
    ],
)  # fmt: skip
def test_interventions(interventions: Sequence[Intervention], expected: list) -> None:
    """The hidden units that each leaves stand beside it; out = (h0 + 4 h1, 4 h0 + 2 h1)."""
    assert under(mlp(), BOTH, *interventions) == expected


def test_one_direction() -> None:
    """Along (3, 4) / 5 A has 11/5, which is h = (33, 44) / 25 and leaves (-8, 6) / 25; B has 5 and leaves nothing.

    out of A: kept (33 + 176, 132 + 88) / 25, removed (-8 + 24, -32 + 12) / 25. Held at the mean 18/5 A gains
    7/5 (3, 4) / 5 = (21, 28) / 25, so h = (46, 78) / 25, and B becomes 18/25 (3, 4) = (54, 72) / 25.
    """
    kept, removed, held = (
        under(mlp(), BOTH, i)
        for i in (Keep(HIDDEN, DIAGONAL, Zero()), Remove(HIDDEN, DIAGONAL, Zero()), Remove(HIDDEN, DIAGONAL, Mean()))
    )
    assert kept == [pytest.approx([209 / 25, 220 / 25]), pytest.approx([19, 20])]
    assert removed == [pytest.approx([16 / 25, -20 / 25]), pytest.approx([0, 0], abs=1e-12)]
    assert held == [pytest.approx([358 / 25, 340 / 25]), pytest.approx([342 / 25, 360 / 25])]


def test_freezing() -> None:
    """Twice A gives h = (2, 4); with unit 1 held at A's 2 it is (2, 2), so out = (2 + 8, 8 + 4)."""
    held = freeze(mlp().model, A, HIDDEN)[0].from_
    assert under(mlp(), A, Scale("hook_input", 2.0), Freeze(Site(HIDDEN, unit=1), held)) == [[10, 12]]


def test_attention_frozen_and_not() -> None:
    """A score of ln 3 on the first key makes the pattern 3/4, 1/4: z = (2.5, 3.5), out = (1 + 2.5 + 10.5, 2 + 5 + 14).

    With the pattern frozen the score has no effect: (12, 18). With all attention on the first key z = (3, 4): (16, 24).
    """
    one, attn = transformer(), "blocks.0.attn"
    steered = Add(f"{attn}.hook_attn_scores", torch.tensor([math.log(3), 0.0]))
    (found,) = under(one, OTHER, steered)
    assert found == pytest.approx([14, 21])
    assert under(one, OTHER, steered, *freeze(one.model, OTHER, f"{attn}.hook_pattern")) == [[12, 18]]
    first = Ablate(Site(f"{attn}.hook_pattern", pos=1), Fixed(torch.tensor([1.0, 0.0])))
    assert under(one, OTHER, first) == [[16, 24]]


def test_ablating_units() -> None:
    """The right answer's lead is m on A and -m on B, m = -3 h0 + 2 h1; clean 1 and 1.

    Zero: without unit 0 m = 4, 8, so leads 4, -8, mean -2: needed (-3). Without unit 1 m = -3, -9, leads -3, 9: mean 3,
    the network does better (+2). Mean (2 and 3): unit 0 held, leads -2, -2; unit 1 held, leads 3, 3.
    """
    zero, mean = (ablate(mlp(), value=v, metric="logit_diff") for v in (Zero(), Mean()))
    columns = ("logit_diff", "logit_diff_change", "correct", "accuracy_change")
    assert table(zero, *columns) == [[-2, -3, 1, -0.5], [3, 2, 1, -0.5]]
    assert table(mean, *columns) == [[-2, -3, 0, -1], [3, 2, 2, 0]]
    assert zero.attrs["clean"]["logit_diff"] == 1
    assert "logit_diff_change = changed minus clean: negative means" in zero.attrs["sign"]


def test_kl_is_never_negative() -> None:
    """Probabilities p of the right answer, q when changed: KL = p ln(p / q) + (1 - p) ln((1 - p) / (1 - q)).

    Whether what goes hurts (unit 1: leads of 3 by the mean) or helps (unit 0: -2), it is above the clean run's 0.
    """
    found = ablate(mlp(), value=Mean(), metric="kl")
    p, *others = (1 / (1 + math.exp(-lead)) for lead in (1, -2, 3))
    expected = [p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)) for q in others]
    assert found["kl_change"].tolist() == pytest.approx(expected)
    assert (min(expected) > 0, found.attrs["clean"]["kl"]) == (True, 0)


def test_ablating_heads() -> None:
    """First logits 8, 12. Without head 0 7, 10: -1.5; without head 1 8 - 6, 12 - 9: -7.5. Means change no mean."""
    one, inputs = transformer(), torch.cat([ONE, OTHER])
    zero, mean = (ablate(one, "heads", value=v, inputs=inputs, metric=zeroth) for v in (Zero(), Mean()))
    assert table(zero, "component", "zeroth", "zeroth_change") == [["L0H0", 8.5, -1.5], ["L0H1", 2.5, -7.5]]
    assert table(mean, "zeroth_change") == [[0], [0]]
    assert under(one, inputs, Ablate(Site(Z, head=1), Mean())) == [[9.5, 14], [10.5, 16]]  # z1 = 2.5 in both


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        ("hook_input", [[0, 0.5], [0, 0.5]]),  # (1, 1): h = (4, 6), m = 0; (0, 0): m = 0
        ("layers.0.hook_pre", [[5, 3], [-5, -2]]),  # h = (1, 4): m = -3 + 8; (3, 2): m = -9 + 4
        (HIDDEN, [[5, 3], [-5, -2]]),
        ("hook_logits", [[-11, -5], [11, 6]]),  # 9 - 20; 19 - 8
    ],
)
def test_patching_and_attributing_units(site: str, expected: list) -> None:
    """A's units one by one in B's run: ``logit_diff`` is m, A's answer's lead; 1 in A, -1 in B; recovered (m + 1) / 2.

    No unit changes its side of the ReLU, so that attribution is exact: m + 1, which add up to 2 at every site.
    """
    real, estimate = patch(mlp(), A, B, site), attribute(mlp(), A, B, site, verify=True)
    assert (real.effects.attrs["clean"], real.effects.attrs["corrupted"]) == (1, -1)
    assert table(real.effects, "logit_diff", "recovered") == expected
    assert table(estimate.effects, "effect", "patched") == [[m + 1, m + 1] for m, _ in expected]
    assert estimate.effects["effect"].sum() == 2


@pytest.mark.parametrize(
    ("site", "expected"),
    [(Z, [12, 12, 11, 9]), ("blocks.0.attn.hook_v", [11, 9, 12, 12]), ("blocks.0.attn.hook_q", [12] * 4),
     ("blocks.0.hook_resid_pre", [8, 12]), ("blocks.0.hook_attn_out", [12, 8]), ("hook_logits", [12, 8])],
)  # fmt: skip
def test_patching_and_attributing_positions_and_heads(site: str, expected: list[int]) -> None:
    """Of "0 0" in "1 0", by position and head: 12 unless it is what position 1 reads of position 0, or its result.

    Head 0 then is 1 instead of 2 (-1), head 1 is 2 instead of 3 (-3), both are -4. Linear, since the patterns stay.
    """
    real, estimate = (f(transformer(), ONE, OTHER, site, metric=zeroth).effects for f in (patch, attribute))
    assert table(real, "zeroth", "recovered") == [[v, (v - 12) / -4] for v in expected]
    assert estimate["effect"].tolist() == [v - 12 for v in expected]


def test_where_an_estimate_is_wrong() -> None:
    """-A has h = (-1, -2), cut to 0. In A's run the first logit, 9, loses 1 and 8; the slopes 1, 4 say -2 and -16.

    The other way the slopes are 0, and say nothing of the gain of 1 and 8. Half of the way lies on either side of the
    kink, so that two points of integration are exact.
    """
    there, back = (
        attribute(mlp(), *x, "layers.0.hook_pre", metric=zeroth, verify=True).effects for x in ((-A, A), (A, -A))
    )
    assert table(there, "effect", "patched") == [[-2, -1], [-16, -8]]
    assert table(back, "effect", "patched") == [[0, 1], [0, 8]]
    exact = attribute(mlp(), -A, A, "layers.0.hook_pre", metric=zeroth, integrated=2).effects
    assert exact["effect"].tolist() == pytest.approx([-1, -8])


@pytest.mark.parametrize(("units", "value"), [([0], -4), ([1], 3), ([0, 1], 0)])
def test_paths(units: list[int], value: float) -> None:
    """Input 0 of A in B: h = (3 + 1, 4 + 2). Heard by unit 0 alone m = -12 + 8, by unit 1 alone -9 + 12, by both 0.

    From -1 that is -3 and +4, together +1. The first to be moved has (3, 4), of norm 5, before it.
    """
    receivers = [Site("layers.0.hook_pre", unit=u) for u in units]
    found = path_patch(mlp(), A, B, sender=Site("hook_input", unit=0), receivers=receivers)
    assert (found.value, found.recovered) == (value, (value + 1) / 2)
    assert next(iter(found.moved.values())) == (units[0] + 1) / 5


def test_paths_through_heads() -> None:
    """The first token, heard by head 0 alone 12 - 1, by head 1 alone 12 - 3; past both heads it is not heard."""
    values = "blocks.0.attn.hook_v"
    for receiver, value in ((Site(values, head=0), 11), (Site(values, head=1), 9), ("hook_logits", 12)):
        found = path_patch(transformer(), ONE, OTHER, sender="hook_embed", receivers=[receiver], metric=zeroth)
        assert (found.value, found.clean, found.corrupted) == (value, 8, 12)


def test_what_is_beside_a_receiver_stays_frozen() -> None:
    """A in B, heard by unit 0 and by the logits: unit 1 stays at B's 4, so that h = (1, 4), m = -3 + 8 = 5; not A's (1, 2).

    "0 0" in "1 0", heard by head 0 and by the logits: z = (1, 3), of which the first logit is 1 + 1 + 9 = 11, not A's 8.
    """
    receivers = [Site(HIDDEN, unit=0), "hook_logits"]
    assert path_patch(mlp(), A, B, sender="hook_input", receivers=receivers).value == 5
    receivers = [Site(Z, head=0), "hook_logits"]
    assert path_patch(transformer(), ONE, OTHER, sender="hook_embed", receivers=receivers, metric=zeroth).value == 11


@pytest.mark.parametrize("order", ["effects", "attribution"])
def test_discovered_nodes(order: Literal["effects", "attribution"]) -> None:
    """The mean lead is 3 of unit 0, -2 of unit 1: unit 1 goes, since without it the lead is 3, and without both 0.

    Of accuracy each has half: without either one of the two answers is wrong, and held at 0 all is a tie, half right.
    """
    found = discover(mlp(), metric="logit_diff", value=Zero(), order=order)
    assert found.components == ["L0N0"]
    assert (found.clean, found.empty, found.score, found.faithfulness) == (1, 0, 3, 3)
    assert (found.completeness, found.minimality) == (-2, 3)
    assert table(found.random, "score") == [[-2]]
    both = discover(mlp(), value=Zero(), order=order)
    assert (both.components, both.empty, both.minimality, both.completeness) == (["L0N0", "L0N1"], 0.5, 1, 0)


def test_discovered_weights() -> None:
    """The mean lead is ((w00 - w10) (u00 - u01) + (w01 - w11) (u10 - u11)) / 2 = ((-2) (-3) + (-2) 2) / 2.

    Without w11 or u10 it is 5, w00 2.5, u00 2: all four can go, which leaves (3 4 - 2 2) / 2 = 4. Then w01 and u11
    write against it and go, which leaves 6; without either of the last two, w10 = 3 and u01 = 4, nothing is left.
    """
    found = discover(mlp(), of="edges", metric="logit_diff", value=Zero())
    assert found.components == ["in1 > L0N0", "L0N0 > out1"]
    assert (found.score, found.minimality) == (6, 6)


def test_discovered_heads_and_edges() -> None:
    """Of the first logit's 10, head 1 writes 7.5, head 0 1.5, the embedding 1, which no choice of heads takes out.

    At 0.8 (1 + 0.8 (10 - 1) = 8.2) head 1 alone does, with 8.5. At 0.89 of the edges the embedding may leave the
    logits, the queries and keys (which are 0) fall away, and the rest, 9, stays, needed by at least 1.5.
    """
    inputs = torch.cat([ONE, OTHER])
    heads = discover(transformer(), kinds=("heads",), metric=zeroth, inputs=inputs, value=Zero(), faithfulness=0.8)
    assert (heads.components, heads.clean, heads.empty, heads.score) == (["L0H1"], 10, 1, 8.5)
    assert heads.completeness == pytest.approx(1.5 / 9)
    edges = discover(transformer(), of="edges", metric=zeroth, inputs=inputs, value=Zero(), faithfulness=0.89)
    assert edges.components == ["embed > L0H0 values", "embed > L0H1 values", "L0H0 > logits", "L0H1 > logits"]
    assert (edges.clean, edges.empty, edges.score, edges.minimality) == (10, 0, 9, pytest.approx(0.15))
