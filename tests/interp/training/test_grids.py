"""Members of unequal shapes in one run: each is the network that a run of its own would make, to the bit."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import interp
from interp._util.parallel import Workers
from interp.errors import InterpError, UnknownName
from interp.history.progress import progress
from interp.training.loop import Progress
from tests.interp.training.ensembles import files, same_bits, weights_of
from tests.interp.training.test_same_bits import press_at

TASK, MODEL = "modular:p=5,train_fraction=0.6", "mlp:hidden=6x6,d_embed=3"
COMMON: dict[str, Any] = {
    "optimizer": "adamw",
    "lr": 0.01,
    "weight_decay": 0.1,
    "betas": (0.9, 0.98),
    "batch_size": 8,
    "init": "torch",
    "steps": 12,
}
COMMON |= {"metrics": "every:4", "checkpoints": "every:6", "device": "cpu"}
ALONE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # a member's own settings, and the run of its own
    "nothing": ({}, {}),
    "batch size": ({"batch_size": 4}, {"batch_size": 4}),
    "full batch": ({"batch_size": "full"}, {"batch_size": "full"}),
    "dropout": ({"dropout": 0.3}, {"model": f"{MODEL},dropout=0.3"}),
    "hidden": ({"hidden": (5, 4)}, {"model": "mlp:hidden=5x4,d_embed=3"}),
    "width": ({"width": 9}, {"model": "mlp:hidden=9x9,d_embed=3"}),
    "depth": ({"depth": 3}, {"model": "mlp:hidden=6x6x6,d_embed=3"}),
    "optimizer": ({"optimizer": "sgd", "momentum": 0.9}, {"optimizer": "sgd", "momentum": 0.9, "betas": None}),
    "betas": ({"betas": (0.8, 0.9)}, {"betas": (0.8, 0.9)}),
    "loss": ({"loss": "mse"}, {"task": f"{TASK},loss=mse"}),
    "p": ({"p": 7}, {"task": "modular:p=7,train_fraction=0.6"}),
    "train size": ({"train_fraction": 0.8}, {"task": "modular:p=5,train_fraction=0.8"}),
    "kind": ({"model": "rnn:d_embed=4,d_hidden=5"}, {"model": "rnn:d_embed=4,d_hidden=5"}),
    "start": ({"init": "normal", "warmup": 5, "lr": 0.02}, {"init": "normal", "warmup": 5, "lr": 0.02}),
    "retires": ({"retire": 0.01, "batch_size": 3}, {"retire": 0.01, "batch_size": 3}),
    "late decay": (
        {"late_weight_decay": 3.0, "late_at": 6, "weight_decay": 0.1},
        {"late_weight_decay": 3.0, "late_at": 6, "weight_decay": 0.1},
    ),
}


def train(out: Path, members: list[dict[str, Any]], **own: Any) -> interp.Run:
    given = {"task": TASK, "model": MODEL, **COMMON, **own}
    return interp.train(**given, members=members, out=out)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> interp.Run:
    """A run with a member of every kind."""
    return train(tmp_path_factory.mktemp("mixed") / "run", [own for own, _ in ALONE.values()])


def rows(run: Path, member: int) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{**row, "member": 0} for row in found if row["member"] == member]


@pytest.mark.parametrize("name", ALONE)
def test_a_member_is_the_network_of_a_run_of_its_own(mixed: interp.Run, tmp_path: Path, name: str) -> None:
    """Config, task, weights at every checkpoint and rows of the metrics, to the bit."""
    member = list(ALONE).index(name)
    single = train(tmp_path / "run", [{}], **ALONE[name][1])
    ours, theirs = mixed.subject(member), single.subject()
    assert theirs.series is not None
    assert ours.model.config == theirs.model.config
    assert ours.require_task().spec() == theirs.require_task().spec()
    for step in theirs.series.steps:
        assert same_bits(weights_of(mixed, member, step), weights_of(single, 0, step))
    assert rows(mixed.path, member) == rows(single.path, 0)


def test_what_a_mixed_run_shows(mixed: interp.Run) -> None:
    """A column for each setting that varies; curves, histories and comparisons by member."""
    assert mixed.members["width"].dropna().to_dict() == {5: 9}
    assert set(mixed.metrics["betas"].dropna()) == {(0.8, 0.9)}
    assert len(mixed.phases()) == len(ALONE)
    widths = {m: interp.load(mixed.path, member=m).model.config.to_dict().get("hidden") for m in (0, 4, 12)}
    assert widths == {0: (6, 6), 4: (5, 4), 12: None}
    assert mixed.series(10).at(6).config.to_dict()["d_vocab"] == 7
    table = progress(mixed, measures=["weight_norm"], members=[4, 12])
    assert sorted(table["member"].unique()) == [4, 12]
    only = interp.load(mixed.path / "checkpoints" / "step_00000012.safetensors", member=10)
    assert only.require_task().spec().startswith("modular:p=7")


@pytest.mark.parametrize("stop_at", [1, 7])
def test_resumed_is_uninterrupted(mixed: interp.Run, tmp_path: Path, stop_at: int) -> None:
    """Ctrl-C in a mixed run, and going on: not a byte differs."""
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", [own for own, _ in ALONE.values()], progress=press_at(stop_at))
    assert interp.resume(tmp_path / "run", device="cpu").finished
    assert files(tmp_path / "run") == files(mixed.path)


def test_more_steps(tmp_path: Path) -> None:
    """A finished mixed run goes on to more steps as the longer one."""
    members = [{"width": w, "batch_size": b} for w in (4, 6) for b in (4, 8)]
    train(tmp_path / "short", members)
    long = train(tmp_path / "long", members, steps=20)
    assert files(interp.resume(tmp_path / "short", steps=20, device="cpu").path) == files(long.path)


def test_shards(mixed: interp.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards cut across cohorts; merged they are the run that one process makes, and go on as it does."""
    here = Workers(lambda: ThreadPoolExecutor(1), 2)
    monkeypatch.setattr("interp.training.launch.parse_executor", lambda spec: here)
    sharded = train(tmp_path / "run", [own for own, _ in ALONE.values()], executor="process:2")
    assert files(sharded.path) == files(mixed.path)
    whole = train(tmp_path / "whole", [own for own, _ in ALONE.values()], steps=18)
    assert files(interp.resume(sharded.path, steps=18, device="cpu").path) == files(whole.path)


def test_uniform_runs_keep_their_names(tmp_path: Path) -> None:
    """Members that share a setting of their own are one block, with the tensors of a plain run."""
    one = train(tmp_path / "one", [{"width": 4, "seed": s} for s in range(3)])
    other = train(tmp_path / "other", interp.grid({"seed": [0, 1, 2]}), model="mlp:hidden=4x4,d_embed=3")
    assert files(one.path) == files(other.path)


def test_epochs_are_those_of_the_member_that_needs_most(tmp_path: Path) -> None:
    """15 train pairs in batches of 4 or 8 are 4 or 2 steps an epoch: all members make 4, and are measured at each."""
    members = [{"batch_size": 8}, {"batch_size": 4}]
    run = train(tmp_path / "run", members, epochs=3, steps=None, metrics="epoch")
    assert (run.plan.steps, sorted(set(run.metrics["step"]))) == (12, [0, 4, 8, 12])


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "batch size": ({"batch_size": 0}, r"member 1 \{'batch_size': 0\}: batch_size must be at least 1"),
    "text": ({"warmup": "long"}, r"member 1 .*warmup must be a whole number"),
    "flag": ({"normalise": "yes"}, r"member 1 .*normalise must be true or false"),
    "dropout": ({"dropout": 2}, r"member 1 .*dropout"),
    "depth": ({"depth": 1.5}, r"member 1 .*depth must be a whole number"),
    "both": ({"width": 4, "hidden": 5}, r"member 1 .*give these, or hidden"),
    "widths": ({"hidden": "wide"}, r"member 1 .*cannot read the widths"),
    "optimizer": ({"optimizer": "adagrad"}, r"member 1 .*unknown optimizer"),
    "kind": ({"model": "transformr"}, r"unknown kind of model|transformr"),
    "task": ({"p": 1}, r"member 1 \{'p': 1\}: modular: p must be"),
    "loss": ({"loss": "hinge"}, r"member 1 .*unknown loss"),
    "fit": ({"model": "mlp:d_out=3"}, r"member 1 .*does not fit the model"),
    "rate": ({"lr": -1}, r"member 1: lr must be"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_members(tmp_path: Path, name: str) -> None:
    """A member that cannot be built: its number and settings, before anything is written."""
    own, message = WRONG[name]
    with pytest.raises(InterpError, match=message):
        train(tmp_path / "run", [{}, own])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["steps", "metrics", "dtype", "members", "name", "d_modl", "hiden"])
def test_what_members_share(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnknownName, match=name):
        train(tmp_path / "run", [{}, {name: 3}])


def test_progress_counts_all(tmp_path: Path) -> None:
    """Members of all blocks, those that have retired too."""
    seen: list[Progress] = []
    train(tmp_path / "run", [{"width": 4}, {"retire": 0.0}], progress=seen.append)
    assert (seen[-1].members, seen[-1].retired) == (2, 1)
