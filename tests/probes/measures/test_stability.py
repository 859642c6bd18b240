"""The gradient's norm by formulas and finite differences; softmax collapse of a network."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from interp import HookedMLP, InterpError, MLPConfig, ModularArithmetic, Subject
from interp.hooked import CPPNConfig, HookedCPPN, HookedModel
from interp.tasks import Digits, ImageTask, SparseParity, Task, ToyAddition
from probes.measures import stability
from probes.measures.stability import collapse, gradient_norm
from tests.models import P, make, subject


def parity(loss: str) -> Subject:
    task = SparseParity(n=6, k=2, n_train=20, n_test=10, label_noise=0.2, loss=loss)
    return Subject(loss, HookedMLP(MLPConfig((5,), 1, d_in=6, act_fn="tanh")).double().init_weights(1, 2.0), task)


def fitted(model: HookedModel, task: Task) -> Subject:
    return Subject(task.name, model, task.fit(model))


def mlp(*hidden: int, out: int, **config: int | str) -> HookedMLP:
    return HookedMLP(MLPConfig(hidden, out, **config)).double().init_weights(0)


def image(folder: Path) -> Subject:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (6, 6, 3), dtype=np.uint8)).save(folder / "a.png")
    model = HookedCPPN(CPPNConfig("2;sin:2,tanh:2")).double().init_weights(0)
    return Subject("image", model, ImageTask(str(folder / "a.png"), size=6))


SUBJECTS: dict[str, Callable[[Path], Subject]] = {
    "layer norm": lambda _: subject("layer norm"), "per operand": lambda _: subject("per operand"), "regression": image,
    "mse": lambda _: fitted(make("deep"), ModularArithmetic(P, "add", 0.6, loss="mse")),
    "hinge": lambda _: parity("hinge"), "bce": lambda _: parity("bce"),
    "vectors": lambda _: fitted(mlp(6, out=30, d_vocab=5, d_embed=3, combine="sum"), ToyAddition(5)),
    "effective": lambda _: fitted(mlp(4, out=2, d_in=64), Digits(n_train=40, n_test=10, loss="effective")),
}  # fmt: skip


def train_loss(one: Subject) -> Tensor:
    """The mean train loss in one batch, from the formulas."""
    task = one.require_task()
    x, y = task.inputs[task.train_indices], task.labels[task.train_indices]
    out = one.model(x.double() if x.is_floating_point() else x)
    out = out[:, -1] if out.ndim == 3 else out
    if task.loss == "effective":
        pairs = [(i, j) for i in range(len(y)) for j in range(i) if y[i] == y[j]]
        return sum(((out[i] - out[j]) ** 2).sum() for i, j in pairs) / (out**2).sum()
    draws = torch.randn(task.n_outputs, 30, generator=torch.Generator().manual_seed(0)).double()
    return {
        "cross_entropy": lambda: F.cross_entropy(out[:, : task.n_outputs], y),
        "mse": lambda: F.mse_loss(out, F.one_hot(y, P).double()), "vectors": lambda: F.mse_loss(out, draws[y]),
        "hinge": lambda: (1 - y * out[:, 0]).clamp(min=0).mean(), "regression": lambda: F.mse_loss(out, y.double()),
        "bce": lambda: F.binary_cross_entropy_with_logits(out[:, 0], (y > 0).double()),
    }[task.loss]()  # fmt: skip


@pytest.mark.parametrize("name", SUBJECTS)
@pytest.mark.parametrize("batch", [7, 4096])
def test_gradient_norm_by_autograd(name: str, batch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plain model, the loss by its formula and one backward pass, however the train set is cut."""
    monkeypatch.setattr(stability, "BATCH", batch)
    one = SUBJECTS[name](tmp_path)
    grads = torch.autograd.grad(train_loss(one), list(one.model.parameters()), allow_unused=True)
    expected = math.sqrt(sum((g**2).sum().item() for g in grads if g is not None))
    assert gradient_norm(one)[""] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", ["hinge", "bce", "vectors"])
def test_gradient_norm_by_finite_differences(name: str, tmp_path: Path) -> None:
    """Every weight moved a little up and down."""
    one, h, squares = SUBJECTS[name](tmp_path), 1e-6, 0.0
    with torch.no_grad():
        for entry in (p.view(-1)[i : i + 1] for p in one.model.parameters() for i in range(p.numel())):
            ends = [train_loss(one).item() for step in (h, -2 * h) if entry.add_(step) is not None]
            squares += ((ends[0] - ends[1]) / (2 * h)) ** 2
            entry.add_(h)
    assert gradient_norm(one)[""] == pytest.approx(math.sqrt(squares), rel=1e-6)


@pytest.mark.parametrize("scale", [0.5, 4.0, 8.0])
def test_collapse_of_a_network(scale: float) -> None:
    """Over the train set alone."""
    one = fitted(make("plain", scale=scale), ModularArithmetic(P, "add", 0.6))
    task, logits = one.require_task(), one.model(one.require_task().inputs).detach()[:, -1, :P].float()
    zero = [F.cross_entropy(logits[i : i + 1], task.labels[i : i + 1]).item() == 0 for i in task.train_indices.tolist()]
    assert collapse(one)[""] == pytest.approx(sum(zero) / len(zero))
    with pytest.raises(InterpError, match="hinge"):
        collapse(parity("hinge"))
