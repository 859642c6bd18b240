"""Any module, wrapped: against torch's own hooks on a copy, and against layers called by hand."""

from __future__ import annotations

import copy
from collections import namedtuple
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import interp
from circuits import Ablate, Scale, Zero, applied
from interp import InterpError, Site, Subject
from interp.activations.gradients import gradients
from interp.hooked.hook_point import hooks_on

Pair = namedtuple("Pair", ["mean", "spread"])
IMAGES = torch.randn(5, 2, 6, 6, generator=torch.Generator().manual_seed(0))
VECTORS = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))


class Tied(nn.Module):
    """One layer used twice, and a container of the kind asked for around what it returns."""

    def __init__(self, pack: Callable[[Tensor, Tensor], Any] = lambda a, b: a + b) -> None:
        super().__init__()
        self.layer, self.inner, self.pack = nn.Linear(4, 4), nn.Identity(), pack

    def forward(self, x: Tensor) -> Any:
        first = self.layer(x)
        return self.inner(self.pack(first, self.layer(torch.tanh(first))))


class Residual(nn.Module):
    """Works in place on the skip connection and behind the convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x += self.relu(self.norm(self.conv(x)))
        return self.relu(x)


def make(build: Callable[..., nn.Module], *args: Any, **kwargs: Any) -> nn.Module:
    torch.manual_seed(0)
    return build(*args, **kwargs).eval()


def convnet() -> nn.Module:
    head = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    return make(nn.Sequential, nn.Conv2d(2, 3, 3), nn.ReLU(inplace=True), Residual(), nn.MaxPool2d(2), head)


def assert_no_hooks(module: nn.Module) -> None:
    for name, m in module.named_modules():
        assert not hooks_on(m), name


@torch.no_grad()
def by_torch(module: nn.Module, inputs: Tensor) -> dict[str, list[Tensor]]:
    """Copies of what every submodule of a copy returned, by torch's hooks."""
    module, seen = copy.deepcopy(module), {}
    for name, m in module.named_modules():
        point = f"{name}.hook_out" if name else "hook_out"
        m.register_forward_hook(lambda _m, _i, out, point=point: seen.setdefault(point, []).append(out.clone()))
    module(inputs)
    return seen


@torch.no_grad()
def test_a_convolutional_net_with_work_in_place() -> None:
    """What each layer returned, not what the next one made of it; names of axes; nothing is left behind."""
    net = convnet()
    before = net(IMAGES)
    model = interp.wrap(net, IMAGES)
    assert_no_hooks(net)
    expected = by_torch(net, IMAGES)
    outs = [n for n in model.hook_dict if n.endswith("hook_out")]
    found = interp.capture(model, IMAGES, outs, batch_size=2)
    assert sorted(outs) == sorted(expected)
    for name, calls in expected.items():
        assert torch.allclose(found[name], torch.stack(calls) if len(calls) > 1 else calls[0], atol=1e-6), name
    assert (found["0.hook_out"] < 0).any()
    _, cache = model.run_with_cache(IMAGES, names_filter="0.hook_out")
    assert torch.equal(cache["0.hook_out"], expected["0.hook_out"][0])
    images = ("batch", "unit", "row", "column")
    assert {
        n: model.axes_of(n) for n in outs if n not in ("4.0.hook_out", "4.1.hook_out", "4.hook_out", "hook_out")
    } == {n: images for n in expected if not n.startswith(("4", "hook"))}
    assert model.axes_of("hook_out") == model.output_axes == ("batch", "unit")
    with model.hooks([("*", lambda activation, hook: None)]):
        assert torch.equal(model(IMAGES), before)
    assert_no_hooks(net)


@torch.no_grad()
def test_a_channel_ablated_before_a_relu_in_place() -> None:
    """At the convolution, by hand; what enters a layer, too."""
    net = make(nn.Sequential, nn.Conv2d(2, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(64, 3))
    model = interp.wrap(net, IMAGES)
    zeroed = net[0](IMAGES)
    zeroed[:, 3] = 0
    with applied(model, Ablate(Site("0.hook_out", unit=3), Zero())) as record:
        found = [model(IMAGES), model(IMAGES)]
    assert record[0].fired == 2
    assert torch.equal(found[0], net[1:](zeroed.clone()))
    assert torch.equal(found[0], found[1])
    halved = IMAGES.clone()
    halved[:, 1] *= 0.5
    with applied(model, Scale(Site("hook_in", unit=1), 0.5)):
        assert torch.equal(model(IMAGES), net(halved))


def test_gradients_pass() -> None:
    """Of the weights as without wrapping, and at sites before work in place."""
    net = make(nn.Sequential, nn.Conv2d(2, 3, 3), nn.ReLU(inplace=True), nn.Conv2d(3, 2, 3), nn.Tanh())
    twin, model = copy.deepcopy(net), interp.wrap(net, IMAGES)
    with applied(model, Scale("*", 1.0), strict=False):
        model(IMAGES).square().sum().backward()
    twin(IMAGES).square().sum().backward()
    for (name, mine), theirs in zip(net.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, msg=name)
    plain = make(nn.Sequential, nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 2))
    acts, found = gradients(interp.wrap(plain, VECTORS), VECTORS, lambda out: out[:, 1], "0.hook_out")
    expected = plain[2].weight[1] * (acts["0.hook_out"] > 0)
    torch.testing.assert_close(found["0.hook_out"], expected)


@torch.no_grad()
def test_a_layer_used_twice() -> None:
    """It fires twice: captured as two calls, ablated at both."""
    net = make(Tied)
    model = interp.wrap(net, VECTORS)
    first = net.layer(VECTORS)
    acts = interp.capture(model, VECTORS, ["layer.hook_out", "layer.hook_in"])
    assert torch.equal(acts["layer.hook_out"], torch.stack([first, net.layer(first.tanh())]))
    assert torch.equal(acts["layer.hook_in"], torch.stack([VECTORS, first.tanh()]))
    with applied(model, Ablate(Site("layer.hook_out", unit=[0, 2]), Zero())) as record:
        out = model(VECTORS)
    assert record[0].fired == 2
    assert out[:, [0, 2]].abs().sum() == 0 != out[:, 1].abs().sum()


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@torch.no_grad()
def test_recurrent_layers_return_tuples(kind: Any, batch_first: bool) -> None:
    """A point for each tensor; the batch axis is found wherever it is."""
    net = make(kind, 4, 3, num_layers=2, batch_first=batch_first)
    x = torch.randn(5, 7, 4) if batch_first else torch.randn(7, 5, 4)
    example = x if batch_first else x.transpose(0, 1)
    module = net if batch_first else make(lambda: Transposed(net))
    prefix = "" if batch_first else "net."
    model = interp.wrap(module, example)
    out, state = net(x)
    states = dict(zip((".0", ".1"), state, strict=True)) if kind is nn.LSTM else {"": state}
    expected = {f"{prefix}hook_out.0": out, **{f"{prefix}hook_out.1{n}": t for n, t in states.items()}}
    acts = interp.capture(model, example, list(expected), batch_size=2)
    for name, tensor in expected.items():
        torch.testing.assert_close(acts[name], tensor)
    assert model.axes_of(f"{prefix}hook_out.0") == (
        ("batch", "pos", "unit") if batch_first else ("pos", "batch", "unit")
    )
    assert all(model.axes_of(n) == ("layer", "batch", "unit") for n in expected if ".1" in n)
    with applied(model, Ablate(Site(f"{prefix}hook_out.0", pos=-1, unit=1), Zero())):
        changed = model(example)
    last = (slice(None), -1, 1) if batch_first else (-1, slice(None), 1)
    out[last] = 0
    assert torch.equal(changed, out)


class Transposed(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.transpose(0, 1))[0]


@pytest.mark.parametrize(("pack", "points", "main"), [
    (lambda a, b: {"other": a, "logits": b, "none": None}, ["other", "logits"], 1), (Pair, ["mean", "spread"], 0),
    (lambda a, b: [a, (b, torch.arange(5))], ["0", "1.0"], 0),
])  # fmt: skip
@torch.no_grad()
def test_containers_are_rebuilt(pack: Any, points: list[str], main: int) -> None:
    """Dicts, named tuples and nested lists: the same type comes out, with the one tensor replaced."""
    net = make(Tied, pack)
    model, truth = interp.wrap(net, VECTORS), net(VECTORS)
    assert [n for n in model.hook_dict if n.startswith("inner.hook_out")] == [f"inner.hook_out.{p}" for p in points]
    kinds: list[type] = []
    handle = net.register_forward_hook(lambda _m, _i, out: kinds.append(type(out)))
    with applied(model, Ablate(f"inner.hook_out.{points[main]}", Zero())):
        assert model(VECTORS).abs().sum() == 0
    with applied(model, Ablate(f"inner.hook_out.{points[1 - main]}", Zero())):
        assert torch.equal(model(VECTORS), truth[points[main]] if isinstance(truth, dict) else truth[main])
    handle.remove()
    assert kinds == [type(truth)] * 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_nothing_is_left_behind_by_errors(error: type[BaseException]) -> None:
    """In the middle of a pass; the user's own hooks stay, and are named."""
    net = convnet()
    model = interp.wrap(net, IMAGES)

    def fail(activation: Tensor, hook: Any) -> None:
        raise error

    with pytest.raises(error), model.hooks([("*", lambda activation, hook: None), ("3.hook_in", fail)]):
        model(IMAGES)
    assert_no_hooks(net)
    handle = net[2].register_full_backward_hook(lambda *_: None)
    assert model.foreign_hooks() == ["2"]
    with pytest.raises(InterpError, match="at 2; remove"):
        Subject("mine", model).refuse_hooks()
    handle.remove()
    nn.utils.parametrizations.weight_norm(net[0])
    assert model.foreign_hooks() == []


def test_what_wrap_takes() -> None:
    """A Subject gives its model; a class, a path and an example that is not a tensor are refused."""
    model = interp.wrap(nn.Linear(4, 3), VECTORS)
    assert interp.wrap(Subject("linear", model)) is model  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="wrap takes an nn.Module, got the class Linear; make an instance"):
        interp.wrap(nn.Linear)  # type: ignore[arg-type]
    with pytest.raises(InterpError, match=r"wrap takes an nn.Module, got str; interp.load\(path\)"):
        interp.wrap("model.pth")  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="must be a tensor .* of at least two inputs, got list"):
        interp.wrap(nn.Linear(4, 3), VECTORS.tolist())  # type: ignore[arg-type]
