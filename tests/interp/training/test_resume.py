"""A run that was killed goes on as if it had not been: metrics, checkpoints and weights are equal byte for byte."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import interp
from interp.errors import InterpError, UnreadableFile
from interp.training import loop
from interp.training.directory import RunDirectory
from interp.training.loop import Progress
from tests.interp.training.ensembles import ADDITION, files, same_bits, weights_of
from tests.interp.training.worker import SETTINGS, STEPS, begin, ended, train

TINY = {"task": ADDITION, "model": "mlp:hidden=8", "device": "cpu", "metrics": "every:5", "checkpoints": "every:10"}


def run_worker(folder: Path, die_at: int = -1, save_seconds: float = 0) -> int:
    process, _ = begin(train, folder, die_at, save_seconds)
    return ended(process)


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path / "state" / "state.safetensors")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of `worker` that nobody interrupted."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run = interp.train(**SETTINGS, out=folder, steps=STEPS)
    torch.set_num_threads(threads)
    retired = run.metrics.groupby("member")["step"].max()
    assert retired.min() < STEPS == retired.max()  # some members retire, and not all
    return folder


def assert_same_run(found: Path, expected: Path) -> None:
    ours, theirs = files(found), files(expected)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []
    one, other = tensors(found), tensors(expected)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[n], other[n]) for n in one)


def test_two_kills(tmp_path: Path, undisturbed: Path) -> None:
    """Killed twice at arbitrary updates, once without any saved state, and resumed: nothing differs in a byte."""
    folder = tmp_path / "run"
    assert run_worker(folder, 37) == -signal.SIGKILL
    assert (folder / "state" / "state.safetensors").exists()
    assert run_worker(folder, 83, 3600) == -signal.SIGKILL
    assert run_worker(folder) == 0
    assert_same_run(folder, undisturbed)


@pytest.mark.parametrize("stop_at", [0, 1, 16, 60, 115])
def test_ctrl_c_at_any_step(tmp_path: Path, undisturbed: Path, stop_at: int) -> None:
    """Ctrl-C saves the state at the step that it hits, says how to go on, and going on changes no byte."""
    folder, pressed, before = tmp_path / "a run", [], signal.getsignal(signal.SIGINT)

    def press(seen: Progress) -> None:
        if seen.step >= stop_at and not pressed:
            pressed.append(seen.step)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(
        KeyboardInterrupt, match=r"stopped at step .* of 120; go on with: interp train --resume"
    ) as info:
        interp.train(**SETTINGS, out=folder, steps=STEPS, progress=press)
    assert f"--resume '{folder}'" in str(info.value)  # to paste: a blank in its name needs quotes
    assert signal.getsignal(signal.SIGINT) is before
    assert not interp.Run(folder).finished
    assert interp.resume(folder, device="cpu").finished
    assert_same_run(folder, undisturbed)


def test_a_finished_run_stays(tmp_path: Path, undisturbed: Path) -> None:
    """Resuming what is finished changes nothing."""
    run = interp.train(**TINY, steps=20, out=tmp_path / "run")
    before = files(run.path)
    assert interp.resume(run.path, device="cpu").finished
    assert files(run.path) == before


def test_more_steps_are_a_longer_run(tmp_path: Path) -> None:
    """A finished run raised to more steps has the weights and the metrics of one that was that long from the start."""
    long = interp.train(**TINY, steps=50, out=tmp_path / "long")
    interp.train(**TINY, steps=30, out=tmp_path / "short")
    raised = interp.resume(tmp_path / "short", steps=50, device="cpu")
    assert raised.plan.steps == interp.Run(tmp_path / "short").plan.steps == 50
    assert same_bits(weights_of(raised, 0), weights_of(long, 0))
    assert files(raised.path) == files(long.path)
    with pytest.raises(InterpError, match=r"planned for 50 steps; --steps can only raise"):
        interp.resume(raised.path, steps=40)


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """A second process is refused while the first trains, and may go on when the first was killed."""
    process, told = begin(train, tmp_path / "run", -1, 0, 100_000, 0.01)
    try:
        assert told.recv() == "training"
        with pytest.raises(InterpError, match="another process is training this run"):
            interp.resume(tmp_path / "run")
        assert process.is_alive()
    finally:
        process.kill()
        process.join()
    with RunDirectory.open(tmp_path / "run").locked():
        pass


def test_metrics_longer_than_the_state_says(tmp_path: Path) -> None:
    """Rows and checkpoints written behind the last state are cut off and written again: no row twice."""
    whole = interp.train(**TINY, steps=40, out=tmp_path / "whole")
    cut = tmp_path / "cut"
    with pytest.raises(KeyboardInterrupt):
        interp.train(**TINY, steps=40, out=cut, progress=_press_at(21))
    with (cut / "metrics.jsonl").open("a") as file:
        file.write('{"step": 999, "member": 0, "train_loss": 1.0}\n{"step": 1000, "mem')
    (cut / "checkpoints" / "step_00000990.safetensors").write_bytes(b"behind")
    (cut / "checkpoints" / ".step_00000030.safetensors.x.partial").write_bytes(b"half")
    interp.resume(cut, device="cpu")
    assert files(cut) == files(whole.path)


def test_metrics_shorter_than_the_state_says(tmp_path: Path) -> None:
    """Metrics that lost rows are an error that names the file; they are not filled up with zero bytes."""
    with pytest.raises(KeyboardInterrupt):
        interp.train(**TINY, steps=40, out=tmp_path / "run", progress=_press_at(21))
    path = tmp_path / "run" / "metrics.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:2]))
    with pytest.raises(UnreadableFile, match=r"metrics\.jsonl"):
        interp.resume(tmp_path / "run", device="cpu")


def _press_at(step: int):
    """A watcher that presses Ctrl-C once."""
    pressed = []

    def press(seen: Progress) -> None:
        if seen.step >= step and not pressed:
            pressed.append(seen.step)
            signal.raise_signal(signal.SIGINT)

    return press


def _interrupted(folder: Path) -> Path:
    with pytest.raises(KeyboardInterrupt):
        interp.train(**TINY, steps=40, out=folder, progress=_press_at(21))
    return folder


@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "foreign"])
def test_a_damaged_state(tmp_path: Path, damage: str) -> None:
    """A state that cannot be read is named, and so is the way out; taking it trains again from step 0."""
    folder = _interrupted(tmp_path / "run")
    state = folder / "state" / "state.safetensors"
    content = state.read_bytes()
    checkpoint = next((folder / "checkpoints").iterdir()).read_bytes()
    harmed = {"cut": content[: len(content) // 2], "empty": b"", "noise": b"\xff" * 500, "foreign": checkpoint}
    state.write_bytes(harmed[damage])
    with pytest.raises(
        UnreadableFile, match=r"state\.safetensors is damaged .*remove state/ and checkpoints/ to train again"
    ):
        interp.resume(folder, device="cpu")
    state.unlink()
    with pytest.raises(UnreadableFile, match=r"state\.safetensors is missing"):
        interp.resume(folder, device="cpu")
    shutil.rmtree(folder / "checkpoints")
    whole = interp.train(**TINY, steps=40, out=tmp_path / "whole")
    assert files(interp.resume(folder, device="cpu").path) == files(whole.path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, r"run\.json is of run format 99.*reads formats 1 to 2"),
        ({"format": None}, r"run\.json is of run format None"),
        ({"steps": "many"}, r"run\.json"),
        ({"members": []}, r"run\.json.*at least one member"),
        ({"task": {"name": "modulo"}}, r"run\.json.*modul"),
        ({"optimizer": {"name": "lion"}}, r"run\.json.*unknown optimizer 'lion'"),
        ({"model": 3}, r"run\.json"),
        ({"members": [3]}, r"run\.json"),
        ({"members": None}, r"run\.json"),
    ],
    ids=str,
)
def test_a_plan_that_is_none(tmp_path: Path, change: dict[str, object], message: str) -> None:
    """A run.json of another version, or with values that do not fit, is named with what is wrong in it."""
    run = interp.train(**TINY, steps=10, out=tmp_path / "run")
    path = run.path / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    before = files(run.path)
    with pytest.raises(InterpError, match=message):
        interp.resume(run.path)
    assert files(run.path) == before


def test_no_run_there(tmp_path: Path) -> None:
    """A folder without a run, and one that is not there, are refused and left alone."""
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    for name in ("other", "missing"):
        with pytest.raises(UnreadableFile, match="holds no run"):
            interp.resume(tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == ["other"]
    assert [p.name for p in (tmp_path / "other").iterdir()] == ["mine.txt"]


def test_states_are_saved_as_time_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state is there long before the end, and how often it is saved changes no byte of the run."""
    seen = []
    monkeypatch.setattr(loop, "SAVE_SECONDS", 0.0)

    def look(progress: Progress) -> None:
        seen.append((tmp_path / "often" / "state" / "state.safetensors").exists())

    interp.train(**TINY, steps=40, out=tmp_path / "often", progress=look)
    monkeypatch.undo()
    interp.train(**TINY, steps=40, out=tmp_path / "once")
    assert seen[0] is False
    assert all(seen[2:])
    assert files(tmp_path / "often") == files(tmp_path / "once")


@pytest.mark.slow
def test_twenty_kills_at_any_moment(tmp_path: Path, undisturbed: Path) -> None:
    """kill -9 at random moments, while anything may be half written, twenty times: nothing differs in a byte."""
    folder, draw, kills = tmp_path / "run", random.Random(5), 0
    while kills < 20:
        process, told = begin(train, folder, -1, 0, STEPS, 0.1)
        assert told.recv() == "training"
        time.sleep(draw.uniform(0.0, 0.25))
        assert process.is_alive(), "it was finished before the twentieth kill"
        process.kill()
        process.join()
        kills += 1
    assert run_worker(folder) == 0
    assert_same_run(folder, undisturbed)
