"""The LSTM against torch.nn.LSTM, against numpy, and against itself by other routes."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from circuits import Ablate, Zero, applied
from interp import HookedLSTM, InterpError, LSTMConfig, capture
from interp.errors import UnknownSite
from interp.hooked import build, config_from_dict
from interp.hooked.lstm.parts import STEP_POINTS, Layer
from tests.models import LSTMS, P, make

CONFIGS = {
    **LSTMS,
    "three layers": LSTMConfig(P, 3, 4, 3, 2, n_ctx=5),
    "one unit": LSTMConfig(P, 1, 1, 1, 1, n_ctx=1),
}
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def made(name: str, seed: int = 0) -> HookedLSTM:
    """A model with random biases too, in float64."""
    model = build(CONFIGS[name]).double().init_weights(seed, scale=2.0, scheme="torch")
    assert isinstance(model, HookedLSTM)
    return model


def tokens(model: HookedLSTM, batch: int = 6, n_pos: int | None = None) -> Tensor:
    return torch.randint(0, P, (batch, n_pos or model.config.n_ctx), generator=torch.Generator().manual_seed(0))


def torchs(model: HookedLSTM) -> tuple[nn.Embedding, nn.LSTM, nn.Linear]:
    """torch's modules around copies of the weights."""
    c = model.config
    modules = (
        nn.Embedding(c.d_vocab, c.d_embed),
        nn.LSTM(c.d_embed, c.d_hidden, c.n_layers, batch_first=True),
        nn.Linear(c.d_hidden, c.d_out),
    )
    theirs = [p for m in modules for p in m.double().parameters()]
    with torch.no_grad():
        for (name, ours), p in zip(model.named_parameters(), theirs, strict=True):
            p.copy_(ours.T if ours.ndim == 2 and name != "embed.W_E" else ours)
    return modules


def gradients(model: HookedLSTM, batch: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(model(batch).square().sum(), list(model.parameters())))


def states(model: HookedLSTM, batch: Tensor, point: str, layer: int) -> Tensor:
    """``[batch, pos, unit]`` of one kind of hook point."""
    names = [f"layers.{layer}.{point}.{t}" for t in range(batch.shape[1])]
    acts = capture(model, batch, names)
    return torch.stack([acts[n] for n in names], 1)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("batch", [1, 6])
@pytest.mark.parametrize("name", CONFIGS)
def test_equals_torchs_modules(name: str, batch: int, fused: bool) -> None:
    """Logits, the gradient of every parameter, and the top layer's hidden state at every step."""
    model = made(name)
    model.fused = fused
    x = tokens(model, batch)
    embedding, lstm, linear = torchs(model)
    hidden, _ = lstm(embedding(x))
    logits = linear(hidden[:, -1])
    torch.testing.assert_close(model(x), logits, **EXACT)
    torch.testing.assert_close(states(model, x, "hook_h", model.config.n_layers - 1), hidden.detach(), **EXACT)
    theirs = torch.autograd.grad(logits.square().sum(), [p for m in (embedding, lstm, linear) for p in m.parameters()])
    for ours, expected in zip(gradients(model, x), theirs, strict=True):
        torch.testing.assert_close(ours, expected.T if ours.shape != expected.shape else expected, **EXACT)


def cell(x: np.ndarray, h: np.ndarray, c: np.ndarray, layer: Layer) -> dict[str, np.ndarray]:
    """One step for one example, unit by unit, by hook point's name."""
    w_ih, w_hh, b_ih, b_hh = (p.detach().numpy() for p in (layer.W_ih, layer.W_hh, layer.b_ih, layer.b_hh))
    n = len(h)
    found = {point: np.zeros(n) for point in STEP_POINTS}
    for unit in range(n):
        for gate, point in enumerate(("hook_i", "hook_f", "hook_g", "hook_o")):
            column = gate * n + unit
            z = sum(x * w_ih[:, column]) + sum(h * w_hh[:, column]) + b_ih[column] + b_hh[column]
            found[point][unit] = np.tanh(z) if gate == 2 else 1 / (1 + np.exp(-z))
    found["hook_c"] = found["hook_f"] * c + found["hook_i"] * found["hook_g"]
    found["hook_h"] = found["hook_o"] * np.tanh(found["hook_c"])
    return found


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_every_hook_point_equals_a_cell_in_numpy(name: str) -> None:
    """Gates, cell and hidden state of every layer and step."""
    model = made(name)
    batch = tokens(model, 3)
    logits, cache = model.run_with_cache(batch)
    for example, row in enumerate(batch):
        xs = [model.W_E[token].numpy() for token in row]
        for index, layer in enumerate(model.layers):
            assert isinstance(layer, Layer)
            h = c = np.zeros(model.config.d_hidden)
            for step in range(len(row)):
                found = cell(xs[step], h, c, layer)
                for point, expected in found.items():
                    np.testing.assert_allclose(cache[f"layers.{index}.{point}.{step}"][example], expected, 1e-12, 1e-13)
                h, c = found["hook_h"], found["hook_c"]
                xs[step] = h
        np.testing.assert_allclose(cache["hook_final"][example], xs[-1], 1e-12, 1e-13)
        expected = xs[-1] @ model.W_U.numpy() + model.unembed.b_U.numpy()
        np.testing.assert_allclose(logits[example], expected, 1e-11, 1e-12)


@pytest.mark.parametrize("name", CONFIGS)
def test_fused_equals_step_by_step(name: str) -> None:
    """torch's kernel and the loop: logits, gradients and second derivatives; each really runs."""
    fused, loop = made(name), made(name)
    loop.fused = False
    batch = tokens(fused)
    assert not ran_fused(loop, lambda: loop(batch))
    assert ran_fused(fused, lambda: fused(batch))
    torch.testing.assert_close(fused(batch), loop(batch), **EXACT)
    for model_gradients in zip(gradients(fused, batch), gradients(loop, batch), strict=True):
        torch.testing.assert_close(*model_gradients, **EXACT)
    second = []
    for model in (fused, loop):
        w = model.layers[0].W_hh
        (first,) = torch.autograd.grad(model(batch).square().sum(), w, create_graph=True)
        second.append(torch.autograd.grad(first.square().sum(), w)[0])
    torch.testing.assert_close(*second, rtol=1e-10, atol=1e-10)


def ran_fused(model: HookedLSTM, call: Callable[[], object]) -> bool:
    """Whether any layer took torch's kernel during a call."""
    used: list[Layer] = []
    with pytest.MonkeyPatch.context() as patch:
        original = Layer._fused
        patch.setattr(Layer, "_fused", lambda self, x: (used.append(self), original(self, x))[1])
        call()
    return bool(used)


@torch.no_grad()
def test_watching_and_transforms_leave_the_kernel() -> None:
    """A hook at a step of the top layer leaves the kernel to the layer below; vmap and grad leave it altogether."""
    model = made("lstm")
    batch, parameters = tokens(model), dict(model.named_parameters())
    for direction in ("fwd_hooks", "bwd_hooks"):
        for layer in (0, 1):
            with model.hooks(**{direction: [(f"layers.{layer}.hook_c.1", lambda x, hook: None)]}):
                with pytest.MonkeyPatch.context() as patch:
                    used: list[Layer] = []
                    patch.setattr(
                        Layer, "_fused", lambda self, x, used=used: used.append(self) or self._step_by_step(x)
                    )
                    model(batch)
                assert used == [model.layers[1 - layer]]
    with model.hooks([("layers.0.hook_c.3", lambda x, hook: None)]):
        assert ran_fused(model, lambda: model(batch[:, :3]))  # a step that this sequence does not reach
    assert ran_fused(model, lambda: functional_call(model, parameters, (batch,)))
    assert not ran_fused(model, lambda: grad(lambda p: functional_call(model, p, (batch,)).sum())(parameters))
    assert not ran_fused(model, lambda: vmap(lambda row: model(row[None]))(batch))


@pytest.mark.parametrize("name", ["lstm", "one layer lstm"])
def test_vmap_runs_an_ensemble(name: str) -> None:
    """Stacked members give what single ones give, and so do their gradients."""
    members = [made(name, seed) for seed in range(3)]
    parameters, buffers = stack_module_state(members)  # type: ignore[arg-type]
    batch = tokens(members[0])

    def loss(p: dict[str, Tensor]) -> Tensor:
        return functional_call(members[0], (p, buffers), (batch,)).square().sum()

    slopes = vmap(grad(loss))(parameters)
    together = vmap(lambda p: functional_call(members[0], (p, buffers), (batch,)))(parameters)
    for index, member in enumerate(members):
        torch.testing.assert_close(together[index], member(batch), rtol=1e-10, atol=1e-10)
        for slope, expected in zip(slopes.values(), gradients(member, batch), strict=True):
            torch.testing.assert_close(slope[index], expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("point", STEP_POINTS)
@torch.no_grad()
def test_a_change_reaches_only_what_follows(point: str) -> None:
    """Moving a point at step 1 of the lower layer leaves every earlier step alone and moves every later state."""
    model = made("lstm")
    batch, site = tokens(model), f"layers.0.{point}.1"
    logits, before = model.run_with_cache(batch)
    with model.hooks([(site, lambda x, hook: x + 0.5)]):
        moved, after = model.run_with_cache(batch)
    assert not torch.equal(moved, logits)
    for layer, step, other in itertools.product(range(2), range(4), STEP_POINTS):
        same = torch.equal(after[f"layers.{layer}.{other}.{step}"], before[f"layers.{layer}.{other}.{step}"])
        now = layer == 0 and STEP_POINTS.index(other) < STEP_POINTS.index(point)  # earlier in the very same step
        now |= point == "hook_o" and other == "hook_c" and layer == 0  # the output gate does not reach its own cell
        assert same == (step < 1 or (step == 1 and now) or is_parallel_gate(point, other, layer, step))


def is_parallel_gate(point: str, other: str, layer: int, step: int) -> bool:
    """The gates of one step do not read each other."""
    gates = STEP_POINTS[:4]
    return layer == 0 and step == 1 and point in gates and other in gates and other != point


@pytest.mark.parametrize("step", [0, 2, 3])
@torch.no_grad()
def test_ablation_equals_recomputing_by_hand(step: int) -> None:
    """A hidden unit set to 0 at one step of layer 0: the steps after it recomputed with numpy."""
    model = made("lstm")
    batch = tokens(model, 1)
    with applied(model, Ablate(f"layers.0.hook_h.{step}", Zero())) as record:
        logits = model(batch)
    assert record[0].fired == 1
    xs = [model.W_E[token].numpy() for token in batch[0]]
    for index, layer in enumerate(model.layers):
        assert isinstance(layer, Layer)
        h = c = np.zeros(6)
        for t in range(4):
            found = cell(xs[t], h, c, layer)
            h, c = found["hook_h"] * (0 if (index, t) == (0, step) else 1), found["hook_c"]
            xs[t] = h
    expected = xs[-1] @ model.W_U.numpy() + model.unembed.b_U.numpy()
    np.testing.assert_allclose(logits[0], expected, 1e-11, 1e-12)


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_every_axis_has_a_name_and_short_sequences_pass_fewer_points(name: str) -> None:
    """Points of the steps that there are, and capture refuses a step that was not reached."""
    model = made(name)
    n_ctx = model.config.n_ctx
    for n_pos in range(1, n_ctx + 1):
        batch = tokens(model, n_pos=n_pos)
        logits, cache = model.run_with_cache(batch)
        steps = {n for n in cache if n.startswith("layers.")}
        assert len(steps) == model.config.n_layers * len(STEP_POINTS) * n_pos
        assert all(len(model.axes_of(n)) == t.ndim for n, t in cache.items())
        torch.testing.assert_close(logits, model(batch), **EXACT)
    if n_ctx > 1:
        with pytest.raises(InterpError, match="did not fire"):
            capture(model, tokens(model, n_pos=1), f"layers.0.hook_h.{n_ctx - 1}")


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_resume_writes_and_the_linear_rest(name: str) -> None:
    """From the embedding and from the final state, by really moving them."""
    model = made(name)
    batch = tokens(model)
    logits, cache = model.run_with_cache(batch, names_filter=["hook_embed", "hook_final", "hook_logits"])
    for site in ("hook_embed", "hook_final"):
        torch.testing.assert_close(model.resume(site, cache[site]), model(batch), rtol=0, atol=0)
        assert model.writes(site) == (site, None)
    change = torch.randn(cache["hook_final"].shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    with model.hooks([("hook_final", lambda x, hook: x + change)]):
        moved = model(batch)
    rest = model.linear_rest("hook_final")
    assert rest is model.W_U
    torch.testing.assert_close(moved, logits + change @ rest, **EXACT)
    assert model.linear_rest("hook_embed") is None


def test_refusals() -> None:
    """Impossible shapes, names and lengths are named."""
    model = made("lstm")
    for config in CONFIGS.values():
        assert config_from_dict(config.to_dict()) == config
    for field in ("d_vocab", "d_embed", "d_hidden", "n_layers", "d_out", "n_ctx"):
        with pytest.raises(InterpError, match=f"LSTMConfig.{field} must be a whole number of at least 1"):
            LSTMConfig(**{"d_vocab": 2, "d_embed": 2, "d_hidden": 2, "n_layers": 1, "d_out": 1, "n_ctx": 2, field: 0})
    for n_pos in (0, 5):
        with pytest.raises(InterpError, match=f"{n_pos} positions given; the model's context is 1 to 4"):
            model(torch.zeros(2, n_pos, dtype=torch.long))
    with pytest.raises(UnknownSite, match=r"nearest: layers.0.hook_h.0"):
        capture(model, tokens(model), "layers.0.hook_hh.0")
    for refuse in (model.writes, lambda site: model.resume(site, torch.zeros(1))):
        with pytest.raises(UnknownSite, match="hook_embed"):
            refuse("layers.0.hook_h.0")


def test_a_long_context_is_built_quickly() -> None:
    """6,000 hook points, names in order of layer, kind and step."""
    model = HookedLSTM(LSTMConfig(10, 4, 4, 2, 1, n_ctx=500))
    assert len(model.hook_dict) == 6003
    assert "layers.1.hook_c.499" in model.hook_dict


def test_the_table_of_models_builds_them() -> None:
    """Models of the shared table are LSTMs with random biases."""
    assert all(isinstance(make(name), HookedLSTM) for name in LSTMS)
