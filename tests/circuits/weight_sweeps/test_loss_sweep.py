"""Loss and accuracy along directions: the batched experiment against the plain loop."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import circuits
from circuits.weight_sweeps.directions import Direction
from interp import InterpError, MLPConfig, ModularArithmetic, SparseParity, Subject
from interp.activations.batches import placed
from interp.errors import UnknownName
from interp.hooked import HookedModel, build
from tests import models

MODELS = ("plain", "two layers", "shared concat", "per operand", "product")


def directions(model: HookedModel) -> list[Direction]:
    spans = [d for span in ("column", "layer", "network") for d in circuits.random_directions(model, 3, 1, span)]
    return [*circuits.single_entries(model, n=6), *spans]


@torch.no_grad()
def plain(subject: Subject, direction: Direction, step: float, rows: torch.Tensor) -> tuple[float, float]:
    """One network, its weights edited in place and put back."""
    model, task = subject.model, subject.require_task()
    before = {n: p.clone() for n, p in model.named_parameters()}
    for name, change in direction.changes(before).items():
        model.get_parameter(name).add_(step * change)
    outputs = task.read(model(placed(task.inputs[rows], model)))
    for name, value in before.items():
        model.get_parameter(name).copy_(value)
    labels = task.labels[rows]
    return float(task.losses(outputs, labels).mean()), float(task.correct(outputs, labels).double().mean())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("part", ["train", "test", "all"])
def test_equals_the_loop(name: str, part: str) -> None:
    subject = models.subject(name)
    task = subject.require_task()
    rows = {"train": task.train_indices, "test": task.test_indices, "all": torch.arange(len(task.labels))}[part]
    drawn, steps = directions(subject.model), (-1.0, 0.5)
    found = circuits.loss_sweep(subject, drawn, steps, part)
    assert len(found) == len(drawn) * 2
    for row in found.itertuples():
        loss, accuracy = plain(subject, drawn[row.direction], row.step, rows)
        assert math.isclose(row.loss, loss, rel_tol=1e-10)
        assert row.accuracy == accuracy


def test_changes_are_counted_from_the_unchanged_network() -> None:
    subject = models.subject("plain")
    found = circuits.loss_sweep(subject, circuits.random_directions(subject.model, 2), (0.0, 1.0))
    still, moved = found.query("step == 0"), found.query("step == 1")
    assert still["loss_change"].abs().max() == 0
    assert still["accuracy_change"].abs().max() == 0
    assert moved["loss_change"].abs().min() > 0


def test_steps_of_each_direction() -> None:
    subject = models.subject("shared sum")
    drawn = circuits.random_directions(subject.model, 2)
    own = circuits.loss_sweep(subject, drawn, torch.tensor([[0.5], [-2.0]]))
    assert own["step"].tolist() == [0.5, -2.0]
    assert own["loss"][0] == circuits.loss_sweep(subject, drawn, (0.5,))["loss"][0]


def test_few_networks_and_examples_at_a_time_give_the_same() -> None:
    subject = models.subject("plain")
    drawn = directions(subject.model)
    whole = circuits.loss_sweep(subject, drawn)
    for max_bytes in (1, 20_000):
        few = circuits.loss_sweep(subject, drawn, max_bytes=max_bytes)
        assert few["loss"].sub(whole["loss"]).abs().max() < 1e-12
        assert few["accuracy"].equals(whole["accuracy"])


def test_vectors_in() -> None:
    """A network of vectors, whose task has a hinge loss."""
    model = build(MLPConfig((6,), 1, d_in=8)).double().init_weights(0)
    subject = Subject("parity", model, SparseParity(n=8, k=2, n_train=20, n_test=10).fit(model))
    drawn = circuits.single_entries(model, n=4)
    found = circuits.loss_sweep(subject, drawn, (1.0,), "test")
    loss, accuracy = plain(subject, drawn[2], 1.0, subject.require_task().test_indices)
    assert math.isclose(found["loss"][2], loss, rel_tol=1e-12)
    assert found["accuracy"][2] == accuracy


def test_the_protocol(tmp_path: Path) -> None:
    """A tidy table of loss and accuracy, a line for each direction, a file; progress counts all directions."""
    subject, seen = models.subject("plain"), []
    drawn = circuits.random_directions(subject, 3)
    found = circuits.loss_sweep(subject, drawn, progress=lambda *x: seen.append(x))
    assert seen[-1] == (3, 3)
    tidy = found.table
    assert tidy["metric"].tolist() == ["loss"] * 6 + ["accuracy"] * 6
    assert (tidy["changed"] - tidy["clean"]).tolist() == tidy["change"].tolist()
    assert tidy["changed"][:6].tolist() == found["loss"].tolist()
    assert len(found.figure().data) == 3
    assert found.save(tmp_path / "sweep.json").stat().st_size > 100


def test_refusals() -> None:
    subject = models.subject("plain")
    with pytest.raises(InterpError, match="at least one direction"):
        circuits.loss_sweep(subject, [])
    drawn = circuits.random_directions(subject, 1)
    with pytest.raises(UnknownName, match="did you mean 'train'"):
        circuits.loss_sweep(subject, drawn, part="trian")  # type: ignore[arg-type]
    with pytest.raises(InterpError, match=r"steps are \[step\] or \[direction, step\]"):
        circuits.loss_sweep(subject, drawn, torch.zeros(2, 3))
    everything = replace(subject, task=ModularArithmetic(models.P, "add", 1.0).fit(subject.model))
    with pytest.raises(InterpError, match="no test examples; choose part='train' or 'all'"):
        circuits.loss_sweep(everything, drawn, part="test")
    with pytest.raises(InterpError, match="needs a task"):
        circuits.loss_sweep(Subject("x", subject.model), circuits.random_directions(subject.model, 1))
