"""Gradients of CPPNs, written out, against autograd."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import interp
from interp.hooked import HookedCPPN
from interp.hooked.cppn.activation_functions import CPPN_ACTIVATIONS
from interp.hooked.cppn.colour import rgb
from interp.hooked.cppn.config import CPPNConfig
from interp.tasks import Task, make_task
from interp.training.by_hand import by_hand, cppn
from interp.training.by_hand.pixels import ColourError
from tests.interp.training.by_hand.twins import by_autograd, furthest, same_bits, stacked, written_out

ARCHS = (
    "12;cache:15,gaussian:4,identity:2,sin:1",
    "1;relu:3",
    "2;" + ",".join(f"{name}:2" for name in CPPN_ACTIVATIONS),
)


@pytest.fixture
def image(tmp_path: Path) -> Task:
    y, x = np.mgrid[-1:1:12j, -1:1:12j]
    colours = np.stack([np.sin(5 * x) * y, np.tanh(4 * x * y), np.exp(-4 * (x * x + y * y))], -1)
    Image.fromarray((colours * 120 + 128).clip(0, 255).astype(np.uint8)).save(tmp_path / "picture.png")
    return make_task(f"image:target={tmp_path / 'picture.png'},size=12")


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("pixels", [4096, 100, 17], ids=["one tile", "two tiles", "nine tiles"])
def test_every_activation(image: Task, arch: str, pixels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two members, the image in one piece and in pieces that do not divide it; exact to float64's rounding."""
    monkeypatch.setattr(cppn, "PIXELS", pixels)
    model = HookedCPPN(CPPNConfig(arch)).double()
    weights = {name: 1.5 * w for name, w in stacked(model.config, 2).items()}
    inputs, labels = image.inputs.double(), image.labels.double()
    found = written_out(model, image, weights, (inputs, labels, None), (inputs, labels, None))
    assert furthest(found, by_autograd(model, image, weights, inputs, labels)) < 1e-12
    own = torch.stack([inputs, inputs.flip(0)]), torch.stack([labels, labels])
    share = torch.rand(2, len(labels), dtype=torch.float64)
    expected = by_autograd(model, image, weights, *own, share)
    assert furthest(written_out(model, image, weights, (*own, share)), expected) < 1e-12


def test_float32(image: Task) -> None:
    model = HookedCPPN(CPPNConfig(ARCHS[0]))
    weights = stacked(model.config, 1, torch.float32)
    exact = {n: w.double() for n, w in weights.items()}
    expected = by_autograd(model.double(), image, exact, image.inputs.double(), image.labels.double())
    found = written_out(model.float(), image, weights, (image.inputs, image.labels, None))
    assert furthest(found, expected) < 1e-5


def test_colours_on_their_edges() -> None:
    """Where hue, saturation or value stand on a bend, the gradient is the one that autograd takes."""
    sides = torch.tensor([-1.5, -1.0, -0.25, 0.0, 0.25, 1.0, 1.5], dtype=torch.float64)
    hues = torch.cat([torch.arange(-6, 13) / 6, torch.arange(-6, 13) / 12]).double()
    hsv = torch.cartesian_prod(hues, sides, sides)
    target, factor = torch.rand(len(hsv), 3, dtype=torch.float64), torch.rand(len(hsv), dtype=torch.float64)
    leaf = hsv.clone().requires_grad_()
    loss = (rgb(leaf) - target).square().sum(-1) @ factor / 2
    expected = torch.autograd.grad(loss, leaf)[0].T
    found = hsv.T.contiguous()
    ColourError(found, len(hsv)).backward(found, target.T, factor)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
    assert (expected == 0).any()
    assert (expected[0] != 0).any()


def test_the_losses_of_plain_pytorch(image: Task, tmp_path: Path) -> None:
    """30 steps with the gradient divided by its norm: the losses of a loop over the network written out in torch."""
    model = HookedCPPN(CPPNConfig(ARCHS[0])).double().init_weights(3, scheme="truncated")
    weights = [W.detach().clone().requires_grad_() for W in model.matrices]
    optimizer, losses = torch.optim.Adam(weights, 3e-3), []
    for _ in range(31):
        x = image.inputs.double()
        for W in weights[:-1]:
            z = x @ W
            x = torch.cat([z[:, :15], 2 * torch.exp(-(z[:, 15:19] ** 2)) - 1, z[:, 19:21], torch.sin(z[:, 21:])], 1)
        loss = torch.nn.functional.mse_loss(rgb(x @ weights[-1]), image.labels.double())
        gradients = torch.autograd.grad(loss, weights)
        losses.append(loss.item())
        norm = torch.cat([g.flatten() for g in gradients]).norm()
        for W, gradient in zip(weights, gradients, strict=True):
            W.grad = gradient / norm
        optimizer.step()
    members = [{"seed": 3}, {"seed": 4}]
    run = interp.train(image, members=members, steps=30, dtype="float64", metrics="every:10", out=tmp_path / "run")
    rows = run.metrics[run.metrics["member"] == 0].set_index("step")
    assert rows["train_loss"].tolist() == pytest.approx([losses[i] for i in (0, 10, 20, 30)], rel=1e-7)


def test_threads_and_neighbours_change_no_bit(image: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread or two, alone or beside others: the same bits."""
    monkeypatch.setattr(cppn, "PIXELS", 40)
    model = HookedCPPN(CPPNConfig(ARCHS[0]))
    same_bits(model, image, stacked(model.config, 3, torch.float32), image.inputs, image.labels)


def test_hooks_and_other_losses_are_left_to_autograd(image: Task) -> None:
    model = HookedCPPN(CPPNConfig(ARCHS[0]))
    assert by_hand(model, image) is not None
    with model.hooks(fwd_hooks=[("layers.3.hook_post", lambda x, hook: 2 * x)]):
        assert by_hand(model, image) is None
