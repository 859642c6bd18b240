"""Sparse parity: products by plain Python, and what noise may and may not change."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp import HookedMLP, InterpError, MLPConfig
from interp.errors import TaskMismatch
from interp.tasks import SparseParity, make_task, task_from_dict, task_to_dict


@given(st.integers(1, 6), st.integers(0, 9))
def test_labels_are_products(k: int, seed: int) -> None:
    """Bits are -1 and 1; the label is the product of the first k, whatever the others are."""
    task = SparseParity(n=6, k=k, n_train=40, n_test=10, seed=seed)
    assert task.inputs.dtype == torch.float32
    assert set(task.inputs.flatten().tolist()) == {-1.0, 1.0}
    assert task.labels.tolist() == [math.prod(row[:k]) for row in task.inputs.tolist()]
    assert not task.flipped.any()


def test_bits_are_fair_and_unrelated() -> None:
    """Means and correlations of 20,000 examples are within five standard errors of 0, labels included."""
    task = SparseParity(n=8, k=3, n_train=20_000, n_test=1)
    columns = torch.cat([task.inputs, task.labels[:, None].float()], dim=1).double()
    second = columns.T @ columns / len(columns) - torch.eye(9)
    assert columns.mean(0).abs().max() < 5 / math.sqrt(20_000)
    assert second.abs().max() < 5 / math.sqrt(20_000)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 5))
def test_noise_flips_train_labels_only(low: float, high: float, seed: int) -> None:
    """Exactly the stated number; never a test label; the inputs stay; more noise flips the same and more."""
    low, high = sorted((low, high))
    clean, less, more = (SparseParity(10, 2, 30, 12, noise, seed) for noise in (0.0, low, high))
    for task, noise in ((less, low), (more, high)):
        assert torch.equal(task.inputs, clean.inputs)
        assert torch.equal(task.clean_labels, clean.labels)
        assert int(task.flipped.sum()) == round(noise * 30)
        assert not task.flipped[task.test_indices].any()
        assert torch.equal(task.labels != clean.labels, task.flipped)
    assert (less.flipped <= more.flipped).all()


def test_a_seed_is_a_data_set() -> None:
    """The same again, and another with another seed; the global generator is left alone."""
    torch.manual_seed(1)
    expected = torch.rand(1, generator=torch.Generator().manual_seed(1))
    assert torch.equal(SparseParity(seed=4).inputs, SparseParity(seed=4).inputs)
    assert not torch.equal(SparseParity(seed=4).inputs, SparseParity(seed=5).inputs)
    assert not torch.equal(SparseParity(label_noise=0.2).flipped, SparseParity(label_noise=0.2, seed=1).flipped)
    assert torch.equal(torch.rand(1), expected)


def test_the_two_unit_solution_is_right() -> None:
    """|a - b| by two ReLU units, minus one, is the parity of two bits, turned round: every example is answered rightly."""
    task = SparseParity(n=5, k=2)
    a, b = task.inputs[:, 0], task.inputs[:, 1]
    output = 1 - torch.relu(a - b) - torch.relu(b - a)
    assert task.correct(output[:, None]).all()
    assert not task.correct(-output[:, None]).any()
    assert task.losses(output[:, None]).abs().max() == 0


def test_fit() -> None:
    """Vectors of n to one output; anything else is said with both numbers."""
    task = SparseParity(n=6)
    model = HookedMLP(MLPConfig((4,), 1, d_in=6, unembed_bias=False))
    assert task.fit(model) is task
    assert task.read(model(task.inputs)).shape == (400, 1)
    for config, message in (
        (MLPConfig((4,), 1, d_in=5), "vectors of 5, the task gives vectors of 6"),
        (MLPConfig((4,), 2, d_in=6), "2 outputs, the task's loss hinge reads 1"),
        (MLPConfig((4,), 1, d_vocab=6, d_embed=2), "takes tokens"),
    ):
        with pytest.raises(TaskMismatch, match=message):
            task.fit(HookedMLP(config))


def test_round_trips() -> None:
    """As text and as a dict, a task comes back equal; a dict without newer fields takes their defaults."""
    task = make_task("parity:n=9,k=3,n_train=20,n_test=5,label_noise=0.1,seed=2,loss=bce")
    assert make_task(task.spec()) == task == task_from_dict(task_to_dict(task))
    assert task_from_dict({"name": "parity", "n": 9}) == SparseParity(9)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("parity:k=51", "k=51 .*n=50"), ("parity:k=0", "at least 1"), ("parity:n_train=0", "at least 1"),
        ("parity:n_test=0", "at least 1"), ("parity:n=2.5", "whole number"), ("parity:label_noise=1.1", "between 0 and 1"),
        ("parity:label_noise=-0.1", "between 0 and 1"), ("parity:label_noise=few", "between 0 and 1"),
        ("parity:label_noise=nan", "between 0 and 1"), ("parity:n=10000000", "limited"), ("parity:seed=1.5", "seed"),
        ("parity:loss=mse", "unknown loss"), ("parity:labelnoise=0.1", "did you mean 'label_noise'"),
    ],
)  # fmt: skip
def test_bad_specs(spec: str, message: str) -> None:
    """One clear message each."""
    with pytest.raises(InterpError, match=message):
        make_task(spec)
