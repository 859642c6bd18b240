"""Causal scrubbing against its recursive definition, one input at a time, and on hypotheses whose answer is known."""

from __future__ import annotations

import pytest
import torch

import circuits
from interp import HookedTransformer, InterpError, Subject, TransformerConfig
from interp.errors import UnknownName
from tests.circuits.methods import plain
from tests.circuits.methods.test_methods import model_of, pair
from tests.models import subject


def everything(one: Subject) -> dict[str, None]:
    return dict.fromkeys(plain.senders(model_of(one)))


@pytest.mark.parametrize("name", ["two layers", "layer norm", "gated with biases", "no mlp"])
def test_the_same_input_everywhere_is_the_network(name: str) -> None:
    """Every node recomputed from every other recovers all; nothing named is random."""
    one = subject(name)
    clean, _ = pair(one, 10)
    found = circuits.causal_scrubbing(one, everything(one), inputs=clean, n_draws=1)
    assert found.scrubbed == pytest.approx(found.clean, rel=1e-9)
    assert found.recovered == pytest.approx(1)
    task = one.require_task()
    labels = torch.stack([task.labels[(task.inputs == x).all(1)][0] for x in clean])
    logits = task.read(one.model(clean)).detach()
    pairs = torch.stack([task.losses(logits, labels[[j] * len(clean)]) for j in range(len(clean))])
    nothing = circuits.causal_scrubbing(one, {}, inputs=clean, n_draws=400)
    spread = float(pairs.std()) / (400 * len(clean)) ** 0.5
    assert nothing.random == pytest.approx(float(pairs.mean()), abs=6 * spread)


def test_a_drawn_path_is_the_plain_recursion() -> None:
    """A head of layer 1 whose values hear a head of layer 0 for either of two inputs: four outcomes, each by a run."""
    one = subject("no mlp")
    model, (clean, _) = model_of(one), pair(one, 2)
    hypothesis = dict.fromkeys(plain.senders(model))  # everything as it is ...
    hypothesis |= {"L0H1 > L1H0 values": torch.tensor([0, 0])}  # ... but for one edge: either input

    def total(outputs: torch.Tensor) -> torch.Tensor:
        return (outputs * torch.arange(1, 1 + outputs[0].numel()).reshape(outputs.shape[1:])).sum()

    values = []
    writes = plain.run(model, clean)[1]
    for which in range(4):
        rows = torch.tensor([which % 2, which // 2])
        held = {"L0H1": writes["L0H1"][rows].detach()}
        share = {"L0H1 > L1H0 values": torch.zeros((), dtype=torch.float64)}
        logits = plain.run(model, clean, held, share)[0]
        values.append(total(logits.detach()).item())

    whole = Subject("alone", model)
    found = circuits.causal_scrubbing(whole, hypothesis, inputs=clean, metric=total, n_draws=30)
    assert set(found.draws["scrubbed"].round(6)) == {round(v, 6) for v in values}


def test_hypotheses_of_a_network_by_hand() -> None:
    """Token 0 decides: its head is needed with that token, whatever the others are."""
    model = HookedTransformer(
        TransformerConfig(n_layers=1, d_model=6, n_heads=2, d_head=4, d_vocab=4, d_vocab_out=4, n_ctx=2, d_mlp=None)
    ).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.embed.W_E[:, :4] = torch.eye(4)
        model.pos_embed.W_pos[0, 4], model.pos_embed.W_pos[1, 5] = 1, 1
        attn = model.block(0).attention
        attn.W_Q[0, 5, 0], attn.W_K[0, 4, 0] = 20, 20  # head 0: position 1 attends to position 0
        attn.W_V[0, :4] = torch.eye(4)
        attn.W_O[0, :, :4] = 5 * torch.eye(4)
        model.unembed.W_U[:4] = torch.eye(4)
    inputs = torch.cartesian_prod(torch.arange(4), torch.arange(4))

    def right(outputs: torch.Tensor) -> torch.Tensor:
        return (outputs[:, -1].argmax(-1) == inputs[:, 0]).double()

    def recovered(**hypothesis: object) -> float:
        named = {key.replace("__", " > ").replace("_", " "): value for key, value in hypothesis.items()}
        return circuits.causal_scrubbing(model, named, inputs=inputs, metric=right, n_draws=40).recovered  # type: ignore[arg-type]

    assert recovered(L0H0=lambda x: x[:, 0]) == pytest.approx(1)
    assert recovered(L0H0=lambda x: x[:, 1]) < 0.2
    assert recovered(L0H1=None) < 0.2
    exact = {"L0H0": lambda x: x[:, 0], "embed > L0H0 values": lambda x: x[:, 0]}
    queries_and_keys = {f"embed > L0H0 {part}": torch.zeros(16, dtype=torch.long) for part in ("queries", "keys")}
    found = circuits.causal_scrubbing(model, exact | queries_and_keys, inputs=inputs, metric=right)
    assert found.recovered == pytest.approx(1)
    assert found.clean == 1
    assert found.random == pytest.approx(0.25, abs=0.1)
    assert len(found.table) == 20
    assert "hypothesis" in found.summary
    assert len(found.figure().data) == 1


def test_refusals() -> None:
    one = subject("two layers")
    with pytest.raises(UnknownName, match="did you mean 'L0H1'"):
        circuits.causal_scrubbing(one, {"L0 H1": None})
    with pytest.raises(InterpError, match="must be a tensor of integers"):
        circuits.causal_scrubbing(one, {"L0H1": torch.zeros(3)})
    with pytest.raises(InterpError, match="the feature of L0H1 must be a tensor of integers.*got a str"):
        circuits.causal_scrubbing(one, {"L0H1": "parity"})  # type: ignore[dict-item]
    with pytest.raises(UnknownName, match="node or edge '1'"):
        circuits.causal_scrubbing(one, {1: None})  # type: ignore[dict-item]
    with pytest.raises(InterpError, match="a hypothesis is a dict"):
        circuits.causal_scrubbing(one, ["L0H1"])  # type: ignore[arg-type]
