"""Directions on a grid: by angles, by hand, and by what turning the grid does."""

from __future__ import annotations

import math

import pytest
import torch

from interp import HookedMLP, HookedTransformer, InterpError, MLPConfig, TransformerConfig
from interp.tasks import GridDirections, make_task, task_from_dict, task_to_dict


def steps(task: GridDirections) -> list[tuple[int, int]]:
    """Rows down and columns right from a to b."""
    return [(b // task.side - a // task.side, b % task.side - a % task.side) for a, b in task.pairs.tolist()]


@pytest.mark.parametrize("side", [2, 3, 5])
def test_every_pair_of_two_points(side: int) -> None:
    """All ordered pairs but (a, a), row-major."""
    task = GridDirections(side)
    n = side * side
    assert task.pairs.tolist() == [[a, b] for a in range(n) for b in range(n) if a != b]
    assert len(task.train_indices) == int(0.8 * n * (n - 1))


def test_compass_directions_by_hand() -> None:
    """North-west is the first of eight, south-east the last, in the order of rows and columns."""
    task = GridDirections(3)
    assert task.directions == [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]
    label = {tuple(pair): int(answer) for pair, answer in zip(task.pairs.tolist(), task.labels, strict=True)}
    assert (label[4, 0], label[4, 1], label[4, 2], label[4, 3]) == (0, 1, 2, 3)
    assert (label[0, 2], label[2, 6], label[0, 6], label[0, 8], label[0, 5]) == (4, 5, 6, 7, 7)


@pytest.mark.parametrize("side", [2, 4, 5])
def test_angles_are_atan2(side: int) -> None:
    """Two pairs have one answer exactly where the angles between their points agree."""
    task = GridDirections(side, "angle")
    angles = [round(math.atan2(down, right), 9) for down, right in steps(task)]
    assert len(set(zip(angles, task.labels.tolist(), strict=True))) == len(set(angles)) == task.n_outputs


@pytest.mark.parametrize("answer", ["sign", "angle"])
def test_the_way_back_is_opposite(answer: str) -> None:
    """From b to a is the direction from a to b with both signs turned."""
    task = GridDirections(4, answer)
    label = {tuple(pair): task.directions[i] for pair, i in zip(task.pairs.tolist(), task.labels, strict=True)}
    assert all(label[b, a] == (-down, -right) for (a, b), (down, right) in label.items())
    assert set(task.labels.tolist()) == set(range(task.n_outputs))


def test_fit_and_no_fourier() -> None:
    """A transformer reads (a, b, =), an MLP (a, b); there are no modes."""
    task = GridDirections(3)
    assert task.fit(HookedTransformer(TransformerConfig(1, 4, 1, 4, 10, 8, 3))).inputs.shape == (72, 3)
    mlp = task.fit(HookedMLP(MLPConfig((4,), 8, d_vocab=9, d_embed=2)))
    assert torch.equal(mlp.inputs, task.pairs)
    assert "no Fourier basis" in str(task.cyclic())


def test_round_trips() -> None:
    """As text and as a dict, a task comes back equal."""
    task = make_task("grid:side=4,answer=angle,train_fraction=0.5,seed=1,split=torch")
    assert make_task(task.spec()) == task == task_from_dict(task_to_dict(task))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("grid:side=1", "at least 2"), ("grid:side=65", "limited to 64"), ("grid:side=big", "whole number"),
        ("grid:answer=angel", "did you mean 'angle'"), ("grid:answer=3", "unknown answer"),
        ("grid:train_fraction=0.0001", "no training example"), ("gird", "did you mean 'grid'"),
    ],
)  # fmt: skip
def test_bad_specs(spec: str, message: str) -> None:
    """One clear message each."""
    with pytest.raises(InterpError, match=message):
        make_task(spec)
