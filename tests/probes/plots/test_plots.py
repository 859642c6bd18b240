"""Figures of a network by one call: what they draw is what another route through the network gives."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

import interp
from interp import InterpError, MissingCapability, Subject, UnknownName, UnknownSite
from probes import plots
from probes.plots.frequency_panels import circle, part_of
from probes.plots.input_grid import input_grid
from probes.plots.logit_parts import logit_parts


def transformer(p: int = 5, **changes: Any) -> Subject:
    shape: dict[str, Any] = {
        "n_layers": 2, "d_model": 8, "n_heads": 2, "d_head": 4, "d_vocab": p + 1, "d_vocab_out": p, "n_ctx": 3, "d_mlp": 6,
    }  # fmt: skip
    model = interp.HookedTransformer(interp.TransformerConfig(**shape | changes)).init_weights(seed=0).double()
    with torch.no_grad():
        for parameter in model.parameters():  # biases and norms that matter
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)).to(parameter)
    return Subject("small", model, interp.ModularArithmetic(p).fit(model))


def mlp(p: int = 5) -> Subject:
    model = interp.HookedMLP(interp.MLPConfig((8,), p, d_vocab=p, d_embed=4)).init_weights(seed=0)
    return Subject("mlp", model, interp.ModularArithmetic(p).fit(model))


@pytest.mark.parametrize(
    "changes",
    [{}, {"normalization": "LN", "attn_bias": True, "unembed_bias": True}, {"normalization": "RMS"},
     {"normalization": "LNPre", "d_mlp": None}, {"readout": -1},
     {"positions": False, "normalization": "LN", "final_norm": False}],
    ids=["plain", "LN", "RMS", "LNPre", "readout", "no positions"],
)  # fmt: skip
def test_parts_of_a_logit_add_up_to_it(changes: dict[str, Any]) -> None:
    """To the logit that a forward pass gives, whatever the norm."""
    subject, centred = transformer(**changes), "normalization" not in changes
    grid = input_grid(subject.require_task())
    parts = logit_parts(subject, grid, centred)
    logits, labels = subject.logits(), subject.require_task().labels
    right = logits.gather(1, labels[:, None])[:, 0] - (logits.mean(1) if centred else 0)
    torch.testing.assert_close(torch.stack(list(parts.values())).sum(0), right)
    drawn = plots.logit_attribution(subject, centred=centred)
    assert [a.text for a in drawn.layout.annotations] == list(parts)
    shown = sum(np.asarray(trace.z, dtype=float) for trace in drawn.data)
    np.testing.assert_allclose(shown, right.reshape(5, 5).numpy(), atol=1e-5)


def test_parts_of_an_mlps_logit() -> None:
    subject = mlp()
    parts = logit_parts(subject, input_grid(subject.require_task()))
    right = subject.logits().gather(1, subject.require_task().labels[:, None])[:, 0]
    torch.testing.assert_close(sum(parts.values()), right)
    assert len(plots.logit_attribution(subject).data) == 8


def test_attention_is_the_networks_own(demo: Subject) -> None:
    """Mean and single inputs; the hover names roles, and tokens of a single input."""
    figure = plots.attention(demo, examples=3)
    _, cache = demo.model.run_with_cache(demo.require_task().inputs)
    for head, trace in enumerate(figure.data):
        np.testing.assert_allclose(trace.z, cache["pattern", 0][:, head].mean(0), atol=2e-2)
    step = figure.layout.sliders[0].steps[-1]
    np.testing.assert_allclose(step.args[0]["z"][2], cache["pattern", 0][-1, 2], atol=1e-4)
    assert step.args[0]["text"][0][2][0] == "= reads a=52"
    assert figure.data[0].text[2][1] == "= reads b"
    one = plots.attention(demo.model, torch.tensor([[1, 2, 53]]), head=-1, examples=0)
    assert (len(one.data), one.data[0].name) == (1, "L0H3")


def test_a_unit_over_the_table() -> None:
    """A division leaves out b = 0, which stays blank; a large table is thinned, and says so."""
    subject = transformer(7)
    task = interp.ModularArithmetic(7, "divide").fit(subject.model)
    figure = plots.unit(Subject("divide", subject.model, task), "L1N2")
    z = np.asarray(figure.data[0].z, dtype=float)
    acts = interp.capture(subject.model, task.inputs, "blocks.1.mlp.hook_post")["blocks.1.mlp.hook_post"][:, -1, 2]
    assert np.isnan(z[:, 0]).all()
    np.testing.assert_allclose(z[3, 4], acts[(task.pairs == torch.tensor([3, 4])).all(1)].item())
    large = plots.unit(mlp(300), [1, "L0N2"])
    assert len(large.data[0].z) == 100
    assert "every 3rd symbol" in large.layout.title.text
    assert len(large.to_json()) < 400_000


def test_frequencies_of_a_planted_network() -> None:
    """An embedding made of one circle shows it, and the map of that frequency is the whole table."""
    n, k = 11, 3
    angle = 2 * np.pi * k * torch.arange(n, dtype=torch.float64) / n
    x, y = circle(torch.stack([angle.cos(), angle.sin()], 1), k)
    torch.testing.assert_close(x.square() + y.square(), torch.ones(n, dtype=torch.float64))
    wave = (angle[:, None] + angle).cos() + 4
    torch.testing.assert_close(part_of(wave, k), wave - 4)
    torch.testing.assert_close(part_of(wave, k + 1), torch.zeros_like(wave))
    assert len(plots.frequencies(mlp(), [1, 2]).data) == 4


def test_a_slider_over_checkpoints(demo: Subject) -> None:
    """A frame for each checkpoint is the figure of that checkpoint; scales are shared; any function that draws will do."""
    figure = plots.over_checkpoints(demo, "unit", unit=3, most=4)
    assert demo.series is not None
    assert [int(frame.name) for frame in figure.frames] == [0, 1800, 3400, 8000]
    first = plots.unit(Subject("first", demo.series[0], demo.task), 3)
    np.testing.assert_allclose(figure.frames[0].data[0].z, first.data[0].z, rtol=1e-5)
    assert len({(frame.data[0].zmin, frame.data[0].zmax) for frame in figure.frames}) == 1
    assert [step.args[0] for step in figure.layout.sliders[0].steps] == [(frame.name,) for frame in figure.frames]
    norm = plots.over_checkpoints(
        demo, lambda s: go.Figure(go.Bar(x=["norm"], y=[float(s.model.W_E.detach().norm())])), most=3
    )  # fmt: skip
    low, high = norm.layout.yaxis.range
    assert all(low <= frame.data[0].y[0] <= high for frame in norm.frames)
    with pytest.raises(InterpError, match="a plotly figure is needed"):
        plots.over_checkpoints(demo, lambda s: None)
    json.loads(norm.to_json())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: plots.attention(mlp()), InterpError, "has no attention patterns"),
        (lambda: plots.attention(transformer().model), MissingCapability, "needs a task, or inputs"),
        (lambda: plots.attention(transformer(), layer=2), InterpError, "layer must be a number from 0 to 1, got 2"),
        (lambda: plots.attention(transformer(), head="x"), InterpError, "head must be a number from 0 to 1, got 'x'"),
        (lambda: plots.attention([1]), InterpError, "Subject"),  # type: ignore[arg-type]
        (lambda: plots.unit(mlp(), 8), InterpError, "outside an axis of 8"),
        (lambda: plots.unit(mlp(), "N3"), InterpError, "a name such as 'L0N13'"),
        (lambda: plots.unit(mlp(), 1.5), InterpError, "a number or a name"),  # type: ignore[arg-type]
        (lambda: plots.unit(mlp(), 1, "layers.0.hook_pots"), UnknownSite, "nearest: layers.0.hook_post"),
        (lambda: plots.unit(transformer(), 1, "blocks.0.attn.hook_z"), InterpError, "has no units of one number"),
        (lambda: plots.unit(mlp().model, 1), MissingCapability, "needs a task"),
        (lambda: plots.logit_attribution(transformer(), "L0H9"), UnknownName, "did you mean 'L0H"),
        (lambda: plots.logit_attribution(transformer(), 3), InterpError, "a component is a name"),  # type: ignore[arg-type]
        (lambda: plots.logit_attribution(transformer(post_norm=True, normalization="LN")), InterpError, "post_norm"),
        (lambda: plots.frequencies(mlp(), [3]), InterpError, "from 1 to 2, got 3"),
        (lambda: plots.frequencies(mlp(), "two"), InterpError, "whole numbers"),  # type: ignore[arg-type]
        (lambda: plots.over_checkpoints(mlp(), "unit", unit=1), MissingCapability, "several checkpoints"),
        (lambda: plots.over_checkpoints(mlp().model, "unit"), InterpError, "a Subject with checkpoints"),  # type: ignore[arg-type]
        (lambda: plots.over_checkpoints(interp.load(interp.__path__[0] + "/demo/run"), "unti"), UnknownName, "'unit'"),
    ],
)  # fmt: skip
def test_wrong_names_and_kinds_are_refused(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
