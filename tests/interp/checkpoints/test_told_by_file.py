"""What a file tells of its task: listed pairs, recorded losses, and a group's order of elements."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import interp
from interp.checkpoints.told_by_file import listed_split
from interp.scores import score
from interp.tasks import task_from_dict, task_to_dict
from interp.tasks.named_groups import named_table
from tests.conftest import DATA, ROOT

P = 7
BUNDLE = ROOT.parent / "shared" / "cases" / "transformerlens_demo_bundle" / "grokking_demo.pth"


def split(kind: str) -> tuple[list[int], list[int]]:
    order = {
        "torch": lambda: torch.randperm(P * P, generator=torch.Generator().manual_seed(598)).tolist(),
        "python": lambda: random.Random(3).sample(range(P * P), P * P),
        "numpy": lambda: np.random.RandomState(1).permutation(P * P).tolist(),
        "own": lambda: sorted(range(P * P), key=lambda i: (i * 37 + 11) % 101),
    }[kind]()
    return order[:15], order[15:]


def file(operation: str, kind: str = "torch", **changes: Any) -> tuple[dict[str, Any], interp.ModularArithmetic]:
    """A transformer of another task's form with its losses and pairs, as the grokking demo writes them."""
    train, test = split(kind)
    task = interp.ModularArithmetic(P, operation, split=tuple(train))
    config = interp.TransformerConfig(1, 8, 2, 4, P + 1, P, 3, d_mlp=16)
    model = interp.HookedTransformer(config).init_weights(2)
    scores = score(task, interp.Subject("x", model, task).logits())
    tree = {
        "model": {n: p.detach() for n, p in model.named_parameters()},
        "config": {"d_vocab": P + 1},
        "train_losses": [3.0, 2.0, float(scores.train.loss)],
        "test_losses": [3.0, 2.5, float(scores.test.loss)],
        "train_indices": torch.tensor(train),
        "test_indices": torch.tensor(test),
    }
    return {**tree, **changes}, task


@pytest.mark.parametrize("kind", ["torch", "own"])
@pytest.mark.parametrize("operation", ["add", "subtract", "multiply", "x^2+y^2"])
def test_shapes_and_losses_give_the_task(operation: str, kind: str, saved: Callable) -> None:
    """p from the pairs, the operation from the losses, the split as listed; it is said."""
    tree, task = file(operation, kind)
    subject = interp.load(saved(tree), device="cpu")
    assert isinstance(subject.task, interp.ModularArithmetic)
    assert (subject.task.p, subject.task.operation) == (P, operation)
    assert set(subject.task.train_indices.tolist()) == set(task.train_indices.tolist())
    assert set(subject.task.test_indices.tolist()) == set(task.test_indices.tolist())
    assert any(
        f"shapes suggest {operation} modulo {P}, and the recorded losses agree" in n for n in subject.provenance.notes
    )
    assert task_from_dict(task_to_dict(subject.task)) == subject.task


def test_where_the_losses_do_not_agree_no_task_is_taken(saved: Callable) -> None:
    """And the user learns what was looked at."""
    tree, _ = file("add", train_losses=[3.0, 1.0], test_losses=[3.0, 1.0])
    subject = interp.load(saved(tree), device="cpu")
    assert subject.task is None
    assert any("no operation gives the losses that the file records" in n for n in subject.provenance.notes)
    for lost in ("train_indices", "train_losses"):
        tree, _ = file("add")
        tree.pop(lost)
        tree.pop(lost.replace("train", "test"))
        assert interp.load(saved(tree), device="cpu").task is None


def test_a_task_that_is_given_takes_the_listed_split(saved: Callable) -> None:
    """Unless the user names one."""
    tree, task = file("add", "own")
    told = interp.load(saved(tree), task=f"modular:p={P}", device="cpu")
    assert told.task.train_indices.tolist() == task.train_indices.tolist()
    assert "the split is the one that the file lists: 15 pairs train" in told.provenance.notes
    assert interp.load(saved(tree), task=f"modular:p={P},seed=4", device="cpu").task.seed == 4
    tree["train_indices"] = tree["train_indices"] + 1000
    odd = interp.load(saved(tree), task=f"modular:p={P}", device="cpu")
    assert any("not those of this task" in note for note in odd.provenance.notes)


@pytest.mark.parametrize("kind", ["torch", "python", "numpy", "own"])
def test_a_well_known_shuffle_is_named(kind: str) -> None:
    """Its name and seed in place of thousands of indices; python's ``sample`` is none of them."""
    train, test = split(kind)
    found = listed_split({"train_indices": train, "test_indices": test})
    expected = {"torch": ("torch", 598), "numpy": ("numpy", 1)}.get(kind)
    assert (found["split"], found.get("seed")) == (expected or (tuple(train), None))


@pytest.mark.parametrize("listed", [[], [0, 0], [0.5], ["a"], torch.ones(3), [-1], {"a": 1}, None], ids=str)
def test_lists_that_are_no_split(listed: Any) -> None:
    """Are not used."""
    assert listed_split({"train_indices": listed, "test_indices": [5]}) == {}


def test_the_bundle_of_the_grokking_demo() -> None:
    """Four checkpoints and the final model, and (a + b) mod 113 with its split, from a file that says neither."""
    if not BUNDLE.is_file():
        pytest.skip("the folder of failing cases is absent")
    subject = interp.load(BUNDLE, device="cpu")
    assert subject.series.steps == [4, 9, 14, 19, 20]
    assert subject.task == interp.ModularArithmetic(113, "add", seed=598, split="torch", n_train=3830)
    assert set(subject.curves) == {"train_losses", "test_losses"}


def group_mlp(name: str, order: Tensor) -> dict[str, Tensor]:
    """An MLP that composes exactly: a hidden unit for every pair, in a given order of the elements."""
    table = torch.tensor(named_table(name).tolist())
    n = len(table)
    place = torch.argsort(order)
    own = place[table[order][:, order]]
    first = -torch.ones(2 * n, n * n)  # a unit is on where both operands are its own
    for a in range(n):
        for b in range(n):
            first[a, a * n + b] = first[n + b, a * n + b] = 1.0
    last = torch.nn.functional.one_hot(own.flatten(), n).float()
    return {"W_x": torch.eye(n), "W_y": torch.eye(n), "W": first, "W_U": last}


def test_a_group_in_another_order_is_noticed(saved: Callable) -> None:
    """The network is perfect in its own order, near chance in that of the named table; the order is recovered and said."""
    order = torch.randperm(6, generator=torch.Generator().manual_seed(1))
    path = saved(group_mlp("S_3", order))
    subject = interp.load(path, task="group:table=S_3", layout="two_embeddings:orientation=in_out", device="cpu")
    assert score(subject.task, subject.logits()).all.accuracy == 1
    assert any("in another order of the elements" in note for note in subject.provenance.notes)
    straight = saved(group_mlp("S_3", torch.arange(6)))
    same = interp.load(straight, task="group:table=S_3", layout="two_embeddings:orientation=in_out", device="cpu")
    assert same.task.source == "S_3"
    wrong = interp.load(path, task="group:table=C_6", layout="two_embeddings:orientation=in_out", device="cpu")
    assert wrong.task.source == "C_6"


@pytest.mark.real_data
@pytest.mark.parametrize(("folder", "group"), [("A5_MLP_seed1", "A_5"), ("S5_MLP_seed1", "S_5")])
def test_published_networks_in_their_authors_order(folder: str, group: str) -> None:
    """6% and 1% of the answers are correct in our order; all in theirs."""
    source: Path = DATA / "groups" / folder
    if not source.is_dir():
        pytest.skip("the published networks are absent")
    subject = interp.load(source, task=f"group:table={group},train_fraction=0.4,seed=1,split=torch", device="cpu")
    assert score(subject.task, subject.logits()).all.accuracy == 1
