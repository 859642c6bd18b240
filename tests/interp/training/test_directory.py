"""The run directory: what is in it, how little of it is read, and what happens where it cannot be written."""

from __future__ import annotations

import builtins
import gc
import io
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import interp
from interp.checkpoints import run_files
from interp.checkpoints.formats import tensors as lazy
from interp.errors import InterpError
from interp.training import Progress
from tests.interp.training.ensembles import ADDITION, PARITY, same_bits, weights_of
from tests.interp.training.worker import begin, ended, train_on_a_full_disk

MEMBERS = [{"seed": s, "data_seed": s, "lr": 0.001 * (s + 1)} for s in range(3)]
TINY = {"model": "mlp:hidden=6", "device": "cpu", "metrics": "every:5", "checkpoints": "every:10"}
ROW = ["step", "member", "train_loss", "train_accuracy", "test_loss", "test_accuracy", "weight_norm"]
NAMES = {"embed.W_E", "layers.0.W", "layers.0.b", "unembed.W_U", "unembed.b_U"}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> interp.Run:
    """Three members on toy addition, 20 steps, checkpoints at 0, 10 and 20."""
    return interp.train(ADDITION, members=MEMBERS, steps=20, out=tmp_path_factory.mktemp("toy") / "run", **TINY)


def test_the_files(toy: interp.Run) -> None:
    """The documented files, and no others."""
    found = {str(p.relative_to(toy.path)) for p in toy.path.rglob("*") if p.is_file()}
    checkpoints = {f"checkpoints/step_{s:08d}.safetensors" for s in (0, 10, 20)}
    assert found == {"run.json", "metrics.jsonl", "state/state.safetensors", "state/lock", *checkpoints}


def test_run_json(toy: interp.Run) -> None:
    """The plan, the format and the versions, as plain values; it is enough to train the run again."""
    stored = json.loads((toy.path / "run.json").read_text())
    assert stored["format"] == 2
    assert stored["versions"] == {
        "interp": interp.__version__, "torch": torch.__version__, "python": platform.python_version()
    }  # fmt: skip
    assert stored["members"] == MEMBERS
    assert (stored["steps"], stored["task"]["name"], stored["task"]["p"]) == (20, "addition", 5)
    assert type(toy.plan).from_dict(stored) == toy.plan


def test_metrics_rows(toy: interp.Run) -> None:
    """One strict JSON object per line, one per step and member, in this order, with the documented keys."""

    def no_constants(name: str) -> None:
        raise AssertionError(name)

    lines = (toy.path / "metrics.jsonl").read_text().splitlines()
    found = [json.loads(line, parse_constant=no_constants) for line in lines]
    assert all(list(row) == ROW for row in found)
    assert [(r["step"], r["member"]) for r in found] == [(s, m) for s in range(0, 21, 5) for m in range(3)]


def test_a_checkpoint_holds_all_members(toy: interp.Run) -> None:
    """Weights stacked by member under the model's own names, and a header that says how many."""
    path = toy.path / "checkpoints" / "step_00000010.safetensors"
    stacked = load_file(path)
    assert set(stacked) == NAMES
    assert stacked["layers.0.W"].shape == (3, 1, 6)
    with safe_open(path, "pt") as file:
        (header,) = file.metadata().values()
    assert json.loads(header)["members"] == 3
    for i in range(3):
        assert same_bits({n: t[i] for n, t in stacked.items()}, weights_of(toy, i, 10))


def test_load_knows_members_and_steps(toy: interp.Run) -> None:
    """``interp.load`` of the folder gives a member at a step, with the member's own task and curves."""
    for member in range(3):
        subject = interp.load(toy.path, member=member, step=10)
        assert same_bits({n: p.detach() for n, p in subject.model.named_parameters()}, weights_of(toy, member, 10))
        assert subject.task is not None
        assert (subject.step, subject.task.seed) == (10, member)
        rows = toy.metrics[toy.metrics["member"] == member]
        assert [step for step, _ in subject.curves["test_loss"]] == rows["step"].tolist()
        assert [v for _, v in subject.curves["test_loss"]] == pytest.approx(rows["test_loss"].tolist(), rel=1e-12)
        assert f"member {member}" in subject.name
    assert interp.load(toy.path, member=2).step == 20
    assert [s.task.seed for s in toy.subjects if s.task] == [0, 1, 2]
    with pytest.raises(InterpError, match=r"members 0 to 2; there is no member 3"):
        interp.load(toy.path, member=3)


def test_one_member_is_read_alone(toy: interp.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a member takes rows of the stacks, and never a whole one."""
    taken: list[int] = []
    row = lazy.TensorRef.row

    def counted(self: lazy.TensorRef, index: int) -> lazy.TensorRef:
        taken.append(index)
        assert self._load_row is not None  # the format reads a row alone
        return row(self, index)

    monkeypatch.setattr(lazy.TensorRef, "row", counted)
    monkeypatch.setattr(lazy.TensorRef, "load", _only_rows(lazy.TensorRef.load))
    interp.load(toy.path, member=1, step=10)
    assert set(taken) == {1}
    assert len(taken) >= len(NAMES)


def _only_rows(load):
    def checked(self: lazy.TensorRef) -> torch.Tensor:
        assert self._load_row is None, f"a whole stack {self.shape} was read"
        return load(self)

    return checked


def test_the_last_bits_of_others_do_not_matter(toy: interp.Run, tmp_path: Path) -> None:
    """NaN in member 2's bytes changes neither the weights nor the warnings of members 0 and 1."""
    path = toy.path / "checkpoints" / "step_00000010.safetensors"
    content = bytearray(path.read_bytes())
    own = weights_of(toy, 2, 10)["layers.0.W"].numpy().tobytes()
    at = content.index(own)
    content[at : at + len(own)] = b"\xff" * len(own)
    (tmp_path / path.name).write_bytes(content)
    for member in (0, 1):
        subject = interp.load(tmp_path / path.name, member=member)
        assert subject.warnings == []
        assert same_bits({n: p.detach() for n, p in subject.model.named_parameters()}, weights_of(toy, member, 10))
    assert interp.load(tmp_path / path.name, member=2).warnings


def test_one_of_sixty_checkpoints_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a run reads the checkpoint that is asked for and none of the others; the series has all of them."""
    settings = {**TINY, "checkpoints": "every:1"}
    run = interp.train(ADDITION, members=MEMBERS, steps=59, out=tmp_path / "run", **settings)
    opened: list[str] = []
    monkeypatch.setattr("builtins.open", _noted(builtins.open, opened))
    monkeypatch.setattr("io.open", _noted(io.open, opened))
    monkeypatch.setattr("safetensors.safe_open", _noted(safe_open, opened))
    subject = interp.load(run.path, member=1, step=7)
    assert set(opened) == {"step_00000007.safetensors"}
    assert subject.series is not None
    assert list(subject.series.steps) == list(range(60))


def _noted(function: Callable[..., Any], opened: list[str]) -> Callable[..., Any]:
    """The function, which notes the checkpoints that it is given."""

    def noting(path: Any, *args: Any, **kwargs: Any) -> Any:
        if "step_" in str(path):
            opened.append(Path(path).name)
        return function(path, *args, **kwargs)

    return noting


def test_metrics_are_read_to_the_last_bit(toy: interp.Run) -> None:
    """The table holds the very numbers of ``metrics.jsonl``."""
    lines = (toy.path / "metrics.jsonl").read_text().splitlines()
    assert toy.metrics["test_loss"].tolist() == [json.loads(line)["test_loss"] for line in lines]


def test_metrics_are_read_anew_when_they_have_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often they are asked for, the file is read once; while the run trains, what is new is seen at once."""
    reads, longest, read_rows = [], [], run_files.read_rows
    monkeypatch.setattr("interp.training.metrics.read_rows", lambda *a, **k: (reads.append(a), read_rows(*a, **k))[1])
    run: list[interp.Run] = []

    def look(seen: Progress) -> None:
        run[:] = run or [interp.Run(tmp_path / "run")]
        longest.append((seen.step, run[0].metrics["step"].max(), run[0].members["step"].max(), repr(run[0])))

    interp.train(ADDITION, members=2, steps=20, out=tmp_path / "run", progress=look, **TINY)
    assert [(a, b) for a, b, *_ in longest] == [(s, 5 * (s // 5)) for s, *_ in longest]
    assert longest[-1][1:] == (20, 20, "Run of 2 members, 20 of 20 steps: addition:p=5")
    assert len(reads) == 5  # once for each measurement, at the steps 0, 5, ..., 20
    run[0].phases()
    table = run[0].metrics
    table["step"] = 0  # the table is the reader's own
    assert run[0].metrics["step"].max() == 20
    assert len(reads) == 5


def test_damaged_metrics(tmp_path: Path) -> None:
    """The file is named, and what to do; once repaired it is read again."""
    run = interp.train(ADDITION, steps=5, out=tmp_path / "run", **TINY)
    path = run.path / "metrics.jsonl"
    whole = path.read_text()
    path.write_text(whole + '{"step": 1')
    with pytest.raises(InterpError, match=r"metrics\.jsonl is damaged in line 3.*cut the file off before it"):
        _ = run.metrics
    path.write_text(whole)
    assert run.metrics["step"].tolist() == [0, 5]


def test_tables(toy: interp.Run) -> None:
    """The metrics have a column for what members differ in; ``members`` has the last row of each."""
    assert [c for c in toy.metrics.columns if c not in ROW] == ["seed", "data_seed", "lr"]
    assert toy.members["lr"].tolist() == [m["lr"] for m in MEMBERS]
    assert toy.members["step"].tolist() == [20, 20, 20]
    assert toy.phases(0.9).index.tolist() == [0, 1, 2]
    assert len(toy) == 3
    assert toy.finished


@pytest.mark.parametrize(
    ("task", "model"),
    [
        (ADDITION, "mlp:hidden=8"),
        (PARITY, "mlp:hidden=8"),
        ("modular:p=5,train_fraction=0.6", "mlp:hidden=8"),
        ("modular:p=5,train_fraction=0.6", "transformer:d_model=8,n_heads=2,d_head=4,d_mlp=8"),
    ],
)
def test_every_analysis_takes_a_run(tmp_path: Path, task: str, model: str) -> None:
    """No analysis fails on a member of a run; curves and progress find the run's metrics and checkpoints."""
    run = interp.train(task, members=MEMBERS[:2], steps=20, out=tmp_path / "run", **{**TINY, "model": model})
    outcomes = interp.analyze(run.subject(1))
    assert {n: o.error for n, o in outcomes.items() if o.status == "failed"} == {}
    done = {n for n, o in outcomes.items() if o.status == "ok"}
    assert {"performance", "curves", "progress", "weights", "svd"} <= done, {n: o.status for n, o in outcomes.items()}


def test_retired_members(tmp_path: Path) -> None:
    """Members that have grokked stop: no more rows, frozen weights, in every checkpoint; the others go on as without."""
    members = [{"seed": s, "data_seed": s, "lr": lr} for s, lr in ((0, 0.3), (1, 0.001), (2, 0.3))]
    common = {**TINY, "model": "mlp:hidden=24", "members": members, "steps": 120, "dtype": "float64", "batch_size": 16}
    task = "parity:n=8,k=2,n_train=60,n_test=40"
    stopping = interp.train(task, out=tmp_path / "stopping", retire=0.9, **common)
    whole = interp.train(task, out=tmp_path / "whole", **common)
    last = stopping.metrics.groupby("member")["step"].max()
    assert last[0] < 120
    assert last[1] == 120
    rows = whole.metrics[whole.metrics["member"] == 0]
    reached = [rows.loc[rows[c] >= 0.9, "step"].min() for c in ("train_accuracy", "test_accuracy")]
    assert last[0] == max(reached)
    both = stopping.metrics.merge(whole.metrics, on=["step", "member"], suffixes=("", "_whole"))
    assert (both["train_loss"] - both["train_loss_whole"]).abs().max() < 1e-10
    end = weights_of(stopping, 0)
    for step in range(0, 121, 10):
        for i in range(3):
            ours, theirs = weights_of(stopping, i, step), weights_of(whole, i, step)
            if step <= last[i]:
                assert max((ours[n] - theirs[n]).abs().max() for n in ours) < 1e-10, (step, i)
        if step > last[0]:
            assert same_bits(weights_of(stopping, 0, step), end)
    assert stopping.phases(0.9)["train_at"].notna()[0]


@pytest.mark.parametrize(
    ("size", "seconds"),
    [
        (2000, 3600),
        pytest.param(3000, 0, marks=pytest.mark.slow),
        pytest.param(500, 3600, marks=pytest.mark.slow),
    ],
)
def test_a_full_disk(tmp_path: Path, size: int, seconds: float) -> None:
    """The run stops with one message and exit code 2; what was saved is whole; with room again it goes on to the end."""
    folder = tmp_path / "run"
    process, told = begin(train_on_a_full_disk, folder, size, seconds)
    text = told.recv()
    assert ended(process) == 2, text
    assert "Traceback" not in text
    said = " ".join(text.split())
    assert said.startswith("error: cannot write ")
    assert f"interp train --resume {folder}" in said
    subject = interp.load(folder, step=20)
    assert subject.warnings == []
    resumed = interp.resume(folder, device="cpu")
    whole = interp.train(
        ADDITION, "mlp:hidden=20", steps=60, checkpoints="every:10", metrics="every:1", device="cpu",
        members=[{"seed": 1}], out=tmp_path / "whole",
    )  # fmt: skip
    assert same_bits(weights_of(resumed, 0), weights_of(whole, 0))
    assert (folder / "metrics.jsonl").read_bytes() == (whole.path / "metrics.jsonl").read_bytes()
    assert not list(folder.rglob("*.partial"))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root writes into any folder")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """One message that names it."""
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(InterpError, match="cannot write"):
        interp.train(ADDITION, steps=5, out=tmp_path / "locked" / "run", **TINY)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder here that nobody can write into")
def test_a_folder_that_nobody_can_write(tmp_path: Path) -> None:
    """One message that names it, for root too."""
    with pytest.raises(InterpError, match=r"cannot write .*/proc/"):
        interp.train(ADDITION, steps=5, out="/proc/interp/run", **TINY)


def test_a_temporary_run_goes_in_silence() -> None:
    """A run without a folder is removed with the Run, and nothing warns."""
    run = interp.train("addition:p=4", "mlp:hidden=4", steps=2, device="cpu")
    path = run.path
    assert path.exists()
    del run
    gc.collect()
    assert not path.exists()
