"""Splits and targets that a user gives: one rule for every task, stored with it, refused where they do not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import interp
from interp.errors import InterpError
from interp.tasks import GivenData, Task, given_to, make_task, task_from_dict, task_to_dict
from interp.training.arrays import read_array

SPECS = ("addition:p=4", "modular:p=5", "group:table=S_3", "grid:side=3", "parity:n=6,k=2,n_train=10,n_test=5")
VECTORS = torch.randn(7, 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("spec", SPECS)
def test_any_task_takes_a_split(spec: str) -> None:
    """The listed examples train, in their order; the rest tests, or those that are listed; and the other way round."""
    task = make_task(spec)
    n = len(task.labels)
    listed = given_to(task, train_indices=[3, 0, 5])
    assert listed.train_indices.tolist() == [3, 0, 5]
    assert listed.test_indices.tolist() == [i for i in range(n) if i not in (3, 0, 5)]
    both = given_to(task, np.array([3, 0]), torch.tensor([1, 9]))
    assert (both.train_indices.tolist(), both.test_indices.tolist()) == ([3, 0], [1, 9])
    assert given_to(task, test_indices=range(2, n)).train_indices.tolist() == [0, 1]
    mask = torch.arange(n) < 4
    assert given_to(task, train_indices=mask).train_indices.tolist() == [0, 1, 2, 3]
    stored = json.loads(json.dumps(task_to_dict(both)))
    assert task_from_dict(stored) == both != task
    assert hash(task_from_dict(stored)) == hash(both)
    assert both.of_member({"data_seed": 4}).train_indices.tolist() == [3, 0]


def test_targets_are_what_vectors_are_compared_with() -> None:
    """Loss, correctness and width by hand; stored to the last bit in float32 and float64."""
    task = given_to(make_task("addition:p=4"), targets=VECTORS)
    assert task.width == 3
    outputs = VECTORS.double()[task.labels] + 0.1
    assert task.losses(outputs).tolist() == pytest.approx([0.01] * 10)
    assert bool(task.correct(outputs).all())
    assert task_from_dict(task_to_dict(task)) == task
    assert torch.equal(given_to(task, targets=VECTORS.double() / 3).given.targets, VECTORS.double() / 3)  # type: ignore[union-attr]
    shifted = given_to(task, targets=VECTORS.roll(1, 0))
    assert not bool(shifted.correct(outputs).any())
    assert shifted != task
    assert shifted.criterion != task.criterion


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"train_indices": [0, 99]},
            "train_indices must lie in 0 to 9, since the task has 10 examples; they reach from 0 to 99",
        ),
        ({"train_indices": [-1]}, "reach from -1"),
        ({"train_indices": [1, 1]}, "list an example twice"),
        ({"train_indices": [1, 2], "test_indices": [2]}, "example 2 is in train_indices and in test_indices"),
        ({"train_indices": []}, "no example to train on"),
        ({"test_indices": range(10)}, "no example to train on"),
        ({"train_indices": [0.5]}, r"whole numbers \[n\], or a mask of 10 booleans, got \[1\] of float64"),
        ({"train_indices": [True, False]}, "mask of 10 booleans"),
        ({"train_indices": "a"}, "list, array or tensor of numbers"),
        ({"train_indices": [[1], [2, 3]]}, "unequal lengths"),
        ({"targets": torch.zeros(6, 3)}, r"a row for each of the 7 answers, \[7, dim\], got \[6, 3\]"),
        ({"targets": torch.full((7, 3), torch.inf)}, "finite"),
        ({"targets": [1.0, 2.0]}, r"\[answer, dim\], got \[2\]"),
    ],
)
def test_wrong_data(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InterpError, match=message):
        given_to(make_task("addition:p=4"), **given)


def test_targets_belong_to_the_loss_vectors() -> None:
    with pytest.raises(InterpError, match="the loss 'cross_entropy' has none: give loss=vectors"):
        given_to(make_task("addition:p=4,loss=cross_entropy"), targets=VECTORS)


def test_a_member_has_no_split_of_its_own_beside_a_listed_one() -> None:
    with pytest.raises(InterpError, match="train_fraction does not apply where train_indices"):
        interp.train("addition:p=4", train_indices=[0, 1], members=[{"train_fraction": 0.5}], steps=1)


@pytest.mark.parametrize(
    "damage", [{"zlib": "!!"}, {"shape": [10**9]}, {"shape": [3, 1]}, {"dtype": "float32"}, {"shape": [4]}]
)
def test_damaged_stored_data(damage: dict[str, Any]) -> None:
    """A stored task comes from a file of anybody's."""
    stored = task_to_dict(given_to(make_task("addition:p=4"), train_indices=[1, 2, 3]))
    stored["given"]["train"] |= damage
    with pytest.raises(InterpError, match="train_indices"):
        task_from_dict(stored)
    with pytest.raises(InterpError, match="given data are a dict"):
        GivenData.from_dict({"trian": {}})


def test_arrays_from_files(tmp_path: Path) -> None:
    """Every kind of file gives the same indices; of several arrays the one of the usual name, or the one that is named."""
    index = torch.tensor([4, 2, 0])
    np.save(tmp_path / "a.npy", index.numpy())
    np.savez(tmp_path / "b.npz", train=index.numpy(), targets=VECTORS.numpy(), other=np.zeros(2))
    torch.save(index, tmp_path / "c.pt")
    torch.save({"train_indices": index, "test_indices": torch.tensor([1])}, tmp_path / "d.pt")
    (tmp_path / "e.json").write_text("[4, 2, 0]")
    (tmp_path / "f.txt").write_text("4 2\n0\n")
    for name in ("a.npy", "b.npz", "c.pt", "d.pt", "e.json", "f.txt", "b.npz@train"):
        assert read_array(tmp_path / name, "train_indices").tolist() == [4, 2, 0], name
    assert torch.equal(read_array(str(tmp_path / "b.npz"), "targets"), VECTORS)
    (tmp_path / "g.txt").write_text("".join(" ".join(map(str, row)) + "\n" for row in VECTORS.double().tolist()))
    assert torch.equal(read_array(tmp_path / "g.txt", "targets"), VECTORS.double())
    for name, message in (
        ("b.npz@trian", "unknown array 'trian'; did you mean 'train'"), ("none.npy", "no file at"), ("none.txt", "no file at"),
        ("e.json@x", "no file at"), ("bad.txt", "must be numbers"), ("bad.json", "not JSON"), ("two.npz", "several arrays"),
    ):  # fmt: skip
        (tmp_path / "bad.txt").write_text("a b")
        (tmp_path / "bad.json").write_text("[4, 2")
        np.savez(tmp_path / "two.npz", one=np.zeros(2), other=np.zeros(2))
        with pytest.raises(InterpError, match=message):
            read_array(tmp_path / name, "train_indices")


def test_examples_of_a_users_own() -> None:
    task: Task = interp.Examples(torch.ones(4, 2), torch.tensor([0, 1, 2, 0]), train=[0])
    assert given_to(task, train_indices=[2, 3]).train_indices.tolist() == [2, 3]
