"""Runs of Weights & Biases, TensorBoard, Lightning and the Trainer: curves and checkpoints become a Subject."""

from __future__ import annotations

import itertools
import json
import os
import random
import struct
from pathlib import Path

import pytest
import torch

import interp
from interp.cli import main
from tests.interp.checkpoints.logged import writers
from tests.interp.checkpoints.logged.writers import (
    event,
    event_file,
    lightning_run,
    trainer_run,
    transactions,
    wandb_run,
)

LOSSES = [(step, 2.0 / (1 + step)) for step in range(0, 30, 3)]
ROWS = [{"epoch": s // 3, "step": s, "train_loss": v, "val_acc": min(1.0, s / 20)} for s, v in LOSSES]


def lightning(folder: Path, model: torch.nn.Module | None = None) -> Path:
    return lightning_run(folder, ROWS, steps=(6, 12, 27), model=model).parents[1]


def wandb(folder: Path, model: torch.nn.Module | None = None) -> Path:
    rows = [
        {"_step": n, "train/loss": r["train_loss"], "val": {"acc": r["val_acc"]}, "trainer/global_step": r["step"]}
        for n, r in enumerate(ROWS)
    ]
    wandb_run(folder, rows, steps=(6, 12, 27), model=model, config={"p": 5, "lr": 0.1})
    return folder


def tensorboard(folder: Path, model: torch.nn.Module | None = None) -> Path:
    events = [
        event(r["step"], tag, r[name])
        for r in ROWS
        for tag, name in (("Loss/train", "train_loss"), ("Accuracy/val", "val_acc"))
    ]
    event_file(folder, events)
    for step in (6, 12, 27):
        torch.save((model or writers.network(step)).state_dict(), folder / f"step_{step}.pt")
    return folder


def trainer(folder: Path, model: torch.nn.Module | None = None) -> Path:
    history = [
        row
        for r in ROWS
        for row in ({"step": r["step"], "loss": r["train_loss"]}, {"step": r["step"], "eval_accuracy": r["val_acc"]})
    ]
    history.append({"step": 27, "train_loss": 0.5, "train_runtime": 1.0})  # the mean of the training
    return trainer_run(folder, history, steps=(6, 12, 27), model=model)


def close(points: list[tuple[int, float]], expected: list[tuple[int, float]]) -> bool:
    """The same steps, and the same values in single precision."""
    steps = [s for s, _ in points] == [s for s, _ in expected]
    return steps and [v for _, v in points] == pytest.approx([v for _, v in expected], rel=1e-6)


KINDS = {"lightning": lightning, "wandb": wandb, "tensorboard": tensorboard, "trainer": trainer}


@pytest.mark.parametrize("kind", KINDS)
def test_curves_and_series(kind: str, tmp_path: Path) -> None:
    """The same training, logged by each tool, is the same Subject."""
    subject = interp.load(KINDS[kind](tmp_path / "run"), device="cpu")
    assert close(subject.curves["train_loss"], LOSSES)
    assert close(subject.curves["test_accuracy"], [(r["step"], r["val_acc"]) for r in ROWS])
    assert subject.series is not None
    assert subject.series.steps == [6, 12, 27]
    assert subject.step == 27
    assert torch.equal(subject.series.at(12).state_dict()["layers.0.W"], writers.network(12).state_dict()["0.weight"].T)
    outcomes = interp.analyze(subject, only=["curves", "progress"], options={"progress": {"measures": "weight_norm"}})
    assert [o.status for o in outcomes.values()] == ["ok", "ok"]
    assert outcomes["curves"].metrics["last_step"] == 27
    step = 21 if kind == "tensorboard" else 18  # where 0.9 is a float32, just below
    assert f"memorised at a step that no curve tells, generalised by step {step}" in outcomes["curves"].headline
    assert outcomes["progress"].metrics["checkpoints"] == 3


@pytest.mark.parametrize("kind", KINDS)
def test_the_curves_work_where_the_network_is_unknown(kind: str, tmp_path: Path) -> None:
    """Its tensors are read, and the message says how to get the network."""
    folder = KINDS[kind](tmp_path / "run", writers.Odd())
    subject = interp.load(folder, device="cpu")
    assert "interp analyze" in subject.warnings[0]
    assert interp.analyze(subject, only=["curves"])["curves"].status == "ok"
    assert not subject.model.runs
    assert subject.series is not None
    assert subject.series.at(6).runs is False
    with pytest.raises(interp.UnknownLayout):
        interp.load(folder, task="modular:p=5")


def test_a_run_without_checkpoints_is_its_curves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """From Python and the command line, with what is missing and how to get it."""
    wandb_run(tmp_path, [{"_step": s, "loss": v} for s, v in LOSSES], name="lucky-sun-7")
    subject = interp.load(tmp_path)
    assert subject.name == "lucky-sun-7"
    assert "none: the recorded curves alone, from Weights & Biases" in repr(subject)
    assert "holds no checkpoint" in repr(subject)
    skipped = interp.analyze(subject, only=["weights"])["weights"]
    assert "only the recorded curves of this run are here" in skipped.reason
    with pytest.raises(interp.InterpError, match="step does not apply"):
        interp.load(tmp_path, step=3)
    for words, expected in (
        (["analyze", str(tmp_path), "--only", "curves", "--out", str(tmp_path / "report")], "recorded to step 27"),
        (["inspect", str(tmp_path)], "train_loss (10)"),
    ):
        monkeypatch.setattr("sys.argv", ["interp", *words])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
        assert expected in " ".join(capsys.readouterr().out.split())
    assert (tmp_path / "report" / "index.html").is_file()


def test_several_runs_are_named(tmp_path: Path) -> None:
    """Wherever they stand; nobody chooses one."""
    lightning_run(tmp_path / "one", ROWS)
    (tmp_path / "one" / "lightning_logs" / "version_1").mkdir()
    (tmp_path / "one" / "lightning_logs" / "version_1" / "hparams.yaml").write_text("{}")
    for name in ("a", "b"):
        event_file(tmp_path / "two" / "runs" / name, [event(0, "loss", 1.0)])
        transactions(tmp_path / "three" / f"run-20260101_000000-{name}" / f"run-{name}.wandb", [{"loss": 1}])
    for folder, named in (
        ("one/lightning_logs", "version_0, version_1"),
        ("two", "runs/a, runs/b"),
        ("three", "20260101_000000-a"),
    ):
        with pytest.raises(interp.InterpError, match=f"holds 2 runs: .*{named}.*name one of them"):
            interp.load(tmp_path / folder)


def test_epochs_in_names_are_not_steps(tmp_path: Path) -> None:
    """The file states the step; where it states none, the run says at which step an epoch ended."""
    subject = interp.load(lightning_run(tmp_path, ROWS, steps=(6, 12, 27), name="epoch={epoch}.ckpt"), device="cpu")
    assert subject.series is not None
    assert subject.series.steps == [6, 12, 27]
    run = wandb_run(tmp_path, [{"epoch": s // 10, "loss": 1.0, "_step": s} for s in range(30)])
    for epoch in (0, 1, 2):
        torch.save(writers.network(epoch).state_dict(), run / "files" / f"net_epoch{epoch}.pt")
    subject = interp.load(run, device="cpu")
    assert subject.series is not None
    assert subject.series.steps == [9, 19, 29]


def test_nothing_in_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings with Python's tags are plain values; a pickle that calls something is refused or left unread."""
    monkeypatch.chdir(tmp_path)
    run = lightning_run(tmp_path, ROWS, steps=(6,))

    class Runs:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, ("touch ran",)

    torch.save({"state_dict": writers.network().state_dict(), "global_step": 6, "hyper_parameters": Runs()},
               run / "checkpoints" / "epoch=2-step=6.ckpt")  # fmt: skip
    subject = interp.load(run, device="cpu")
    assert not (tmp_path / "ran").exists()
    assert interp.inspect(run).facts["config"].startswith("width: 8, lr: 0.01, shape: [1, 2]")
    assert len(subject.curves["train_loss"]) == 10


def test_links_lead_nowhere(tmp_path: Path) -> None:
    """What wandb.save leaves among the files is a link to a file elsewhere."""
    torch.save(writers.network().state_dict(), tmp_path / "elsewhere.pt")
    run = wandb_run(tmp_path / "project", [{"loss": 1, "_step": 0}, {"loss": 0.5, "_step": 1}])
    (run / "files" / "model.pt").symlink_to(tmp_path / "elsewhere.pt")
    assert "model.pt is a link, which is not followed" in repr(interp.load(run))
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "events.out.tfevents.1.host").symlink_to("/dev/zero")
    with pytest.raises(interp.UnreadableFile, match="symbolic link"):
        interp.load(tmp_path / "logs")


@pytest.mark.parametrize("kind", ["wandb", "tensorboard"])
def test_a_log_that_is_still_written_loads(kind: str, tmp_path: Path) -> None:
    """Cut anywhere, it gives the points before the cut and no error; a byte that was changed is said."""
    folder = KINDS[kind](tmp_path / "run")
    path = next(p for p in folder.rglob("*") if p.suffix == ".wandb" or "tfevents" in p.name)
    whole, chosen = path.read_bytes(), random.Random(0)
    for cut in (*chosen.sample(range(200, len(whole)), 12), len(whole) - 1):
        path.write_bytes(whole[:cut])
        points = interp.load(folder, device="cpu").curves.get("train_loss", [])
        assert close(points, LOSSES[: len(points)])
    place = len(whole) * 2 // 3
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
    subject = interp.load(folder, device="cpu")
    assert any("damaged" in note and "left out" in note for note in subject.provenance.notes)
    assert 0 < len(subject.curves["train_loss"]) < len(LOSSES)


def test_tensorboard_as_others_write_it(tmp_path: Path) -> None:
    """Scalars as tensors in train/ and validation/, as Keras does; a restart; pictures beside them; a name for each series."""
    event_file(tmp_path / "keras" / "train", [event(s, "epoch_accuracy", 90.0, as_tensor=True) for s in range(3)])
    event_file(
        tmp_path / "keras" / "validation", [event(s, "epoch_accuracy", 0.9 * s, as_tensor=True) for s in range(3)]
    )
    keras = interp.load(tmp_path / "keras")
    assert close(keras.curves["test_accuracy"], [(0, 0), (1, 0.009), (2, 0.018)])  # in percent, as the other shows
    assert any("in percent" in note for note in keras.provenance.notes)
    big = bytes(1 << 19)
    length = struct.pack("<Q", len(big))
    picture = length + writers.masked(length) + big + b"sums"  # what is not read is not checked
    event_file(tmp_path / "two", [event(s, "loss", 1.0) for s in range(10)])
    event_file(tmp_path / "two", [picture, *(event(s, "loss", 2.0) for s in range(5, 8))], 1)
    assert interp.load(tmp_path / "two").curves["train_loss"] == [(s, 1.0) for s in range(5)] + [
        (s, 2.0) for s in range(5, 8)
    ]


def test_weights_and_biases_as_others_write_it(tmp_path: Path) -> None:
    """Records over many blocks, NaN as a text, histograms, resumed runs, histories as JSON lines, summaries alone."""
    long = {"note": "x" * 70_000, "hist": {"_type": "histogram", "values": [1], "bins": [0, 1]}}
    first = [{"_step": s, "loss": "NaN" if s == 2 else s, **long} for s in range(6)]
    transactions(tmp_path / "run-20260101_000000-x" / "run-x.wandb", first)
    transactions(tmp_path / "run-20260102_000000-x" / "run-x.wandb", [{"_step": s, "loss": -s} for s in range(4, 8)])
    loss = interp.load(tmp_path).curves["train_loss"]
    assert [s for s, _ in loss] == list(range(8))
    assert loss[2][1] != loss[2][1]
    assert [v for _, v in loss[3:]] == [3, -4, -5, -6, -7]
    assert set(interp.load(tmp_path).curves) == {"train_loss"}
    old = tmp_path / "old" / "files"
    old.mkdir(parents=True)
    (old / "wandb-summary.json").write_text(json.dumps({"loss": 0.25, "_step": 99}))
    assert interp.load(old).curves == {"train_loss": [(99, 0.25)]}
    (old / "wandb-history.jsonl").write_text(
        "".join(json.dumps({"loss": 1 / (s + 1), "_step": s}) + "\n" for s in range(5)) + '{"lo'
    )
    (old / "config.yaml").write_text("wandb_version: 1\np:\n  desc: null\n  value: 5\n")
    assert len(interp.load(tmp_path / "old").curves["train_loss"]) == 5
    assert interp.inspect(old).facts["config"] == "p: 5"


def test_one_checkpoint_of_the_trainer(tmp_path: Path) -> None:
    """Named itself; and the final model, where no checkpoint was kept."""
    folder = trainer(tmp_path / "out")
    one = interp.load(folder / "checkpoint-12", device="cpu")
    assert (one.step, one.curves["train_loss"][-1][0]) == (12, 12)
    final = tmp_path / "final"
    final.mkdir()
    for name in ("model.safetensors", "trainer_state.json"):
        (final / name).write_bytes((folder / "checkpoint-27" / name).read_bytes())
    assert interp.load(final, device="cpu").step == 27


def test_yaml_that_is_too_much_is_left_out(tmp_path: Path) -> None:
    """Aliases of aliases, and lists in lists, cost nothing."""
    aliases = "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in itertools.pairwise("abcdefghij"))
    for text in (f"a: &a [x, x]\n{aliases}", "- " * 5000, "a: [", "a: " + "9" * 5000):
        run = lightning_run(tmp_path / str(len(text)), ROWS)
        (run / "hparams.yaml").write_text(text)
        subject = interp.load(run)
        assert any("settings were ignored" in note for note in subject.provenance.notes), text[:20]
        assert len(subject.curves["train_loss"]) == 10
