"""A run's folder from somebody else: nothing in it leads to files outside of it, whoever reads or writes it."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

import interp
from interp.errors import InterpError
from interp.history.progress import progress
from interp.training.loop import Progress
from tests.interp.training.ensembles import ADDITION, files

TINY = {"model": "mlp:hidden=4", "device": "cpu", "metrics": "every:5", "checkpoints": "every:10", "steps": 40}
INSIDE = [
    "run.json", "metrics.jsonl", "state/lock", "state/state.safetensors", "checkpoints/step_00000010.safetensors",
    "checkpoints/step_00000099.safetensors", "state", "checkpoints",
]  # fmt: skip
USES: dict[str, Callable[[Path], object]] = {
    "resume": lambda run: interp.resume(run, device="cpu"),
    "load": interp.load,
    "metrics": lambda run: interp.Run(run).metrics,
    "phases": lambda run: interp.Run(run).phases(),
    "progress": lambda run: progress(run, "weight_norm", cache=False),
    "subjects": lambda run: interp.Run(run).subjects,
}


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that Ctrl-C stopped at step 21 of 40."""
    folder, pressed = tmp_path_factory.mktemp("stopped") / "run", []

    def press(seen: Progress) -> None:
        if seen.step >= 21 and not pressed:
            pressed.append(seen.step)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interp.train(ADDITION, out=folder, progress=press, **TINY)
    return folder


def everything(folder: Path) -> dict[str, bytes | str]:
    """All files below a folder, and where its links lead."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[str(path)] = os.readlink(path)
        elif path.is_file():
            found[str(path)] = path.read_bytes()
    return found


def swapped(run: Path, name: str, kind: str, outside: Path) -> None:
    """Put a link or a special file in the place of one of the run's files; what it leads to is a copy of the file."""
    path, target = run / name, outside / "target"
    if path.is_dir():
        shutil.copytree(path, target)
        (target / "step_00000099.safetensors").write_bytes(b"somebody else's")
        shutil.rmtree(path)
    else:
        target.write_bytes(path.read_bytes() if path.exists() and path.stat().st_size else b"somebody else's")
        path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(
            {"link": target, "dangling": outside / "nowhere", "above": run.parent, "device": "/dev/zero"}[kind]
        )


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", INSIDE)
def test_a_link_is_not_followed(stopped: Path, tmp_path: Path, name: str, use: str) -> None:
    """Each use of a run whose file is a link names the link and changes nothing, here or where the link leads."""
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    (tmp_path / "outside").mkdir()
    swapped(run, name, "link", tmp_path / "outside")
    before = everything(tmp_path)
    with pytest.raises(InterpError, match=r"is a symbolic link") as refusal:
        USES[use](run)
    assert str(run / name) in str(refusal.value)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("kind", ["dangling", "above", "device", "pipe"])
@pytest.mark.parametrize("name", INSIDE)
def test_other_things_in_place_of_files(stopped: Path, tmp_path: Path, name: str, kind: str) -> None:
    """Dangling links, links to a folder above, to a device, and pipes: refused at once, and nothing is created."""
    run = tmp_path / "run"
    shutil.copytree(stopped, run)
    (tmp_path / "outside").mkdir()
    swapped(run, name, kind, tmp_path / "outside")
    before = everything(tmp_path)
    for use in ("resume", "metrics", "load"):
        with pytest.raises(InterpError, match=r"symbolic link|is a pipe|is a folder without checkpoints"):
            USES[use](run)
    assert everything(tmp_path) == before


def test_a_link_to_the_run_itself(stopped: Path, tmp_path: Path) -> None:
    """The folder that the user names may be a link: only what is inside came from somebody else."""
    whole = interp.train(ADDITION, out=tmp_path / "whole", **TINY)
    shutil.copytree(stopped, tmp_path / "run")
    (tmp_path / "named").symlink_to("run")
    assert interp.resume(tmp_path / "named", device="cpu").finished
    assert interp.load(tmp_path / "named").step == 40
    assert files(tmp_path / "run") == files(whole.path)


def test_the_users_own_links_are_left_alone(stopped: Path, tmp_path: Path) -> None:
    """A link that is none of the run's files does not stop it."""
    shutil.copytree(stopped, tmp_path / "run")
    (tmp_path / "run" / "notes").symlink_to(tmp_path)
    assert interp.resume(tmp_path / "run", device="cpu").finished


def test_the_lock_is_never_emptied(stopped: Path, tmp_path: Path) -> None:
    """Whatever stands in the lock is still there after a resume."""
    shutil.copytree(stopped, tmp_path / "run")
    (tmp_path / "run" / "state" / "lock").write_text("mine")
    interp.resume(tmp_path / "run", device="cpu")
    assert (tmp_path / "run" / "state" / "lock").read_text() == "mine"
