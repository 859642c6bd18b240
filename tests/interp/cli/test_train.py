"""``interp train``: help, grids, what it prints, and everything that it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import interp
from interp.tasks import TASKS
from interp.training import memory
from tests.interp.cli.conftest import FRUGAL, WIDE
from tests.interp.cli.console import Refused, Run, snapshot

SMALL = ("--model", "mlp:hidden=6", "--steps", 10, "--device", "cpu")
ADDITION = ("addition", "--p", 4, *SMALL)
PARITY = ("parity", "--n", 8, "--n-train", 20, "--n-test", 10, *SMALL)


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def without_note(err: str) -> str:
    """What was said, without that these tiny splits allow no accuracy."""
    return "".join(line for line in err.splitlines() if "no train example has the answers" not in line)


def made(run: Run, *argv: object) -> list[dict[str, Any]]:
    """The members of the run that a command trains."""
    ran = run("train", *argv, "--out", "made")
    assert (ran.code, without_note(ran.err)) == (0, "")
    return json.loads(Path("made/run.json").read_text())["members"]


def plan(folder: str = "made") -> dict[str, Any]:
    return json.loads((Path(folder) / "run.json").read_text())


@pytest.mark.parametrize("task", TASKS)
def test_help_of_every_task(run: Run, task: str) -> None:
    """The help of a task shows each of its fields with what it means, its recipe's source, and an example."""
    ran = run("train", task, "--help")
    assert (ran.code, ran.err) == (0, "")
    for name in TASKS[task].option_names():
        assert f"--{name.replace('_', '-')} " in ran.out, name
        if name != "seed":  # which means more than in the task alone
            assert TASKS[task].HELP[name].split("(")[0].strip() in ran.out, name
    assert f"Example: interp train {task}" in ran.out
    assert "By default" in ran.out


def test_nothing_to_do(run: Run, work: Path) -> None:
    """Without a task and a run to resume, the help is shown."""
    ran = run("train")
    assert ran.code == 2
    assert "--resume" in ran.out + ran.err


def test_defaults_and_folders_in_the_help(run: Run) -> None:
    """A default is the value alone, as typed; what belongs to --resume begins in small letters; --out says what it is."""

    def said(*argv: str) -> str:
        return " ".join(run(*argv, "--help").out.replace("\u2502", " ").split())

    train, refine = said("train", "modular"), said("refine", "addition")
    assert "[default: python]" in train
    assert "[default: the seed]" in train
    assert "[default: (" not in train + refine + said("analyze")
    assert "With --resume: accuracy to be reached" in said("train")
    assert "Folder of the diagram: a run for every round" in refine


def test_help_lists_the_tasks(run: Run) -> None:
    """The root's help names every task, resumption and the grammar of grids."""
    ran = run("train", "--help")
    assert (ran.code, ran.err) == (0, "")
    assert all(words in ran.out for words in (*TASKS, "--resume", "low:high:count"))


def test_a_short_run(run: Run, work: Path) -> None:
    """It prints a row per member, what members differ in, the folder, and how to get a report; and the report works."""
    ran = run("train", *ADDITION, "--seeds", 2, "--lr", "0.001,0.01", "--out", "runs/toy")
    assert (ran.code, without_note(ran.err)) == (0, "")
    head, *rows = [line.split() for line in ran.out.splitlines()]
    assert head[:2] == ["member", "step"]
    assert {"lr", "seed"} <= set(head)
    assert [(r[0], r[1], r[-2], r[-1]) for r in rows[:4]] == [
        ("0", "10", "0.001", "0"), ("1", "10", "0.001", "1"), ("2", "10", "0.01", "0"), ("3", "10", "0.01", "1"),
    ]  # fmt: skip
    assert "Run: runs/toy Report: interp analyze runs/toy" in " ".join(ran.out.split())
    assert run("analyze", "runs/toy", "--out", "report", "--only", "performance,curves").code == 0
    assert (work / "report" / "index.html").is_file()


@pytest.mark.parametrize(
    ("argv", "members"),
    [
        ((), [{}]),
        (("--seed", 7), [{"seed": 7}]),
        (("--seed", "3,5"), [{"seed": 3}, {"seed": 5}]),
        (("--seeds", 3), [{"seed": 0}, {"seed": 1}, {"seed": 2}]),
        (("--seeds", 2, "--data-seed", 9), [{"seed": 0, "data_seed": 9}, {"seed": 1, "data_seed": 9}]),
        (("--init-seed", "0:4:3"), [{"init_seed": 0}, {"init_seed": 2}, {"init_seed": 4}]),
        (("--seed", 1, "--order-seed", "5,6"), [{"seed": 1, "order_seed": 5}, {"seed": 1, "order_seed": 6}]),
        (("--lr", "0:0.1:3"), [{"lr": v} for v in (0.0, 0.05, 0.1)]),
        (("--lr", "0.001:0.1:3:log"), [{"lr": v} for v in (0.001, 0.01, 0.1)]),
        (("--grid", "embedding-lr=0.1,0.2"), [{"embedding_lr": v} for v in (0.1, 0.2)]),
        (
            ("--grid", "lr=0.1,0.2", "--grid", "weight_decay=0:1:2", "--seeds", 2),
            [{"lr": a, "weight_decay": b, "seed": s} for a in (0.1, 0.2) for b in (0.0, 1.0) for s in (0, 1)],
        ),
        (("--batch-size", "4:8:2"), [{"batch_size": v} for v in (4, 8)]),
        (
            ("--optimizer", "adam,sgd", "--grid", "width=4:16:3:log", "--p", "4,5"),
            [{"p": p, "optimizer": o, "width": w} for p in (4, 5) for o in ("adam", "sgd") for w in (4, 8, 16)],
        ),
        (
            ("--grid", "betas=0.9/0.98,0.9/0.99", "--grid", "hidden=4,4x5", "--grid", "bias=true"),
            [{"betas": [0.9, b], "hidden": h, "bias": True} for b in (0.98, 0.99) for h in (4, "4x5")],
        ),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_grids(run: Run, work: Path, argv: tuple[object, ...], members: list[dict[str, Any]]) -> None:
    """Lists, ranges, seeds and --grid make all combinations, the last varying fastest."""
    assert made(run, *ADDITION, *argv) == members


def test_options_of_the_task_in_a_grid(run: Run, work: Path) -> None:
    """An option with several values is the members' own; with one, the run's. So is a setting."""
    members = made(run, *PARITY, "--label-noise", "0.05,0.1", "--k", 3, "--lr", 0.5, "--batch-size", 10)
    assert members == [{"label_noise": 0.05}, {"label_noise": 0.1}]
    stored = plan()
    assert (stored["task"]["k"], stored["task"]["n"], stored["optimizer"]["lr"]) == (3, 8, 0.5)
    assert (stored["batch_size"], stored["steps"], stored["model"]["hidden"]) == (10, 10, [6])


def test_settings_arrive(run: Run, work: Path) -> None:
    """Settings that are typed are the plan's: betas, schedules, late decay, dtype, name."""
    made(
        run, *ADDITION, "--betas", "0.8,0.9", "--metrics", "0,3", "--checkpoints", "every:5", "--late-weight-decay", 0.5,
        "--late-at", 4, "--dtype", "float64", "--name", "mine", "--warmup", 3, "--normalise", "--init", "normal",
    )  # fmt: skip
    stored = plan()
    assert stored["optimizer"]["betas"] == [0.8, 0.9]
    names = ("metrics", "checkpoints", "late_weight_decay", "late_at", "dtype", "name", "warmup", "normalise", "init")
    assert [stored[n] for n in names] == ["0,3", "every:5", 0.5, 4, "float64", "mine", 3, True, "normal"]
    steps = [json.loads(line)["step"] for line in Path("made/metrics.jsonl").read_text().splitlines()]
    assert steps == [0, 3, 10]
    assert sorted(p.name for p in Path("made/checkpoints").iterdir()) == [
        f"step_{s:08d}.safetensors" for s in (0, 5, 10)
    ]


def test_what_varies_arrives(run: Run, work: Path) -> None:
    """Filters, penalties, frozen parameters and schedules as typed; strengths may differ between members."""
    members = made(
        run, *ADDITION, "--loss", "stablemax", "--grokfast", "0.9,2", "--perp-grad", "--frozen", "embedding,layers.0.b",
        "--fixed-norm", "parameter", "--entropy-penalty", "1e-4,2e-4", "--sparsity-penalty", 0.1, "--sparsity-tau", 0.02,
        "--sparsity-width", 0.3, "--complexity-penalty", 0.2, "--complexity-share", 0.2, "--complexity-scope", "network",
        "--label-smoothing", "0,0.1", "--softmax-dtype", "float32", "--lr-schedule", "cosine:0.1",
    )  # fmt: skip
    assert [(m["entropy_penalty"], m["label_smoothing"]) for m in members] == [
        (1e-4, 0),
        (1e-4, 0.1),
        (2e-4, 0),
        (2e-4, 0.1),
    ]
    stored = plan()
    assert (stored["optimizer"]["grokfast"], stored["optimizer"]["perp_grad"]) == ([0.9, 2], True)
    assert (stored["frozen"], stored["fixed_norm"]) == (["embedding", "layers.0.b"], "parameter")
    numbers = ("sparsity_penalty", "sparsity_tau", "sparsity_width", "complexity_penalty", "complexity_share")
    assert [stored[n] for n in numbers] == [0.1, 0.02, 0.3, 0.2, 0.2]
    texts = [stored[n] for n in ("complexity_scope", "softmax_dtype", "lr_schedule")]
    assert texts == ["network", "float32", "cosine:0.1"]
    assert stored["task"]["loss"] == "stablemax"


def test_given_weights_split_and_mask(run: Run, work: Path) -> None:
    """From files; the run goes on without them, and says what it was given."""
    before = interp.train(
        "addition:p=4", "mlp:hidden=6", steps=2, members=2, checkpoints="0,2", device="cpu", out=work / "before"
    )
    Path("train.txt").write_text("3 1 2\n")
    Path("targets.json").write_text(json.dumps(torch.ones(7, 30).tolist()))
    mask = {"layers.0.W": torch.tensor([[0.0, 1, 1, 1, 1, 1]])}
    torch.save(mask, "mask.pt")
    files = ("--train-indices", "train.txt", "--targets", "targets.json", "--mask", "mask.pt")
    ran = run("train", *ADDITION, "--init", "before@step=0,member=1", *files, "--checkpoints", "0,10", "--out", "made")
    assert ran.code == 0
    assert "the most that the split allows: 2 of 7" in ran.err.lower()
    assert "Given init: before@step=0,member=1 at step 0" in ran.out
    assert "Given data: train_indices [3], targets [7, 30]" in ran.out
    for name in ("train.txt", "targets.json", "mask.pt"):
        Path(name).unlink()
    assert run("train", "--resume", "made", "--steps", 12).code == 0
    made = interp.Run("made")
    assert made.plan.task.train_indices.tolist() == [3, 1, 2]
    first, last = (dict(made.subject(step=step).model.named_parameters()) for step in (0, 12))
    kept = dict(before.subject(1, step=0).model.named_parameters())
    assert torch.equal(first["layers.0.W"][0, 1:], kept["layers.0.W"][0, 1:])
    assert last["layers.0.W"][0, 0] == 0 != last["layers.0.W"][0, 1]


def test_resume_to_more_steps(run: Run, work: Path) -> None:
    """--resume with more --steps trains on; without anything to do it prints the table again."""
    assert run("train", *ADDITION, "--out", "toy").code == 0
    ran = run("train", "--resume", "toy", "--steps", 25)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[1].split()[:2] == ["0", "25"]
    before = snapshot(work / "toy")
    assert run("train", "--resume", "toy").code == 0
    assert snapshot(work / "toy") == before


def no_labels(folder: Path) -> None:
    (folder / "reviews.csv").write_text("review\nvery good\nrather bad\n")


REFUSED: dict[str, tuple[tuple[object, ...], tuple[str, ...]]] = {
    "unknown task": (("adition", "--out", "new"), ("unknown task 'adition'", "'addition'")),
    "unknown option": ((*ADDITION, "--weight-decy", 1), ("--weight-decy", "--weight-decay")),
    "unknown optimizer": ((*ADDITION, "--optimizer", "adamx"), ("unknown optimizer 'adamx'", "'adamw'")),
    "unknown loss": ((*ADDITION, "--loss", "vector"), ("unknown loss for addition 'vector'", "'vectors'")),
    "unknown kind": (("addition", "--model", "mpl:hidden=4"), ("mpl", "'mlp'")),
    "unknown field": (("addition", "--model", "mlp:hiden=4"), ("unknown field of a mlp 'hiden'", "'hidden'")),
    "no widths": (("addition", "--model", "mlp:hidden=4xa"), ("widths '4xa'", "hidden=200x200")),
    "unknown activation": (("addition", "--model", "mlp:act_fn=tahn"), ("unknown activation 'tahn'", "'tanh'")),
    "unknown init": ((*ADDITION, "--init", "torsh"), ("unknown initialisation 'torsh'", "torch")),
    "unknown dtype": ((*ADDITION, "--dtype", "float46"), ("unknown dtype 'float46'", "float64")),
    "unknown device": (("addition", "--device", "cdua"), ("unknown device 'cdua'",)),
    "unknown in a grid": ((*ADDITION, "--grid", "wieght_decay=1,2"), ("'wieght_decay'", "'weight_decay'")),
    "unknown executor": ((*ADDITION, "--executor", "proces:2"), ("unknown executor 'proces:2'", "process:N")),
    "no process": ((*ADDITION, "--executor", "process:0"), ("process:0", "process:4")),
    "no scheduler": ((*ADDITION, "--executor", "dask:"), ("dask:", "dask:tcp://")),
    "k above n": ((*PARITY, "--k", 9), ("k=9", "n=8")),
    "fraction 0": (("addition", "--train-fraction", 0), ("--train-fraction", "0")),
    "fraction 1.5": (("addition", "--train-fraction", 1.5), ("--train-fraction", "1.5")),
    "fraction that leaves nothing": (("addition", "--p", 3, "--train-fraction", 0.1), ("--train-fraction", "0.1")),
    "fraction in a grid": (("addition", "--train-fraction", "0.5,2"), ("--train-fraction", "2")),
    "fraction that is none": (("addition", "--train-fraction", "half"), ("--train-fraction", "half")),
    "composite": (("modular", "--p", 12, "--operation", "divide"), ("prime", "12")),
    "no p": (("modular", "--out", "new"), ("--p",)),
    "p that is none": (("addition", "--p", "ten"), ("p must be", "ten")),
    "no image": (("image", "--target", "chain.pt"), ("chain.pt",)),
    "missing image": (("image", "--target", "none.png"), ("none.png",)),
    "no labels": (("reviews", "--path", "reviews.csv"), ("reviews.csv", "label")),
    "missing reviews": (("reviews", "--path", "none.csv"), ("none.csv",)),
    "steps 0": (("addition", "--steps", 0), ("steps must be at least 1", "0")),
    "epochs 0": (("addition", "--epochs", 0), ("epochs must be at least 1", "0")),
    "steps and epochs": ((*ADDITION, "--epochs", 3), ("steps or epochs",)),
    "batch 0": ((*ADDITION, "--batch-size", 0), ("--batch-size must be at least 1", "0")),
    "betas 2": ((*ADDITION, "--betas", "0.9,2"), ("betas must be two numbers in [0, 1)", "2")),
    "one beta": ((*ADDITION, "--betas", "0.9"), ("betas must be two numbers",)),
    "betas that are none": ((*ADDITION, "--betas", "a,b"), ("betas must be two numbers",)),
    "seeds 0": ((*ADDITION, "--seeds", 0), ("--seeds must be at least 1", "0")),
    "seed and seeds": ((*ADDITION, "--seeds", 2, "--seed", 3), ("--seed or --seeds",)),
    "negative seed": ((*ADDITION, "--seed", -1), ("seed", "-1")),
    "half a seed": ((*ADDITION, "--seed", 0.5), ("seed", "0.5")),
    "range of two": ((*ADDITION, "--lr", "0.1:0.2"), ("'0.1:0.2' of lr", "low:high:count")),
    "range of words": ((*ADDITION, "--lr", "0.1:b:3"), ("'0.1:b:3' of lr",)),
    "range of half": ((*ADDITION, "--lr", "0.1:0.2:1.5"), ("whole number", "1.5")),
    "range of infinity": ((*ADDITION, "--lr", "0.1:0.2:inf"), ("lr", "inf")),
    "range in a wrong spacing": ((*ADDITION, "--lr", "0.1:0.2:3:lag"), ("'0.1:0.2:3:lag' of lr",)),
    "logarithm of 0": ((*ADDITION, "--lr", "0:1:3:log"), ("logarithmic", "above 0")),
    "empty list": ((*ADDITION, "--lr", ","), ("lr", "no value")),
    "grid without values": ((*ADDITION, "--grid", "lr"), ("--grid 'lr'", "NAME=VALUES")),
    "given twice": ((*ADDITION, "--lr", "1,2", "--grid", "lr=1,2"), ("lr is given twice",)),
    "list of a full batch": ((*ADDITION, "--batch-size", "16,most"), ("member 1", "batch_size", "most")),
    "batch in a grid": ((*ADDITION, "--grid", "batch_size=16,0"), ("member 1", "--batch-size must be at least 1")),
    "network in a grid": (("addition", "--grid", "model=mlp;transformr"), ("transformr", "transformer")),
    "no network in a grid": (("addition", "--grid", "model=;"), ("model", "no value")),
    "shapes that cannot be": (("addition", "--p", "4,1", "--steps", 5), ("member 1", "p must be")),
    "steps in a grid": (("addition", "--grid", "steps=5,6"), ("steps", "same for all members")),
    "setting given twice": ((*ADDITION, "--momentum", 0.5, "--grid", "momentum=0,1"), ("momentum is given twice",)),
    "negative rate": ((*ADDITION, "--lr", -1), ("lr must be at least 0", "-1")),
    "rate that is none": ((*ADDITION, "--lr", "fast"), ("lr must be a number", "fast")),
    "infinite rate": ((*ADDITION, "--lr", "inf"), ("lr must be", "inf")),
    "rate that is not a number": ((*ADDITION, "--lr", "nan"), ("lr must be", "nan")),
    "negative decay": ((*ADDITION, "--weight-decay", "0,-1"), ("--weight-decay must be at least 0", "-1")),
    "negative l1": ((*ADDITION, "--l1", -1), ("l1 must be at least 0", "-1")),
    "smoothing 2": (
        (*ADDITION, "--loss", "cross_entropy", "--label-smoothing", 2),
        ("--label-smoothing must be between 0 and 1", "2"),
    ),
    "smoothing of a hinge": ((*PARITY, "--label-smoothing", 0.1), ("--label-smoothing needs a loss", "hinge")),
    "complexity of no answers": ((*ADDITION, "--complexity-penalty", 1), ("--complexity-penalty", "vectors")),
    "frozen by a wrong name": ((*ADDITION, "--frozen", "layer.0"), ("'layer.0'", "layers.0")),
    "frozen as a whole": ((*ADDITION, "--frozen", "embedding,decoder"), ("nothing is left to train",)),
    "fixed norm of a layer": ((*ADDITION, "--fixed-norm", "layer"), ("--fixed-norm", "network, parameter")),
    "grokfast with one number": ((*ADDITION, "--grokfast", 0.9), ("grokfast must be two numbers", "0.98")),
    "no learning-rate schedule": ((*ADDITION, "--lr-schedule", "cosin"), ("schedule", "cosine")),
    "a schedule without its numbers": ((*ADDITION, "--lr-schedule", "step:3"), ("step:SIZE:GAMMA",)),
    "steps and rate times steps": ((*ADDITION, "--lr-times-steps", 1), ("--lr-times-steps", "not both")),
    "clip 0": ((*ADDITION, "--clip-norm", 0), ("--clip-norm must be above 0", "0")),
    "retire 2": ((*ADDITION, "--retire", 2), ("retire must be between 0 and 1", "2")),
    "nesterov alone": ((*ADDITION, "--nesterov"), ("nesterov needs SGD with a momentum",)),
    "late never": ((*ADDITION, "--late-weight-decay", 1, "--late-at", "soon"), ("--late-at", "soon")),
    "no schedule": ((*ADDITION, "--metrics", "often"), ('schedule "often"', "every:1000")),
    "interval 0": ((*ADDITION, "--checkpoints", "every:0"), ("at least 1",)),
    "log of 1": ((*ADDITION, "--checkpoints", "log:1"), ("at least 2",)),
    "negative step": ((*ADDITION, "--checkpoints", "-5"), ("0 or more", "-5")),
    "model of other inputs": (("parity", "--model", "transformer"), ("transformer", "parity")),
    "resume nothing": (("--resume", "steps"), ("steps holds no run", "--out")),
    "resume a missing folder": (("--resume", "nowhere"), ("nowhere holds no run",)),
    "resume with a task": (("--resume", "steps", "addition", "--out", "new"), ("--resume", "leave the task out")),
}
# what is refused, but not as it should be: each with the reason


def rows() -> list[Any]:
    return [pytest.param(*row, id=name) for name, row in REFUSED.items()]


@pytest.mark.parametrize(("argv", "parts"), rows())
def test_refused(refused: Refused, work: Path, argv: tuple[object, ...], parts: tuple[str, ...]) -> None:
    """One message with what is wrong and what would be right, exit code 2, no traceback, and nothing is written."""
    no_labels(work)
    given = "--out" in argv or "--resume" in argv
    said = refused("train", *argv, *(() if given else ("--out", "new")))
    missing = [part for part in parts if part not in said]
    assert not missing, f"{missing} not in: {said}"


def test_two_runs_into_one_folder(run: Run, refused: Refused, work: Path) -> None:
    """A folder with a run, one with something else, and a file are refused before anything is trained."""
    assert run("train", *ADDITION, "--out", "toy").code == 0
    (work / "file").write_text("mine")
    assert "holds a run already; continue it with interp train --resume toy" in refused(
        "train", *ADDITION, "--out", "toy"
    )
    assert "holds something else" in refused("train", *ADDITION, "--out", "steps")
    assert "is a file" in refused("train", *ADDITION, "--out", "file")


def test_a_run_of_another_version(run: Run, refused: Refused, work: Path) -> None:
    """Its format and the version that wrote it are named."""
    assert run("train", *ADDITION, "--out", "toy").code == 0
    path = work / "toy" / "run.json"
    path.write_text(json.dumps({**plan("toy"), "format": 9, "versions": {"interp": "7.5"}}))
    said = refused("train", "--resume", "toy")
    assert "run format 9" in said
    assert "7.5" in said


def test_fewer_steps(run: Run, refused: Refused, work: Path) -> None:
    """Steps can only be raised."""
    assert run("train", *ADDITION, "--out", "toy").code == 0
    assert "--steps can only raise" in refused("train", "--resume", "toy", "--steps", 5)


def test_a_grid_beyond_memory(refused: Refused, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimate, what is free, and the largest ensemble that fits; which does fit."""
    monkeypatch.setattr(memory, "available_bytes", lambda device: 1 << 24)
    argv = ("addition", "--p", 4, "--model", "mlp:hidden=100x100", "--steps", 5, "--device", "cpu", "--out", "big")
    said = refused("train", *argv, "--seeds", 1000)
    words = said.split()
    assert "1,000 members need about" in said
    assert said.count("GiB") == 2
    largest = int(words[words.index("has") + 1].replace(",", ""))
    assert 0 < largest < 1000
    with pytest.raises(interp.InterpError, match="the largest ensemble that fits has"):
        _one(2 * largest, work / "more")
    _one(largest, work / "fits")


def _one(members: int, out: Path) -> None:
    interp.train(
        "addition:p=4", "mlp:hidden=100x100", members=interp.seeds(members), steps=1, device="cpu", out=out
    )  # fmt: skip


def test_a_name_with_brackets(run: Run, work: Path) -> None:
    """Folders and names are printed as they are, not read as markup."""
    ran = run("train", *ADDITION, "--out", "runs/[red]a")
    assert ran.code == 0
    assert "Run: runs/[red]a" in ran.out


def test_an_image(run: Run, work: Path) -> None:
    """A task with a path and a regression: no accuracies and no phases."""
    Image.new("RGB", (6, 6), (200, 10, 30)).save(work / "red.png")
    ran = run("train", "image", "--target", "red.png", "--size", 6, *SMALL, "--seeds", 2, "--out", "made")
    assert (ran.code, ran.err) == (0, "")
    assert "accuracy" not in ran.out


def test_a_run_finds_its_file_from_anywhere(run: Run, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run on an image that was named by a relative path resumes and is analysed from another folder."""
    Image.new("RGB", (6, 6), (200, 10, 30)).save(work / "red.png")
    assert run("train", "image", "--target", "red.png", "--size", 6, *SMALL, "--out", "made").code == 0
    monkeypatch.chdir(work / "steps")
    ran = run("train", "--resume", "../made", "--steps", 12)
    assert (ran.code, ran.err) == (0, "")


def test_ctrl_c(work: Path) -> None:
    """Exit code 130, one message that says how to go on, no traceback."""
    command = [str(Path(sys.executable).with_name("interp")), "train"]
    environment = {k: v for k, v in os.environ.items() if k != "FORCE_COLOR"} | WIDE | FRUGAL
    argv = [
        "addition", "--p", "4", "--seed", "4", "--model", "mlp:hidden=6", "--steps", "10000000", "--metrics", "0,1",
        "--out", "long",
    ]  # fmt: skip
    pipe = subprocess.PIPE
    process = subprocess.Popen([*command, *argv], cwd=work, env=environment, stdout=pipe, stderr=pipe, text=True)
    metrics = work / "long" / "metrics.jsonl"
    for _ in range(900):  # until it has measured step 1
        if (metrics.exists() and metrics.read_text().count("\n") == 2) or process.poll() is not None:
            break
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    said = " ".join(err.split())
    assert said.startswith("error: stopped at step ")
    assert said.endswith("go on with: interp train --resume long")
    assert int(said.split()[4].replace(",", "")) > 0
    assert not interp.Run(work / "long").finished


def test_refine(run: Run, refused: Refused, work: Path) -> None:
    """A diagram from the command line: rounds on standard error, cells in files; the same command reads it again."""
    words = (
        "refine", "addition", "--p", 4, "--model", "mlp:hidden=6", "--steps", 4, "--axis", "decoder_lr=1e-5:1e-2:log",
        "--cells", 2, "--rounds", 1, "--seeds", 2, "--phase-threshold", 0.5, "--out", "diagram",
    )  # fmt: skip
    ran = run(*words)
    assert ran.code == 0, ran.err
    assert ran.err.startswith("note: 4 of 4 members cannot get above")
    assert "\nround 0: 2 cells, 4 networks; phases meet in " in ran.err
    assert "cells.csv" in ran.out
    assert Path("diagram/phase_diagram.html").is_file()
    assert run(*words).out == ran.out
    for axis, part in (("decoder_lr", "write --axis"), ("decoder_lr=0:1:log", "above 0"), ("hiden=1:2", "'hidden'")):
        said = refused("refine", "addition", "--axis", axis, "--steps", 4, "--out", "new")
        assert part in said
    assert "one value" in refused("refine", "addition", "--axis", "lr=0:1", "--lr", "1,2", "--out", "new")


@pytest.mark.parametrize(
    ("members", "said"),
    [
        (["--lr", "1e-3,1e-30"], "Standstill: member 1 since step 0 (of 2): the train loss no longer changes"),
        (["--lr", "1e-30"], "Standstill: the network, since step 0: "),
        (["--lr", "1e-30", "--seeds", "7"], "4 since step 0 and 2 more (of 7): "),
        (["--lr", "1e-3"], None),
    ],
)
def test_networks_that_stopped_learning_are_named(
    run: Run, tmp_path: Path, members: list[str], said: str | None
) -> None:
    found = run(
        "train", "addition", "--p", "4", "--steps", "100", "--metrics", "every:10", *members, "--out", tmp_path / "r"
    )
    text = " ".join(found.out.split())
    assert ("Standstill" in text) == (said is not None)
    assert said is None or (said in text and "a smaller --lr, or --warmup 100, may help" in text)
