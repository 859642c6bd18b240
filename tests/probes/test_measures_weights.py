"""Measures of the weights, of gradients and float32 losses: numpy, sklearn, finite differences, loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.decomposition import PCA
from torch import Tensor
from torch.nn import functional as F

from interp import HookedMLP, InterpError, MLPConfig, ModularArithmetic, Subject
from interp.hooked import CPPNConfig, HookedCPPN, HookedModel
from interp.snapshot import matrices
from interp.tasks import Digits, ImageTask, SparseParity, Task, ToyAddition
from probes import stability
from probes.dimension import effective_dimension, embedding_dimension
from probes.entropy import entropies, uniform_entropy, weight_entropy
from probes.norms import spectral_norm, spectral_norms, weight_norm, weight_norms
from probes.stability import collapse, gradient_norm, slingshots, softmax_collapse
from tests.models import LSTMS, MLPS, TRANSFORMERS, P, make, subject

seeds = st.integers(0, 10**6)
scales = st.floats(1e-3, 1e3)


def random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def single_matrices(one: Subject) -> dict[str, np.ndarray]:
    """Every matrix of a model, by plain indexing."""
    arrays = {n: w.detach().numpy() for n, w in one.model.named_parameters() if not n.split(".")[-1].startswith("b_")}
    flat = {n: a for n, a in arrays.items() if a.ndim == 2}
    return flat | {f"{n}[{i}]": m for n, a in arrays.items() if a.ndim == 3 for i, m in enumerate(a)}


@pytest.mark.parametrize("name", [*TRANSFORMERS, *MLPS, *LSTMS])
def test_norms_and_entropy_of_every_model(name: str) -> None:
    """Every parameter and matrix, and what they come to together."""
    one = Subject(name, make(name))
    weights = {n: w.detach().numpy() for n, w in one.model.named_parameters()}
    norms, spectra, entropy = weight_norm(one), spectral_norms(one), entropies(one)
    total, each = sum((w**2).sum() for w in weights.values()), {n: np.linalg.norm(w) for n, w in weights.items()}
    assert norms == pytest.approx({"all": math.sqrt(total), "all squared": total, **each})
    alone = single_matrices(one)
    assert spectra == pytest.approx({n: np.linalg.norm(m, 2) for n, m in alone.items()})
    by_loop = {n: -sum(abs(x) * math.log(abs(x)) for x in m.ravel()) for n, m in alone.items()}
    assert entropy == pytest.approx({"all": sum(by_loop.values()), **by_loop})


def test_stacks_of_any_depth_and_bfloat16() -> None:
    """Four axes are a stack of stacks; what is stored in bfloat16 is summed in float64."""
    weight = random(0, 2, 3, 4, 5)
    assert list(found := dict(matrices({"W": weight}))) == [f"W[{i}]" for i in range(6)]
    assert torch.equal(found["W[4]"], weight[1, 1])
    assert dict(matrices({"W": weight[:1, :1]}))["W"].shape == (4, 5)
    stored = random(1, 300, 50).bfloat16()
    assert weight_norms({"W": stored})["all squared"] == pytest.approx((stored.double().numpy() ** 2).sum(), rel=1e-12)
    assert spectral_norm(stored).item() == pytest.approx(np.linalg.norm(stored.double().numpy(), 2), rel=1e-9)


@pytest.mark.parametrize("shape", [(5, 7), (1, 6), (6, 1), (1, 1)])
def test_spectral_norm_by_power_iteration(shape: tuple[int, int]) -> None:
    """The largest singular value is what repeated multiplication converges to."""
    W, x = random(3, *shape), torch.ones(shape[1], dtype=torch.float64)
    for _ in range(3000):
        x = F.normalize(W.T @ (W @ x), dim=0)
    assert spectral_norm(W).item() == pytest.approx((W @ x).norm().item(), rel=1e-9)


@given(seeds, st.integers(1, 6), st.integers(1, 6), scales)
def test_norm_laws(seed: int, rows: int, columns: int, scale: float) -> None:
    """Homogeneous; spectral <= Frobenius <= sqrt(rank) spectral; rotations change nothing."""
    W = random(seed, rows, columns)
    spectral, frobenius = spectral_norm(W).item(), weight_norms({"W": W})["all"]
    assert spectral_norm(-scale * W).item() == pytest.approx(scale * spectral)
    assert weight_norms({"W": -scale * W})["all"] == pytest.approx(scale * frobenius)
    assert spectral <= frobenius * (1 + 1e-12) <= math.sqrt(min(rows, columns)) * spectral * (1 + 1e-11)
    turn = torch.linalg.qr(random(seed + 1, rows, rows))[0]
    assert spectral_norm(turn @ W).item() == pytest.approx(spectral)


@given(seeds, scales)
def test_entropy_laws(seed: int, scale: float) -> None:
    """Order and signs do not matter, parts add up, and H(c W) = c H(W) - c ln c sum |w|."""
    W = random(seed, 4, 5)
    H = weight_entropy(W).item()
    shuffled = W.flatten()[torch.randperm(20, generator=torch.Generator().manual_seed(seed))]
    assert weight_entropy(shuffled * shuffled.sign()).item() == pytest.approx(H)
    assert weight_entropy(W[:2]).item() + weight_entropy(W[2:]).item() == pytest.approx(H)
    assert weight_entropy(scale * W).item() == pytest.approx(
        scale * (H - math.log(scale) * W.abs().sum().item()), abs=1e-9
    )


@pytest.mark.parametrize("a", [0.05, 1.0, 8.0])
def test_entropy_of_uniform_weights(a: float) -> None:
    """The mean over 2,000 draws is the closed form within four standard errors, and not 5% beside it."""
    draws = np.random.default_rng(1).uniform(-a, a, (2000, 12, 15))
    found = np.array([weight_entropy(torch.tensor(d)).item() for d in draws])
    error, expected = found.std() / math.sqrt(len(found)), uniform_entropy(12, 15, a)
    assert abs(found.mean() - expected) < 4 * error < 0.05 * abs(expected)


def test_refusals_of_weights() -> None:
    """A width that is none; one NaN makes its own matrix NaN and leaves the others."""
    for a in (0.0, -1.0, math.nan):
        with pytest.raises(InterpError, match="above 0"):
            uniform_entropy(2, 2, a)
    one = Subject("NaN", make("plain"))
    one.model.W_E.detach()[0, 0] = math.nan
    for measure in (weight_norm, entropies, spectral_norms):
        found = measure(one)
        assert math.isnan(found["embed.W_E"]), measure.name
        assert math.isfinite(found["unembed.W_U"]), measure.name


def by_sklearn(points: Tensor) -> float:
    q = PCA().fit(points.detach().double().numpy()).explained_variance_ratio_
    return math.exp(-sum(x * math.log(x) for x in q if x > 1e-15))


@pytest.mark.parametrize("shape", [(20, 4), (5, 9), (2, 3), (50, 1)])
def test_effective_dimension_is_that_of_sklearn(shape: tuple[int, int]) -> None:
    """More points than dimensions, and fewer."""
    points = random(5, *shape) * torch.arange(1, shape[1] + 1) + 3
    assert effective_dimension(points) == pytest.approx(by_sklearn(points))


def test_effective_dimension_of_known_shapes() -> None:
    """A line 1, the corners of a simplex n - 1, one point 0."""
    assert effective_dimension(torch.arange(5.0)[:, None] * torch.ones(4) + 2) == pytest.approx(1)
    assert effective_dimension(torch.eye(6)) == pytest.approx(5)
    assert effective_dimension(torch.full((4, 3), 0.1)) == 0


@pytest.mark.parametrize("name", ["plain", "shared concat", "per operand"])
def test_embedding_dimension_leaves_out_equals(name: str) -> None:
    """The symbols alone, by sklearn; the row of = may be anything."""
    one = subject(name)
    table = one.model.W_E.detach()
    tables = {"embed.W_E": table[:P]} if table.ndim == 2 else {f"embed.W_E[{i}]": t for i, t in enumerate(table)}
    assert embedding_dimension(one) == pytest.approx({n: by_sklearn(t) for n, t in tables.items()})


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


@given(seeds, st.floats(0.1, 60.0))
def test_collapse_laws(seed: int, scale: float) -> None:
    """The share of float32 cross-entropies that are 0."""
    logits, labels = scale * random(seed, 40, 5), torch.arange(40) % 5
    loss = F.cross_entropy(logits.float(), labels, reduction="none")
    assert softmax_collapse(logits, labels).item() == pytest.approx((loss == 0).double().mean().item())


@pytest.mark.parametrize("scale", [0.5, 4.0, 8.0])
def test_collapse_of_a_network(scale: float) -> None:
    """Over the train set alone."""
    one = fitted(make("plain", scale=scale), ModularArithmetic(P, "add", 0.6))
    task, logits = one.require_task(), one.model(one.require_task().inputs).detach()[:, -1, :P].float()
    zero = [F.cross_entropy(logits[i : i + 1], task.labels[i : i + 1]).item() == 0 for i in task.train_indices.tolist()]
    assert collapse(one)[""] == pytest.approx(sum(zero) / len(zero))
    with pytest.raises(InterpError, match="hinge"):
        collapse(parity("hinge"))


@given(st.lists(st.one_of(st.floats(-14, 3), st.just(math.nan)), max_size=40), st.floats(2, 100))
def test_slingshot_laws(logs: list[float], factor: float) -> None:
    """The first of every run of losses far above the lowest before; NaN, and what is under a thousandth, is passed over."""
    losses = [10**x for x in logs]
    first = next((x for x in losses if not math.isnan(x)), 1.0)
    kept = [(step, max(x, 1e-3 * first)) for step, x in enumerate(losses) if not math.isnan(x)]
    far = [i > 0 and v >= factor * min(w for _, w in kept[:i]) for i, (_, v) in enumerate(kept)]
    expected = [kept[i][0] for i in range(len(kept)) if far[i] and not far[i - 1]]
    assert slingshots(range(len(losses)), losses, factor=factor) == expected
