"""The logit lens is the network without its later layers; the tuned lens is least squares, on inputs that it has not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import circuits
import interp
from interp import HookedTransformer, InterpError, MissingCapability
from tests.circuits import networks
from tests.models import TRANSFORMERS, make, subject

LAYERS = {
    "0_pre": (0, 0),
    "0_mid": (1, 0),
    "1_pre": (1, 1),
    "1_mid": (2, 1),
    "final_post": (2, 2),
}  # attention, MLPs that stay


def stopped(model: Any, tokens: Tensor, attention: int, mlps: int) -> Tensor:
    """Logits of a whole forward pass in which later attention and MLPs write nothing."""

    def nothing(written: Tensor, hook: Any) -> Tensor:
        del hook
        return torch.zeros_like(written)

    hooks = [(f"blocks.{i}.hook_attn_out", nothing) for i in range(attention, 2)]
    hooks += [(f"blocks.{i}.hook_mlp_out", nothing) for i in range(mlps, 2)]
    return model.run_with_hooks(tokens, fwd_hooks=hooks)


@pytest.mark.parametrize("name", ["two layers", "layer norm", "gated", "bridge"])
def test_a_place_is_the_network_that_stops_there(name: str) -> None:
    """At every position, for every norm."""
    one = networks.subject(name) if name == "bridge" else subject(name)
    tokens = one.require_task().inputs
    lens = circuits.logit_lens(one, positions="all")
    assert list(lens.sites) == list(LAYERS)
    for i, (attention, mlps) in enumerate(LAYERS.values()):
        with torch.no_grad():
            expected = stopped(one.model, tokens, attention, mlps)
        torch.testing.assert_close(lens.logits(slice(None))[i], expected, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("name", [*TRANSFORMERS, "bridge"])
def test_it_ends_at_the_networks_own_logits(name: str) -> None:
    one = networks.subject(name) if name == "bridge" else subject(name)
    lens = circuits.logit_lens(one, metric=["loss", "accuracy", "logit", "probability", "kl"])
    torch.testing.assert_close(lens.values[-1], lens.own, atol=1e-10, rtol=0)
    task, logits = one.require_task(), one.logits()
    own = logits.gather(1, task.labels[:, None])[:, 0]
    probability = logits.softmax(-1).gather(1, task.labels[:, None]).mean()
    expected = [
        task.losses(logits).mean(),
        task.correct(logits).double().mean(),
        own.mean(),
        probability,
        torch.zeros(()),
    ]
    torch.testing.assert_close(lens.own[0], torch.stack(expected), atol=1e-9, rtol=1e-9)
    row = lens.table.query("component == 'final_post' and metric == 'logit'").iloc[0]
    assert row["clean"] == row["changed"] == pytest.approx(float(own.mean()))


def test_the_next_token_at_every_position() -> None:
    """Without a task, as for a language model; divergence is from the network's own answer at the same position."""
    model: Any = make("bidirectional")
    tokens = torch.randint(0, 8, (9, 3), generator=torch.Generator().manual_seed(0))
    lens = circuits.logit_lens(model, tokens, answers="next")
    assert (lens.positions, [m.name for m in lens.metrics]) == ([0, 1], ["loss", "accuracy", "logit_diff", "kl"])
    assert float(lens.own[:, 0].mean()) == pytest.approx(model(tokens, return_type="loss").item())
    _, cache = model.run_with_cache(tokens)
    early = model.unembed(model.ln_final(cache["resid_mid", 0])).log_softmax(-1)
    kl = F.kl_div(early, model(tokens).log_softmax(-1), reduction="none", log_target=True).sum(-1).mean(0)
    torch.testing.assert_close(lens.values[1, :, 3], kl[:2], atol=1e-10, rtol=1e-10)
    assert circuits.logit_lens(model, tokens).metrics[0].name == "kl"
    assert circuits.logit_lens(model, tokens, mid=False).rows["place"].tolist() == ["0_pre", "final_post"]
    assert circuits.logit_lens(model, tokens, positions="all").figure().data[0].z.shape == (3, 3)
    tiny = circuits.logit_lens(model, tokens, answers="next", max_bytes=1)
    torch.testing.assert_close(tiny.values, lens.values)


def test_a_tuned_lens_is_least_squares() -> None:
    """The map of a layer is numpy's, from the inputs it was fitted to; where nothing varies it is a constant."""
    one = subject("two layers")
    tuned = circuits.tuned_lens(one, held_out=0.3, positions="all")
    assert (tuned.fitted_on, tuned.inputs) == (34, 15)
    order = torch.randperm(49, generator=torch.Generator().manual_seed(0))
    fit, judged = order[15:].sort().values, order[:15].sort().values
    tokens = one.require_task().inputs
    _, cache = one.model.run_with_cache(tokens[fit])
    x, y = (
        cache[site].flatten(0, 1).detach().numpy() for site in ("blocks.1.hook_resid_mid", "blocks.1.hook_resid_post")
    )
    expected = np.linalg.lstsq(np.c_[x, np.ones(len(x))], y, rcond=None)[0]
    found = tuned.translators["1_mid"]
    np.testing.assert_allclose(found.weight.detach(), expected[:-1], atol=1e-6)
    np.testing.assert_allclose(found.bias.detach(), expected[-1], atol=1e-6)
    torch.testing.assert_close(tuned.values[-1], tuned.own, atol=1e-10, rtol=0)
    alone = circuits.logit_lens(one, tokens[judged], positions="all")
    torch.testing.assert_close(tuned.untuned, alone.values, atol=1e-10, rtol=1e-10)
    constant = circuits.tuned_lens(one, metric="kl").translators["0_pre"]  # the "=" is the same in every input
    assert float(constant.weight.detach().abs().max()) == 0


def test_a_map_that_is_there_is_found() -> None:
    """A block that writes a linear function of the stream is undone, on inputs that the map has not seen."""
    model: Any = make("no mlp")
    with torch.no_grad():
        model.blocks[1].attn.W_Q.zero_()  # every position attends evenly, so its own share is linear in itself
    tokens = torch.randint(0, 8, (40, 1), generator=torch.Generator().manual_seed(1))
    tuned = circuits.tuned_lens(model, tokens, metric="kl")
    assert float(tuned.untuned[1]) > 1e-3
    assert float(tuned.values[1]) < 1e-12


def test_training_lowers_the_divergence(demo: interp.Subject) -> None:
    inputs = demo.require_task().inputs
    fitted, trained = (circuits.tuned_lens(demo, inputs, metric="kl", steps=n, learning_rate=1e-2) for n in (0, 50))
    place = list(fitted.sites).index("0_mid")
    assert float(trained.values[place]) < float(fitted.values[place]) < float(fitted.untuned[place])
    assert len(trained.figure().data) == 2
    assert trained.summary["fitted_on"] == fitted.fitted_on == len(inputs) - fitted.inputs


@pytest.mark.parametrize("readout", [-1, 1])
def test_a_network_that_computes_one_position_is_read_at_every_one(readout: int) -> None:
    """`TransformerConfig.readout` spares the last block's other positions; a lens needs them."""
    one = make("two layers")
    assert isinstance(one, HookedTransformer)
    inputs, answers = subject("two layers").require_task().inputs[:20], torch.arange(20) % 5
    spared = one.read_at(readout)
    for positions in (None, 1, -1, "all"):
        found = [
            circuits.logit_lens(
                m, inputs, answers=answers, positions=readout if positions is None and m is one else positions
            )
            for m in (one, spared)
        ]
        torch.testing.assert_close(found[1].values, found[0].values)
        assert found[1].positions == found[0].positions
    for position in (None, 1, -1):
        parts = [
            circuits.logit_attribution(
                m, inputs, answers=answers, position=readout if position is None and m is one else position
            ).contributions
            for m in (one, spared)
        ]
        torch.testing.assert_close(parts[1], parts[0])
    scores = [circuits.head_detectors(m, inputs).scores for m in (one, spared)]
    torch.testing.assert_close(scores[1], scores[0], equal_nan=True)
    assert spared.config.readout == readout


def test_what_a_lens_cannot_read_is_refused() -> None:
    one = subject("plain")
    with pytest.raises(InterpError, match=r"a HookedMLP$|this is a HookedMLP"):
        circuits.logit_lens(subject("deep"))
    with pytest.raises(MissingCapability, match="needs a task"):
        circuits.logit_lens(one.model)
    for wrong in ({"positions": 3}, {"positions": "every"}, {"answers": "previous"}):
        with pytest.raises(InterpError):
            circuits.logit_lens(one, **wrong)  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="held_out is a share"):
        circuits.tuned_lens(one, held_out=1.0)
    for options, message in (
        ({"learning_rate": "1"}, "learning_rate must be a finite number"), ({"ridge": -1.0}, "ridge must be at least 0"),
        ({"seed": 1.5}, "seed must be a whole number"),
    ):  # fmt: skip
        with pytest.raises(InterpError, match=message):
            circuits.tuned_lens(one, **options)  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="too few"):
        circuits.tuned_lens(one, one.require_task().inputs[:2])


def test_the_figure_has_a_panel_and_a_unit_per_metric() -> None:
    figure = circuits.logit_lens(subject("two layers")).figure()
    assert [trace.yaxis for trace in figure.data] == ["y", "y2", "y3", "y4"]  # pyright: ignore[reportAttributeAccessIssue]
    titles = [axis.title.text for axis in figure.select_yaxes()]
    assert titles == ["loss<br>(nats)", "accuracy<br>(share right)", "logit_diff<br>(logits)", "kl<br>(nats)"]
