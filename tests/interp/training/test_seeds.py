"""One meaning of a seed: from Python, on the command line, in run.json, and in the runs of an older version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import interp
from interp.training.randomness import keys, shuffles
from tests.interp.training.ensembles import ensemble
from tests.interp.training.setups import everything
from tests.interp.training.test_same_bits import press_at

PARITY = "parity:n=10,k=2,n_train=48,n_test=24,seed=7"
SEEDS = ("data", "init", "order")
RULE = {  # by what a member says: the seeds of its data, its initial weights and the order of its batches
    "nothing": ({}, (7, 0, 0)),
    "seed": ({"seed": 3}, (3, 3, 3)),
    "data": ({"seed": 3, "data_seed": 5}, (5, 3, 3)),
    "init": ({"seed": 3, "init_seed": 5}, (3, 5, 3)),
    "order": ({"seed": 3, "order_seed": 5}, (3, 3, 5)),
    "data alone": ({"data_seed": 5}, (5, 0, 0)),
    "init alone": ({"init_seed": 5}, (7, 5, 0)),
    "order alone": ({"order_seed": 5}, (7, 0, 5)),
}


@pytest.mark.parametrize("said", RULE)
def test_what_a_seed_seeds(said: str) -> None:
    """Data, initial weights and the first batch are those of the seeds that the rule names, drawn here without a run."""
    own, (data, init, order) = RULE[said]
    found = ensemble(PARITY, "mlp:hidden=6", [own], batch_size=8)
    task = interp.make_task(PARITY.replace("seed=7", f"seed={data}"))
    assert torch.equal(found.train.inputs, task.inputs[task.train_indices].double())
    drawn = interp.HookedMLP(found.plan.model).double().init_weights(init, 1.0, "torch")
    assert torch.equal(found.weights()["layers.0.W"][0], drawn.state_dict()["layers.0.W"])
    first = shuffles(keys([order], "batches", torch.device("cpu")), 48)[0, :8]
    assert torch.equal(found.blocks[0]._batch(0)[0][0], task.inputs[task.train_indices][first].double())


def test_dropout_has_the_seed_of_the_order() -> None:
    """Two members that differ in ``order_seed`` alone start alike and part, on the full batch too."""
    members = [{"seed": 1}, {"seed": 1, "order_seed": 2}, {"seed": 2, "data_seed": 1, "init_seed": 1, "order_seed": 1}]
    found = ensemble(PARITY, "mlp:hidden=6,dropout=0.5", members, batch_size=48)
    before = found.weights()["layers.0.W"]
    found.advance(3)
    after = found.weights()["layers.0.W"]
    assert torch.equal(before[0], before[1])
    assert not torch.equal(after[0], after[1])
    assert torch.equal(after[0], after[2])


def test_a_subject_has_its_members_data(tmp_path: Path) -> None:
    """A network that is loaded from a run has the data that it was trained on."""
    members = [{"seed": 3}, {"init_seed": 4}, {"seed": 1, "data_seed": 2}]
    run = interp.train(PARITY, "mlp:hidden=4", members=members, steps=2, device="cpu", out=tmp_path / "run")
    assert [subject.require_task().seed for subject in run.subjects] == [3, 7, 2]


OLD: dict[str, tuple[Any, ...]] = {  # members as format 1 stored them, and what they are now
    "seed": ([{"seed": 1}, {"seed": 7}], [{"seed": 1, "data_seed": 7}, {"seed": 7}]),
    "both": ([{"seed": 1, "data_seed": 1}, {"seed": 1, "data_seed": 2}], [{"seed": 1}, {"seed": 1, "data_seed": 2}]),
    "neither": ([{}, {"data_seed": 4, "lr": 0.01}], [{}, {"data_seed": 4, "lr": 0.01}]),
}


@pytest.mark.parametrize("case", OLD)
def test_a_run_of_the_older_format_goes_on(tmp_path: Path, case: str) -> None:
    """A run that stopped under format 1 has the members that it had, and ends at the same bits."""
    old, now = OLD[case]
    given = {"task": PARITY, "model": "mlp:hidden=6", "steps": 24, "checkpoints": "every:8", "device": "cpu"}
    interp.train(**given, members=now, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        interp.train(**given, members=now, out=tmp_path / "run", progress=press_at(9))
    file = tmp_path / "run" / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 1, "members": old}))
    assert list(interp.Run(tmp_path / "run").plan.members) == now
    interp.resume(tmp_path / "run", device="cpu")
    expected, found = everything(tmp_path / "whole"), everything(tmp_path / "run")
    assert [name for name in expected if found[name] != expected[name] and name != "run.json"] == []
    own = [subject.require_task().seed for subject in interp.Run(tmp_path / "run").subjects]
    assert own == [m.get("data_seed", 7) for m in old]


def test_the_demos_run_is_of_the_older_format() -> None:
    """A run that the first version wrote: its data are those of its seed."""
    folder = Path(interp.__file__).parent / "demo" / "run"
    assert json.loads((folder / "run.json").read_text())["members"] == [{"seed": 2, "data_seed": 2}]
    assert list(interp.Run(folder).plan.members) == [{"seed": 2}]
    assert interp.load(folder, device="cpu").require_task().seed == 2


def test_the_same_from_python_and_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``--seed 3`` is ``members=[{"seed": 3}]``: the same weights and the same measurements."""
    from typer.testing import CliRunner

    from interp.cli.train import app

    monkeypatch.chdir(tmp_path)
    options = [
        "--n",
        "10",
        "--n-train",
        "48",
        "--n-test",
        "24",
        "--model",
        "mlp:hidden=6",
        "--steps",
        "12",
        "--device",
        "cpu",
    ]
    for flags, own in (("--seed 3", {"seed": 3}), ("--seed 3 --init-seed 4", {"seed": 3, "init_seed": 4})):
        name = flags.replace(" ", "")
        ran = CliRunner().invoke(app, ["parity", *options, *flags.split(), "--out", name])
        assert ran.exit_code == 0, ran.output
        typed = interp.Run(tmp_path / name)
        run = interp.train(
            "parity:n=10,n_train=48,n_test=24", "mlp:hidden=6", steps=12, device="cpu", members=[own], out=f"py{name}"
        )
        pair = [r.subject().model.state_dict() for r in (typed, run)]
        assert all(torch.equal(pair[0][n], pair[1][n]) for n in pair[0])
        assert typed.metrics.equals(run.metrics)
