"""Recurrent networks against torch.nn.RNN, GRU and LSTM, and against a plain loop."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

import interp
from circuits import Ablate, NoEffect, Patch, Zero, ablate, applied
from interp import HookedRNN, InterpError, RNNConfig, Site, capture
from interp.errors import UnknownName, UnknownSite
from interp.hooked import build, config_from_dict

EXACT = {"rtol": 1e-11, "atol": 1e-12}
KINDS: dict[str, dict[str, Any]] = {
    "tanh": {}, "relu": {"act_fn": "relu"}, "gru": {"cell": "gru"}, "lstm": {"cell": "lstm"},
}  # fmt: skip
SHAPES: dict[str, dict[str, Any]] = {
    "vectors": {"d_in": 4},
    "tokens": {"d_vocab": 7, "d_embed": 4},
    "two layers, each step": {"d_in": 4, "n_layers": 2, "read": "each"},
    "without biases": {"d_in": 4, "bias": False, "unembed_bias": False},
    "both directions": {"d_in": 4, "n_layers": 2, "bidirectional": True},
    "both directions, last position": {"d_in": 4, "n_layers": 2, "bidirectional": True, "reverse_read": "last"},
    "learned start": {"d_in": 4, "n_layers": 2, "learned_start": True},
    "without read-out": {"d_in": 4, "d_out": None, "read": "each"},
    "steps": {"d_in": 4, "n_ctx": 6},
}
CASES = list(itertools.product(KINDS, SHAPES))


def made(kind: str, shape: str, seed: int = 0) -> HookedRNN:
    """A model in float64, with initial states that are not zero where they are parameters."""
    config = RNNConfig(**{"d_hidden": 5, "d_out": 3, **KINDS[kind], **SHAPES[shape]})
    model = build(config).double().init_weights(seed, 2.0, "torch")
    assert isinstance(model, HookedRNN)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("_0"):
                parameter.copy_(torch.linspace(-1, 1, 5) * (2 if "layers.1" in name else 1))
    return model


def inputs(model: HookedRNN, batch: int = 3, n_pos: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    if model.config.d_vocab is not None:
        return torch.randint(0, model.config.d_vocab, (batch, n_pos), generator=generator)
    return torch.randn(batch, n_pos, model.config.d_in or 0, generator=generator, dtype=torch.float64)


def torchs(model: HookedRNN) -> nn.Module:
    """torch's module with copies of the cells' weights."""
    c = model.config
    cls = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[c.cell]
    options = {"nonlinearity": c.act_fn} if c.cell == "rnn" else {}
    module = cls(
        c.width_in, c.d_hidden, c.n_layers, bias=c.bias, bidirectional=c.bidirectional, batch_first=True, **options
    )
    ours = [p for n, p in model.layers.named_parameters() if not n.endswith("_0")]
    with torch.no_grad():
        for p, own in zip(module.double().parameters(), ours, strict=True):
            p.copy_(own.T if own.ndim == 2 else own)
    return module


def expected(model: HookedRNN, x: Tensor) -> Tensor:
    """The outputs by torch's module."""
    c = model.config
    start: Any = None
    if c.learned_start:
        h, cell = (torch.stack([getattr(k, n, k.h_0) for k in model.cells()]) for n in ("h_0", "c_0"))
        h, cell = (s[:, None].expand(-1, len(x), -1).contiguous() for s in (h, cell))
        start = (h, cell) if c.cell == "lstm" else h
    states, last = torchs(model)(model.W_E[x] if c.d_vocab is not None else x, start)
    last = last[0] if c.cell == "lstm" else last
    if c.read == "each":
        read = states
    elif c.bidirectional and c.reverse_read == "first":
        read = torch.cat([last[-2], last[-1]], -1)
    else:
        read = states[:, -1]
    if c.d_out is None:
        return read
    return read @ model.W_U + model.unembed.b_U if c.unembed_bias else read @ model.W_U


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_equals_torch(kind: str, shape: str, fused: bool) -> None:
    """Outputs and the gradient of every parameter, in torch's kernel and step by step."""
    model = made(kind, shape)
    model.fused = fused
    x = inputs(model)
    theirs, ours = expected(model, x), model(x)
    torch.testing.assert_close(ours, theirs, **EXACT)
    parameters = [p for n, p in model.named_parameters() if not n.startswith("layers.") or n.endswith("_0")]
    if parameters:
        a, b = (torch.autograd.grad(y.square().sum(), parameters, retain_graph=True) for y in (ours, theirs))
        for one, other in zip(a, b, strict=True):
            torch.testing.assert_close(one, other, **EXACT)


@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_fused_equals_step_by_step(kind: str, shape: str) -> None:
    """Gradients of the cells' weights; and a hook at a gate makes the loop run."""
    gradients = []
    for fused in (True, False):
        model = made(kind, shape)
        model.fused = fused
        gradients.append(torch.autograd.grad(model(inputs(model)).square().sum(), list(model.parameters())))
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, **EXACT)
    model = made(kind, shape)
    acts = capture(model, inputs(model), "layers.*.hook_state")
    assert acts["layers.0.hook_state"].shape == (6, 3, 5)


@pytest.mark.parametrize("kind", KINDS)
def test_init_draws_torchs_numbers(kind: str) -> None:
    """Embedding, recurrent module, Linear: the same bits as torch's modules after the same seed."""
    config = RNNConfig(5, 3, **KINDS[kind], d_vocab=7, d_embed=4, n_layers=2, bidirectional=True)
    model = HookedRNN(config).init_weights(3, scheme="torch")
    torch.manual_seed(3)
    options = {"nonlinearity": config.act_fn} if config.cell == "rnn" else {}
    cls = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[config.cell]
    modules = nn.Embedding(7, 4), cls(4, 5, 2, bidirectional=True, **options), nn.Linear(10, 3)
    theirs = [p for module in modules for p in module.parameters()]
    for (name, ours), p in zip(model.named_parameters(), theirs, strict=True):
        assert torch.equal(ours.T if ours.ndim == 2 and name != "embed.W_E" else ours, p), name


def gru_by_hand(model: HookedRNN, x: Tensor, dead: int) -> dict[str, list[Tensor]]:
    """Every gate and state of a one-layer GRU, one example and one step after the other; unit ``dead`` stays zero."""
    cell, found = model.cells()[0], {n: [] for n in ("hook_reset", "hook_update", "hook_candidate", "hook_state")}
    h = torch.zeros(len(x), 5, dtype=torch.float64)
    for t in range(x.shape[1]):
        a, b = x[:, t] @ cell.W_ih + cell.b_ih, h @ cell.W_hh + cell.b_hh
        r, z = torch.sigmoid(a[:, :5] + b[:, :5]), torch.sigmoid(a[:, 5:10] + b[:, 5:10])
        n = torch.tanh(a[:, 10:] + r * b[:, 10:])
        h = (1 - z) * n + z * h
        if dead >= 0:
            h = h * (torch.arange(5) != dead)
        for name, value in zip(found, (r, z, n, h), strict=True):
            found[name].append(value)
    return found


@torch.no_grad()
def test_gates_and_ablations_of_a_gru_equal_a_plain_loop() -> None:
    """What every hook point passes, and a unit that is zero at every step, also through `ablate`."""
    model = made("gru", "vectors")
    x = inputs(model, batch=4)
    by_hand = gru_by_hand(model, x, -1)
    acts = capture(model, x, [f"layers.0.{n}" for n in by_hand])
    for name, steps in by_hand.items():
        torch.testing.assert_close(acts[f"layers.0.{name}"], torch.stack(steps), **EXACT)
    table = ablate(model, value=Zero(), inputs=x, metric=lambda y: y[:, 0])
    assert table["site"].unique().tolist() == ["layers.0.hook_state"]
    for unit in range(5):
        final = gru_by_hand(model, x, unit)["hook_state"][-1]
        outputs = final @ model.W_U + model.unembed.b_U
        with applied(model, Ablate(Site("layers.0.hook_state", unit=unit), "zero")) as record:
            torch.testing.assert_close(model(x), outputs, **EXACT)
        assert record[0].fired == 6
        assert table["metric"][unit] == pytest.approx(float(outputs[:, 0].mean()), abs=1e-12)


@torch.no_grad()
def test_mean_ablation_of_states_equals_a_plain_loop() -> None:
    """The mean over the batch is taken anew at every step, in the network that is already ablated."""
    model = made("tanh", "vectors")
    x = inputs(model, batch=4)
    table = ablate(model, inputs=x, metric=lambda y: y[:, 1])
    cell = model.cells()[0]
    for unit in range(5):
        h = torch.zeros(4, 5, dtype=torch.float64)
        for t in range(6):
            h = torch.tanh(x[:, t] @ cell.W_ih + cell.b_ih + h @ cell.W_hh + cell.b_hh)
            h[:, unit] = h[:, unit].mean()
        outputs = h @ model.W_U + model.unembed.b_U
        assert table["metric"][unit] == pytest.approx(float(outputs[:, 1].mean()), abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_patching_a_state_restores_a_run(kind: str) -> None:
    """With a hook point for each step: from the patched state on, only the inputs that follow matter."""
    model = made(kind, "steps")
    clean = inputs(model)
    corrupted = clean.clone()
    corrupted[:, :3] += 1
    acts = capture(model, clean, "layers.0.hook_step.*")
    assert acts["layers.0.hook_step.2"].shape == (3, 5)
    with applied(model, Patch("layers.0.hook_step.2", acts["layers.0.hook_step.2"])):
        patched = model(corrupted)
    same = torch.allclose(patched, model(clean), atol=1e-12)
    assert same == (kind != "lstm")  # whose cell state carries on what the hidden state no longer says
    with applied(model, Patch("layers.0.hook_step.5", acts["layers.0.hook_step.5"])):
        torch.testing.assert_close(model(corrupted), model(clean), **EXACT)


@pytest.mark.parametrize(("kind", "shape"), CASES)
@torch.no_grad()
def test_resume_is_the_rest(kind: str, shape: str) -> None:
    """From every site at which it resumes, with the change that a matrix predicts at the read-out."""
    model = made(kind, shape)
    x = inputs(model)
    outputs, cache = model.run_with_cache(x)
    sites = [n for n in cache if n in ("hook_embed", "hook_final") or n.endswith("hook_input")]
    assert len(sites) == model.config.n_layers + 2
    for site in sites:
        assert model.writes(site) == (site, None)
        torch.testing.assert_close(model.resume(site, cache[site]), outputs, **EXACT)
        torch.testing.assert_close(
            model.resume(site, cache[site] + 0.5), model.run_with_hooks(x, fwd_hooks=[(site, lambda a, hook: a + 0.5)]), **EXACT
        )  # fmt: skip
    rest = model.linear_rest("hook_final")
    assert (rest is None) == (model.config.d_out is None)
    if rest is not None:
        moved = model.resume("hook_final", cache["hook_final"] + 0.5)
        torch.testing.assert_close(moved - outputs, (0.5 * rest.sum(0)).expand_as(outputs), **EXACT)
    assert model.reads("layers.0.W_hh") == "layers.0.hook_input"
    with pytest.raises(UnknownSite, match="it resumes at hook_embed"):
        model.resume("layers.0.hook_state", x)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_members_run_under_vmap(kind: str) -> None:
    """An ensemble's outputs are those of its members."""
    models = [made(kind, "both directions", seed) for seed in range(3)]
    x = inputs(models[0])
    parameters, buffers = stack_module_state(list(models))
    together = vmap(lambda p, b: functional_call(models[0], (p, b), (x,)))(parameters, buffers)
    torch.testing.assert_close(together, torch.stack([m(x) for m in models]), **EXACT)


@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_saved_and_loaded(kind: str, shape: str, tmp_path: Path) -> None:
    """The same config, weights and outputs."""
    model = made(kind, shape)
    interp.save(model, tmp_path / "m.safetensors")
    again = interp.load(tmp_path / "m.safetensors", device="cpu")
    assert again.provenance.layout == "suite"
    assert again.model.config == model.config == config_from_dict(model.config.to_dict())
    assert torch.equal(again.model(inputs(model)), model(inputs(model)))


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"cell": "gpu", "d_in": 2}, UnknownName, "gru"),
        ({"d_in": 2, "d_vocab": 3}, InterpError, "either d_vocab"),
        ({"d_vocab": 3}, InterpError, "d_embed"),
        ({"d_in": 0}, InterpError, "d_in must be a whole number"),
        ({"d_in": 2, "read": "first"}, InterpError, "'last' or 'each'"),
        ({"d_in": 2, "act_fn": "rleu"}, UnknownName, "relu"),
        ({"d_in": 2, "cell": "gru", "act_fn": "relu"}, InterpError, "fixed"),
        ({"d_in": 2, "n_ctx": 0}, InterpError, "n_ctx"),
    ],
)
def test_configs_that_do_not_fit(fields: dict[str, Any], error: type[InterpError], message: str) -> None:
    with pytest.raises(error, match=message):
        RNNConfig(4, 2, **fields)


def test_inputs_that_do_not_fit() -> None:
    """One sentence each."""
    model = made("gru", "steps")
    for wrong, message in (
        (torch.zeros(3, 4).double(), "batch axis"),
        (torch.zeros(3, 6, 5).double(), r"\[batch, 4\]"),
        (torch.zeros(3, 6, 4).long(), "float tensor"),
        (torch.zeros(3, 7, 4).double(), "7 positions given; the model takes 1 to 6"),
        (torch.zeros(3, 0, 4).double(), "0 positions"),
    ):
        with pytest.raises(InterpError, match=message):
            model(wrong)
    with pytest.raises(InterpError, match="token 7 is outside"):
        capture(made("gru", "tokens"), torch.tensor([[7]]), "hook_final")
    short = inputs(model, n_pos=2)
    with pytest.raises(NoEffect, match="never fired"), applied(model, Ablate("layers.0.hook_step.4", "zero")):
        model(short)
