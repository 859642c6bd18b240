"""`path_patch`: a residual network worked out by hand, and paths that add up."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from circuits import Patch, applied, patch, path_patch
from circuits.interventions.apply import NoEffect
from interp import HookedMLP, MLPConfig, Site, Subject, capture
from tests.circuits.experiments.test_patching import pair, score, sequences


def first(outputs: Tensor) -> Tensor:
    return outputs[:, -1, 0]


def test_by_hand() -> None:
    """Units of one layer to units of the next, weights 1, 2, 3, 4.

    Hidden 0 is the input: clean (1, 0), corrupted (0, 1). Layer 1 has W = [[1, 2], [3, 4]]: (1, 2) and (3, 4). The output is
    their sum: 3 and 7. Unit 0 of layer 0 to unit 1 of layer 1: corrupted (3, 4) becomes (3, 4 + 2) = 9.
    """
    weights = {
        "layers.0.W": torch.eye(2),
        "layers.1.W": torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
        "unembed.W_U": torch.ones(2, 1),
    }
    model = HookedMLP.from_weights(MLPConfig((2, 2), 1, d_in=2, bias=False, unembed_bias=False), weights)
    found = path_patch(
        Subject("by hand", model), torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]),
        sender=Site("layers.0.hook_post", unit=0), receivers=[Site("layers.1.hook_pre", unit=1)], metric=lambda out: out[:, 0],
    )  # fmt: skip
    assert (found.value, found.clean, found.corrupted) == (9.0, 3.0, 7.0)
    assert found.recovered == -0.5


@torch.no_grad()
def test_direct_to_the_logits_is_linear() -> None:
    """Without a LayerNorm, the direct paths of all heads and neurons to the logits add what each writes."""
    model = sequences()
    one, (clean, corrupted) = Subject("sequences", model), pair(model)
    names = ["blocks.0.attn.hook_z", "blocks.1.mlp.hook_post"]
    runs = [capture(model, x, names) for x in (clean, corrupted)]
    change = (runs[0][names[0]] - runs[1][names[0]])[:, -1, 1] @ model.block(0).attn.W_O[1] @ model.W_U
    found = path_patch(one, clean, corrupted, sender=Site(names[0], head=1), receivers=["hook_logits"], metric=first)
    assert found.value - found.corrupted == pytest.approx(float(change[:, 0].mean()), rel=1e-9)


def test_everything_open_is_patching() -> None:
    """With no component frozen and the logits as receiver, a path is the whole effect of the sender."""
    model = sequences()
    one, (clean, corrupted) = Subject("sequences", model), pair(model)
    sender = Site("blocks.0.attn.hook_z", head=2)
    found = path_patch(
        one, clean, corrupted, sender=sender, receivers=["hook_logits"], metric=score, through=["*hook_z", "*hook_post"]
    )
    whole = patch(one, clean, corrupted, sender, metric=score, by=()).effects
    assert found.value == pytest.approx(float(whole["score"].iloc[0]), rel=1e-9)


@torch.no_grad()
def test_to_the_queries_of_one_head() -> None:
    """The plain construction: the head's query from the changed stream, patched alone."""
    model = sequences()
    one, (clean, corrupted) = Subject("sequences", model), pair(model)
    base, source = (capture(model, x, "*hook_[zq]") for x in (corrupted, clean))
    query = base["blocks.1.attn.hook_q"].clone()
    written = (source["blocks.0.attn.hook_z"] - base["blocks.0.attn.hook_z"])[:, :, 0] @ model.block(0).attn.W_O[0]
    query[:, :, 2] += written @ model.block(1).attn.W_Q[2]
    with applied(model, Patch(Site("blocks.1.attn.hook_q", head=2), query)):
        expected = float(score(model(corrupted)).mean())
    found = path_patch(
        one, clean, corrupted, sender=Site("blocks.0.attn.hook_z", head=0),
        receivers=[Site("blocks.1.attn.hook_q", head=2)], metric=score,
    )  # fmt: skip
    assert found.value == pytest.approx(expected, rel=1e-9)
    assert not any(point._forward_hooks for point in model.hook_dict.values())


@torch.no_grad()
def test_a_receiver_is_open_only_at_its_positions() -> None:
    """By masks of entries: what another position of the same head hears does not reach a later receiver."""
    model = sequences(n_layers=3)
    one, (clean, corrupted) = Subject("sequences", model), pair(model)
    sender, earlier, later = (f"blocks.{i}.attn.hook_z" for i in range(3))
    receivers = [Site(earlier, pos=1, head=0), Site(earlier, pos=[0, 1], head=2), Site(later, head=1)]
    base, source = (capture(model, x, "*hook_[zp]*") for x in (corrupted, clean))
    spared = {name: torch.zeros(base[name].shape, dtype=torch.bool) for name in (earlier, later)}
    for receiver in receivers:
        spared[receiver.name] |= receiver.mask(
            base[receiver.name].shape, model.axes_of(receiver.name), torch.device("cpu")
        )
    spared |= {name: torch.zeros(base[name].shape, dtype=torch.bool) for name in base if name.endswith("mlp.hook_post")}
    arrived: dict[str, Tensor] = {}

    def held(activation: Tensor, hook: Any) -> Tensor:
        arrived[hook.name] = activation.where(spared[hook.name], base[hook.name])
        return arrived[hook.name]

    def delivered(activation: Tensor, hook: Any) -> Tensor:
        return arrived[hook.name].where(spared[hook.name], activation)

    sent = (sender, lambda activation, hook: source[sender])
    model.run_with_hooks(corrupted, fwd_hooks=[sent, *((name, held) for name in spared)])
    outputs = model.run_with_hooks(corrupted, fwd_hooks=[(name, delivered) for name in (earlier, later)])
    found = path_patch(one, clean, corrupted, sender=sender, receivers=receivers, metric=score)
    assert found.value == pytest.approx(float(score(outputs).mean()), rel=1e-9)


def test_no_way_back() -> None:
    """A receiver before the sender hears nothing, and the error says so."""
    model = sequences()
    one, (clean, corrupted) = Subject("sequences", model), pair(model)
    with pytest.raises(NoEffect, match="nothing of blocks.1.attn.hook_z arrives"):
        path_patch(
            one, clean, corrupted, sender="blocks.1.attn.hook_z", receivers=["blocks.0.attn.hook_q"], metric=score
        )
