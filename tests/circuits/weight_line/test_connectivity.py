"""The line between two networks: the batched evaluation against the plain loop, and barriers by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import circuits
import interp
from circuits.weight_line.connectivity import LinearConnectivity
from interp import Examples, InterpError, ModularArithmetic, Subject
from interp.activations.batches import placed
from interp.errors import MissingCapability, UnknownName
from interp.hooked import HookedModel
from tests import models
from tests.circuits import networks
from tests.circuits.weight_line.networks import network, relabelled, weights

TASKS = {
    "transformer": lambda seed: models.subject("two layers", seed), "mlp": lambda seed: models.subject("deep", seed),
    "lstm": lambda seed: replace(networks.subject("lstm"), model=models.make("lstm", seed)),
    "cppn": lambda seed: replace(networks.subject("cppn"), model=interp.HookedCPPN(
        interp.CPPNConfig("2;cache:1,gaussian:2,sin:2")).double().init_weights(seed, 1.5)),
}  # fmt: skip


@torch.no_grad()
def plain(subject: Subject, end: HookedModel, alpha: float, rows: Tensor) -> tuple[float, float]:
    """One network on the line, its weights loaded into a new model."""
    task, start = subject.require_task(), subject.model
    mixed = {n: (1 - alpha) * w + alpha * weights(end)[n] for n, w in weights(start).items()}
    model = type(start)(start.config).double()
    model.load_state_dict(mixed)
    outputs = task.read(model(placed(task.inputs[rows], model)))
    labels = task.labels[rows]
    return float(task.losses(outputs, labels).mean()), float(task.correct(outputs, labels).double().mean())


@pytest.mark.parametrize("kind", TASKS)
def test_equals_the_loop(kind: str) -> None:
    """Before and after matching, on every part of the examples."""
    a, b = TASKS[kind](0), TASKS[kind](4)
    task = a.require_task()
    rows = {"train": task.train_indices, "test": task.test_indices, "all": torch.arange(len(task.labels))}
    found = circuits.linear_connectivity(a, b.model, points=5, part=["train", "test", "all"], starts=2)
    assert found.matching is not None
    ends = {False: b.model, True: found.matching.apply(b)}
    assert len(found.line) == 2 * 3 * 5
    for row in found.line.to_dict("records"):
        loss, accuracy = plain(a, ends[row["matched"]], row["alpha"], rows[row["part"]])
        assert math.isclose(row["loss"], loss, rel_tol=1e-10)
        assert row["accuracy"] == accuracy


def test_one_part_and_little_memory_change_nothing() -> None:
    a, b = TASKS["mlp"](0), TASKS["mlp"](4)
    whole = circuits.linear_connectivity(a, b, points=7, part=["train", "test"], match=False)
    small = circuits.linear_connectivity(a, b, points=7, part="test", match=False, max_bytes=1)
    own = whole.line.query("part == 'test'").reset_index(drop=True)
    assert small.line["accuracy"].tolist() == own["accuracy"].tolist()
    assert (small.line["loss"] - own["loss"]).abs().max() < 1e-12
    assert small.matching is None
    assert set(small.line["matched"]) == {False}


@pytest.mark.parametrize("kind", ["transformer", "mlp", "cppn"])
def test_a_relabelled_copy_has_no_barrier_once_matched(kind: str) -> None:
    """On the examples that the network itself has answered."""
    given = TASKS[kind](0)
    task, labels = given.require_task(), given.logits().argmax(-1)
    a = replace(given, task=Examples(task.inputs, labels, readout=task.readout, n_answers=task.width))
    found = circuits.linear_connectivity(a, relabelled(a.model)[0], points=9, starts=2)
    before, after = found.barriers.to_dict("records")
    assert not before["matched"]
    assert before["barrier"] > 0.05
    assert before["distance"] > 1
    assert after["matched"]
    assert after["barrier"] < 1e-12
    assert after["distance"] == 0


def test_barriers_by_hand() -> None:
    """Output w u x with the target x: both ends (1, 1) and (-1, -1) are right, the middle is 0; a sign joins them."""

    def net(w: float, u: float) -> HookedModel:
        made = interp.HookedMLP(
            interp.MLPConfig((1,), 1, d_in=1, act_fn="identity", bias=False, unembed_bias=False)
        ).double()
        with torch.no_grad():
            for parameter, value in zip(made.parameters(), (w, u), strict=True):
                parameter.fill_(value)
        return made

    x = torch.ones(3, 1, dtype=torch.float64)
    a = Subject("a", net(1, 1), Examples(x, x, loss="regression"))
    found = circuits.linear_connectivity(a, net(-1, -1), points=5)
    assert found.line.query("not matched")["loss"].tolist() == [0, 0.5625, 1, 0.5625, 0]
    assert found.line.query("matched")["loss"].tolist() == [0] * 5
    assert found.barriers["barrier"].tolist() == [1, 0]
    assert found.barriers["at"].tolist() == [0.5, 0]
    assert found.distances[True] == 0
    assert math.isclose(found.distances[False], math.sqrt(8))
    # from loss 0 to loss 1, rising all the way but below the straight line: (1 - (1 - t))^2 = t^2
    rising = circuits.linear_connectivity(a, net(0, 1), points=5, match=False).barriers.iloc[0]
    assert (rising["barrier"], rising["barrier_over_line"], rising["loss_b"]) == (0.5, 0, 1)
    assert math.isnan(rising["accuracy_lost"])


def test_a_picture_without_a_task_is_judged_by_the_first_networks_own() -> None:
    a, b = network("cppn"), network("cppn", 1)
    found = circuits.linear_connectivity(a, b, points=3, size=8, starts=1)
    difference = torch.as_tensor(b.draw(8).pixels) - torch.as_tensor(a.draw(8).pixels)
    ends = found.line.query("not matched")["loss"]
    assert ends.iloc[0] == 0
    assert math.isclose(ends.iloc[-1], float(difference.square().mean()), rel_tol=1e-9)
    assert "8 x 8 pixels" in found.summary["judged by"]


def test_the_result(tmp_path: Path) -> None:
    found = circuits.linear_connectivity(TASKS["mlp"](0), TASKS["mlp"](4), points=5, starts=1)
    assert isinstance(found, LinearConnectivity)
    assert len(found.table) == 2 * 2 * 5
    assert list(found.table.columns[:7]) == ["component", "site", "index", "metric", "clean", "changed", "change"]
    top = found.table.query("metric == 'loss' and component == 'as they are'")["change"].max()
    assert math.isclose(top, found.summary["barrier as they are, all"])
    assert "Loss along the line" in found._repr_html_()
    assert len(found.figure().data) == 2
    assert (found.save(tmp_path / "a.csv").stat().st_size and found.save(tmp_path / "a.json").stat().st_size) > 100


def test_a_given_matching_is_used() -> None:
    a, b = TASKS["mlp"](0), TASKS["mlp"](4)
    matching = circuits.match_weights(a, b, starts=1)
    found = circuits.linear_connectivity(a, b, points=3, match=matching)
    assert found.matching is matching
    assert len(found.barriers) == 2
    with pytest.raises(InterpError, match="another architecture"):
        circuits.linear_connectivity(TASKS["cppn"](0), TASKS["cppn"](1), match=matching)


def test_wrapped_modules_have_a_line_but_no_matching() -> None:
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    task = Examples(x, torch.tensor([0, 1, 0, 1, 1, 0]))
    a, b = (interp.wrap(nn.Sequential(nn.Linear(3, 2)), x) for _ in range(2))
    found = circuits.linear_connectivity(Subject("a", a, task), b, points=3, match=False)
    assert len(found.line) == 3
    with pytest.raises(InterpError, match="match=False"):
        circuits.linear_connectivity(Subject("a", a, task), b)


def test_where_there_is_no_line() -> None:
    a = TASKS["mlp"](0)
    for other in (network("shared sum"), network("plain")):
        with pytest.raises(InterpError, match=r"no straight line.*similarity.*stitching"):
            circuits.linear_connectivity(a, other)
    with pytest.raises(InterpError, match="act_fn tanh and relu"):
        circuits.match_weights(a, interp.HookedMLP(replace(a.model.config, act_fn="relu")))
    broken = models.make("deep", 3)
    with torch.no_grad():
        next(broken.parameters())[0, 0] = math.nan
    with pytest.raises(InterpError, match="NaN"):
        circuits.linear_connectivity(a, broken)
    norm = [interp.wrap(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).eval(), torch.ones(4, 3)) for _ in range(2)]
    next(iter(norm[0].named_buffers()))[1].add_(1)
    with pytest.raises(InterpError, match="batch norm"):
        circuits.linear_connectivity(norm[0], norm[1], match=False)


def test_wrong_arguments() -> None:
    a, b = TASKS["mlp"](0), TASKS["mlp"](4)
    with pytest.raises(UnknownName, match="train"):
        circuits.linear_connectivity(a, b, part="trian")
    with pytest.raises(InterpError, match="part"):
        circuits.linear_connectivity(a, b, part=[])
    with pytest.raises(InterpError, match="points"):
        circuits.linear_connectivity(a, b, points=2)
    with pytest.raises(InterpError, match="match"):
        circuits.linear_connectivity(a, b, match="yes")
    with pytest.raises(MissingCapability, match="task"):
        circuits.linear_connectivity(a.model, b.model)
    no_test = replace(a, task=ModularArithmetic(7, train_fraction=1.0).fit(a.model))
    with pytest.raises(InterpError, match="no test examples"):
        circuits.linear_connectivity(no_test, b, part="test")
