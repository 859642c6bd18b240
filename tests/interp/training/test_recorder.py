"""`interp.record`: a loop of the user's own writes our run folder, which loads, survives and goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import interp
from interp.training import lightning_callback, trainer_callback
from tests.conftest import ROOT

TASK = "modular:p=5,train_fraction=0.6,seed=1"


def mlp(seed: int = 0) -> interp.HookedMLP:
    return interp.HookedMLP(interp.MLPConfig(hidden=(6,), d_out=5, d_vocab=5, d_embed=3)).init_weights(seed)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def train(
    model: nn.Module, run: interp.training.Recorder, first: int, stop: int, kept: dict[int, Any] | None = None
) -> None:
    """Measure, then update, as most loops do."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    task = interp.make_task(TASK).fit(mlp())
    for step in range(first, stop):
        if kept is not None:
            kept[step] = weights(model)
        loss = nn.functional.cross_entropy(model(task.inputs), task.labels)
        run.step(step, loss=loss, val_acc=np.float32(step / 100), lr=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_a_recorded_run_loads_as_one_of_ours(tmp_path: Path) -> None:
    """Snapshots are the weights at their steps, the last update included; curves, task, settings and table are kept."""
    model, kept = mlp(), {}
    with interp.record(model, TASK, tmp_path / "run", every=10, config={"lr": 0.05}) as run:
        train(model, run, 0, 25, kept)
    subject = interp.load(tmp_path / "run", device="cpu")
    assert subject.series is not None
    assert subject.series.steps == [0, 10, 20, 25]
    assert all(same(weights(subject.series.at(s)), kept[s]) for s in (0, 10, 20))
    assert same(weights(subject.model), weights(model))
    assert str(subject.task) == str(interp.make_task(TASK).fit(model))
    assert [s for s, _ in subject.curves["train_loss"]] == list(range(25))
    assert subject.curves["lr"][3] == (3, 0.05)
    assert subject.run is not None
    assert set(subject.run.metrics) >= {"step", "loss", "val_acc", "lr"}
    outcomes = interp.analyze(
        subject, only=["curves", "progress"], options={"progress": {"measures": "weight_norm,loss"}}
    )
    assert [o.status for o in outcomes.values()] == ["ok", "ok"]
    measured = outcomes["progress"].tables["measures"].query("measure == 'loss' and where == 'all' and step == 10")
    assert measured["value"].item() == pytest.approx(dict(subject.curves["train_loss"])[10], rel=1e-5)
    with pytest.raises(interp.UnreadableFile, match=r"recorded from a loop of its own: interp\.load opens it"):
        interp.resume(tmp_path / "run")


def test_any_module_is_recorded(tmp_path: Path) -> None:
    """Tied weights, wrappers, one that no layout knows: its weights and its curves remain."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Conv1d(3, 3, 1)
            self.two = nn.Conv1d(3, 3, 1)
            self.two.weight = self.one.weight

    chain = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    given = {"tied": Tied(), "chain": nn.DataParallel(chain), "wrapped": interp.wrap(chain, torch.ones(3, 4))}
    for name, model in given.items():
        with interp.record(model, None, tmp_path / name) as run:
            for step in range(3):
                run.step(step, train_loss=1.0 / (1 + step))
        subject = interp.load(tmp_path / name, device="cpu")
        assert len(subject.curves["train_loss"]) == 3
        assert (type(subject.model) is interp.HookedMLP) is (name != "tied")
        assert subject.series is not None
        assert subject.series.steps == [0, 1, 2]


def left(folder: Path) -> None:
    """A recording that nobody ends."""
    run = interp.record(mlp(), TASK, folder, every=10).__enter__()
    train(run._model, run, 0, 36)
    run._held.pop_all()  # as a kill leaves it: without what the end of the block does


def killed(folder: Path) -> None:
    program = f"""
        import os, interp
        from tests.interp.training.test_recorder import mlp, train
        model = mlp()
        with interp.record(model, {TASK!r}, {str(folder)!r}, every=10) as run:
            train(model, run, 0, 36)
            os._exit(9)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=ROOT, timeout=120, check=False)
    assert done.returncode == 9


@pytest.mark.parametrize("end", [left, pytest.param(killed, marks=pytest.mark.slow)])
def test_what_is_written_survives_a_kill(end: Callable[[Path], None], tmp_path: Path) -> None:
    """Killed without a word, the run loads; torn last lines do not matter; the same loop goes on and replaces the rest."""
    end(tmp_path / "run")
    subject = interp.load(tmp_path / "run", device="cpu")
    assert subject.series is not None
    assert subject.series.steps == [0, 10, 20, 30]
    assert [s for s, _ in subject.curves["train_loss"]] == list(range(31))  # the last snapshot wrote what waited
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 31, "los')
    model = mlp()
    model.load_state_dict(interp.load(tmp_path / "run", step=20, device="cpu").model.state_dict())
    with interp.record(model, TASK, tmp_path / "run", every=10, resume=True) as run:
        train(model, run, 20, 41)
    straight = mlp()
    with interp.record(straight, TASK, tmp_path / "straight", every=10) as run:
        train(straight, run, 0, 41)
    for name in ("checkpoints/step_00000040.safetensors", "metrics.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()


def test_nothing_waits_for_the_device(tmp_path: Path) -> None:
    """On torch's meta device, whose tensors have no numbers to wait for, steps are recorded all the same."""
    with interp.record(nn.Linear(2, 1), None, tmp_path / "run", every=1000) as run:
        run.step(0)
        loss = torch.ones((), device="meta")
        with pytest.raises(RuntimeError):
            loss.item()
        for step in range(1, 100):
            run.step(step, train_loss=loss, test_loss=loss * 2)
        assert len(run._rows) == 99
        run._rows.clear()  # they could not be written


def test_a_value_is_that_of_its_step(tmp_path: Path) -> None:
    """A running sum that the loop changes in place afterwards was copied."""
    total = torch.zeros(())
    with interp.record(nn.Linear(1, 1), None, tmp_path / "run") as run:
        for step in range(4):
            run.step(step, train_loss=total, diverged=float("nan"))
            run.step(step, test_loss=2 * total)
            total += 1
    subject = interp.load(tmp_path / "run")
    assert subject.curves == {"train_loss": [(s, s) for s in range(4)], "test_loss": [(s, 2 * s) for s in range(4)]}


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    """In one sentence, before anything is lost."""
    model = mlp()
    out = tmp_path / "run"
    with interp.record(model, TASK, out, checkpoints="0,5") as run:
        for step in range(6):
            run.step(step)
        for wrong, values in (
            (3, {}),
            (-1, {}),
            (True, {}),
            (7, {"loss": torch.ones(2)}),
            (7, {"loss": "x" * 999}),
            (7, {"step": 1}),
        ):
            with pytest.raises((interp.InterpError, TypeError)):
                run.step(wrong, **values)
    refused: dict[str, Any] = {
        "holds a run already": {"out": out},
        "another network": {
            "out": out,
            "model": interp.HookedMLP(interp.MLPConfig(hidden=(7,), d_out=5, d_vocab=5, d_embed=3)),
            "resume": True,
        },
        "holds no run to resume": {"out": tmp_path / "new", "resume": True},
        "needs the number of steps": {"out": tmp_path / "new", "checkpoints": "log:5"},
        "give one of them": {"out": tmp_path / "new", "checkpoints": "0", "every": 2},
        "needs the module that trains": {"out": tmp_path / "new", "model": "mlp"},
        "needs the folder": {},
    }
    for text, given in refused.items():
        with pytest.raises(interp.InterpError, match=text), interp.record(given.pop("model", model), TASK, **given):
            pass
    with (
        pytest.raises(interp.InterpError, match="would replace all of it"),
        interp.record(model, TASK, out, resume=True) as run,
    ):
        run.step(0)
    with pytest.raises(interp.InterpError, match="belongs inside the block"):
        run.step(9)
    assert interp.load(out).series.steps == [0, 5]  # pyright: ignore[reportOptionalMemberAccess]


def fake_lightning(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one class that the callback takes from Lightning."""
    module = types.ModuleType("lightning.pytorch")
    module.Callback = type("Callback", (), {})  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "lightning", types.ModuleType("lightning"))
    monkeypatch.setitem(sys.modules, "lightning.pytorch", module)


def test_the_callback_of_lightning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Called as Lightning's loop calls it: each value once, at the step at which it was logged."""
    fake_lightning(monkeypatch)
    holder = nn.Module()
    holder.net = mlp()
    vars(holder)["hparams"] = {"lr": 0.1}
    callback = lightning_callback(TASK, tmp_path / "run", network="net", every=2)
    trainer = types.SimpleNamespace(global_step=0, callback_metrics={}, sanity_checking=False)
    callback.on_fit_start(trainer, holder)
    for step in range(1, 7):
        trainer.global_step = step
        trainer.callback_metrics |= {"train/loss": torch.tensor(1.0 / step)}
        callback.on_train_batch_end(trainer, holder, {"loss": torch.tensor(9.0)}, None, step)
        if step % 3 == 0:
            trainer.callback_metrics |= {"val/acc": torch.tensor(step / 6)}
            callback.on_validation_end(trainer, holder)
    callback.on_fit_end(trainer, holder)
    subject = interp.load(tmp_path / "run", device="cpu")
    assert subject.curves["test_accuracy"] == [(3, 0.5), (6, 1.0)]
    assert [s for s, _ in subject.curves["train_loss"]] == [1, 2, 3, 4, 5, 6]
    assert subject.series is not None
    assert subject.series.steps == [0, 2, 4, 6]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["config"] == {"lr": 0.1}
    with pytest.raises(interp.InterpError, match="not part of the Module; its parts are: net"):
        lightning_callback(TASK, tmp_path / "other", network="nat").on_fit_start(trainer, holder)


@pytest.mark.slow
def test_the_trainer_of_hugging_face_records(tmp_path: Path) -> None:
    """The real one, with its own checkpoints beside: both folders hold the same curves and weights."""
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))

        def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"loss": nn.functional.cross_entropy(self.net(x), labels)}

    rows = [{"x": torch.randn(3), "labels": torch.tensor(i % 2)} for i in range(8)]
    arguments = transformers.TrainingArguments(
        str(tmp_path / "hf"), max_steps=6, logging_steps=2, save_steps=3, report_to=[], use_cpu=True, disable_tqdm=True
    )
    callback = trainer_callback(None, tmp_path / "ours", every=3)
    transformers.Trainer(Net(), arguments, train_dataset=rows, callbacks=[callback]).train()
    ours, theirs = (interp.load(tmp_path / name, device="cpu") for name in ("ours", "hf"))
    assert ours.curves["train_loss"] == theirs.curves["train_loss"]
    assert ours.series is not None
    assert theirs.series is not None
    assert (ours.series.steps, theirs.series.steps) == ([0, 3, 6], [3, 6])
    assert same(weights(ours.model), weights(theirs.model))
