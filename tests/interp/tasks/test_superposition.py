"""Sparse features: what is drawn, how it is weighted, and what the toy model learns of it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import interp
from interp import HookedToyModel, InterpError, Superposition, ToyModelConfig
from interp.errors import TaskMismatch
from interp.tasks import make_loss, make_task, task_from_dict, task_to_dict


def test_features_are_zero_or_uniform() -> None:
    """Shares and moments of 20,000 examples within five standard errors."""
    task = Superposition(n_features=4, sparsity=0.7, n_train=20_000, n_test=5)
    x = task.inputs.double()
    n = x.numel()
    active = x[x > 0]
    assert abs(len(active) / n - 0.3) < 5 * math.sqrt(0.3 * 0.7 / n)
    assert 0 <= float(x.min()) <= float(x.max()) < 1
    assert abs(float(active.mean()) - 0.5) < 5 * math.sqrt(1 / 12 / len(active))
    assert abs(float(active.square().mean()) - 1 / 3) < 5 * math.sqrt(4 / 45 / len(active))
    pairs = (x > 0).double() - 0.3
    assert abs(float((pairs[:, 0] * pairs[:, 1]).mean())) < 5 * 0.21 / math.sqrt(20_000)
    assert torch.equal(task.inputs, task.labels)
    assert task.train_indices.tolist()[-1] + 1 == task.test_indices.tolist()[0] == 20_000


def test_a_sparser_task_zeroes_the_same_and_more() -> None:
    """For one seed; another seed is another data set; the global generator is left alone."""
    torch.manual_seed(1)
    expected = torch.rand(1, generator=torch.Generator().manual_seed(1))
    dense, sparse = (Superposition(sparsity=s, n_train=50, n_test=5).inputs for s in (0.0, 0.5))
    assert (dense > 0).all()
    assert torch.equal(sparse[sparse > 0], dense[sparse > 0])
    assert (Superposition(sparsity=1.0, n_train=50, n_test=5).inputs == 0).all()
    assert not torch.equal(dense, Superposition(sparsity=0.0, n_train=50, n_test=5, seed=1).inputs)
    assert torch.equal(torch.rand(1), expected)


def test_the_loss_weights_features_by_importance() -> None:
    """Against a loop in plain Python; by name alone every weight is 1."""
    task = Superposition(n_features=3, importance=0.5, n_train=4, n_test=1)
    generator = torch.Generator().manual_seed(0)
    outputs = torch.rand(5, 3, generator=generator, dtype=torch.float64)
    for row, target, loss in zip(outputs.tolist(), task.labels.double().tolist(), task.losses(outputs), strict=True):
        expected = sum(0.5**i * (target[i] - row[i]) ** 2 for i in range(3)) / 3
        assert float(loss) == pytest.approx(expected, rel=1e-12)
    plain = make_loss("weighted_mse", 3)(outputs, task.labels.double())
    torch.testing.assert_close(plain, (outputs - task.labels).square().mean(-1))


def test_specs_and_stored_tasks() -> None:
    task = make_task("superposition:n_features=6,importance=0.8,sparsity=0.95,n_train=10,n_test=2,seed=3")
    assert make_task(task.spec()) == task == task_from_dict(task_to_dict(task))
    assert task.shape("toy_model") == {"n_features": 6}
    assert task.shape("mlp") == {"d_in": 6, "d_out": 6}
    assert not task.answerable
    with pytest.raises(InterpError, match="no correct and wrong"):
        task.correct(task.inputs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("sparsity=1.5", "sparsity must lie between 0 and 1"),
        ("importance=-1", "importance must lie between 0 and 1"),
        ("n_features=0", "n_features must be a whole number"),
        ("n_train=100000000", "limited to"),
        ("loss=mse", "weighted_mse"),
    ],
)
def test_options_out_of_range(options: str, message: str) -> None:
    with pytest.raises(InterpError, match=message):
        make_task(f"superposition:{options}")


def test_models_that_do_not_fit() -> None:
    task = Superposition(n_train=4, n_test=1)
    assert task.fit(HookedToyModel(ToyModelConfig(5, 2))) is task
    with pytest.raises(TaskMismatch, match="n_features is 6"):
        task.fit(HookedToyModel(ToyModelConfig(6, 2)))


def linear_optimum(x: Tensor, importances: tuple[float, ...], n_hidden: int) -> float:
    """The least loss of any model that keeps the most important ``n_hidden`` features exactly and predicts the others' means."""
    variance = x.var(0, correction=0)
    return float((variance * torch.tensor(importances)).sort().values[: x.shape[1] - n_hidden].sum() / x.shape[1])


def test_superposition_appears_with_sparsity(tmp_path: Path) -> None:
    """The figure of Elhage et al.: dense features, the two most important get a dimension each; sparse ones, five share two.

    In the dense case W^T W is a projection, and the loss is the closed form of dropping the other features. In the sparse
    case all five are represented, at an interference that the ReLU removes, and the loss is below what two features allow.
    """
    run = interp.train(
        Superposition(importance=0.8, n_train=4_000, n_test=1_000), out=tmp_path / "run", steps=2_000, batch_size="full",
        lr=1e-2, members=[{"sparsity": 0.0}, {"sparsity": 0.95}], device="cpu", metrics="every:500",
    )  # fmt: skip
    norms = {}
    for member, sparsity in enumerate((0.0, 0.95)):
        subject = run.subject(member=member)
        model, task = subject.model.double(), subject.require_task()
        assert isinstance(model, HookedToyModel)
        assert isinstance(task, Superposition)
        assert task.sparsity == sparsity
        W = model.W.detach()
        norms[sparsity] = W.norm(dim=0)
        loss = interp.score(task, subject.logits()).loss
        optimum = linear_optimum(task.inputs.double(), task.importances, 2)
        interference = (W / norms[sparsity]).T @ W - torch.diag(norms[sparsity])
        if sparsity == 0.0:
            torch.testing.assert_close(W.T @ W, torch.diag(torch.tensor([1.0, 1, 0, 0, 0]).double()), rtol=0, atol=0.05)
            assert loss == pytest.approx(optimum, rel=0.02)
        else:
            assert (norms[sparsity] > 0.8).all()
            assert float(interference.abs().max()) > 0.3
            assert loss < 0.4 * optimum
    assert np.linalg.matrix_rank(W.numpy(), tol=1e-3) == 2


def test_members_with_other_importances() -> None:
    """Each has its own loss: at the start, where the weights are the same, the losses are those of its task."""
    members = [{"importance": 0.5}, {"importance": 0.9}, {"n_features": 4}]
    run = interp.train(
        "superposition:n_features=3,n_train=16,n_test=4", members=members, steps=1, metrics="0", device="cpu"
    )
    for member, row in run.metrics[run.metrics["step"] == 0].set_index("member").iterrows():
        subject = run.subject(int(member), 0)
        task = subject.require_task()
        losses = task.losses(subject.model(task.inputs[task.train_indices]), task.labels[task.train_indices])
        assert row["train_loss"] == pytest.approx(losses.mean().item(), rel=1e-6)
    assert run.metrics.groupby("member")["train_loss"].first().nunique() == 3
