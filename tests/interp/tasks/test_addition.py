"""The toy model's task: counts by hand, and the published split."""

from __future__ import annotations

import pytest

from interp import HookedMLP, InterpError, MLPConfig
from interp.errors import TaskMismatch
from interp.tasks import ToyAddition, make_task, task_from_dict, task_to_dict


@pytest.mark.parametrize("p", [2, 4, 10])
def test_every_unordered_pair_once(p: int) -> None:
    """p (p + 1) / 2 pairs with i <= j, labelled by plain sums, every sum from 0 to 2 p - 2 among them."""
    task = ToyAddition(p)
    pairs = [(i, j) for i in range(p) for j in range(p) if i <= j]
    assert task.pairs.tolist() == [list(pair) for pair in pairs]
    assert task.labels.tolist() == [i + j for i, j in pairs]
    assert set(task.labels.tolist()) == set(range(task.n_outputs))


def test_the_published_split() -> None:
    """45 to train on and 10 to test on, of 55; together all of them."""
    task = ToyAddition()
    assert (len(task.train_indices), len(task.test_indices)) == (45, 10)
    assert sorted([*task.train_indices.tolist(), *task.test_indices.tolist()]) == list(range(55))


def test_fit() -> None:
    """A decoder to 30-dimensional vectors takes the default loss; 19 scores take cross-entropy."""
    vectors = HookedMLP(MLPConfig((4,), 30, d_vocab=10, d_embed=1, combine="sum"))
    scores = HookedMLP(MLPConfig((4,), 19, d_vocab=10, d_embed=1, combine="sum"))
    assert ToyAddition().fit(vectors).inputs.shape == (55, 2)
    assert ToyAddition(loss="cross_entropy").fit(scores).n_outputs == 19
    with pytest.raises(TaskMismatch, match="19 outputs, the task has vectors of 30"):
        ToyAddition().fit(scores)
    assert "not reduced" in str(ToyAddition().cyclic())


def test_round_trips() -> None:
    """As text and as a dict, a task comes back equal."""
    task = make_task("addition:p=7,train_fraction=0.5,seed=3,loss=mse")
    assert make_task(task.spec()) == task == task_from_dict(task_to_dict(task))
    assert make_task("addition") == ToyAddition() == task_from_dict({"name": "addition"})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("addition:p=1", "at least 2"), ("addition:p=ten", "whole number"), ("addition:p=5000", "limited"),
        ("addition:train_fraction=0", "train_fraction"), ("addition:train_fraction=true", "train_fraction"),
        ("addition:loss=vector", "did you mean 'vectors'"), ("addition:seed=-1", "seed"), ("addition:q=1", "option of"),
        ("addition:split=[1.5]", "split"), ("addition:split=1", "the pairs that train"), ("addition:loss=[1]", "unknown loss"),
    ],
)  # fmt: skip
def test_bad_specs(spec: str, message: str) -> None:
    """One clear message each."""
    with pytest.raises(InterpError, match=message):
        make_task(spec)
