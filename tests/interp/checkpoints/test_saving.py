"""Our own checkpoints: what is saved comes back, and nobody ever sees half a file."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError, safe_open

import interp
from interp.errors import InterpError, UnknownName
from interp.hooked import HookedMLP, MLPConfig
from interp.tasks import GroupComposition, Task
from tests.models import CONFIGS, P, make

save_module = importlib.import_module("interp.checkpoints.saving")  # the package's ``save`` is the function


def model(seed: int = 0) -> HookedMLP:
    return HookedMLP(MLPConfig((4,), 3, d_vocab=3, d_embed=2)).init_weights(seed)


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", CONFIGS)
def test_config_weights_and_dtype_come_back(name: str, dtype: torch.dtype, tmp_path: Path) -> None:
    """Bit for bit, in every precision."""
    original = make(name).to(dtype)
    subject = interp.load(interp.save(original, tmp_path / "model.safetensors"), device="cpu")
    assert subject.model.config == original.config
    assert {p.dtype for p in subject.model.parameters()} == {dtype}
    assert same(subject.model, original)
    assert subject.provenance.stored_dtypes == (str(dtype).removeprefix("torch."),)


@pytest.mark.parametrize("asked", ["float32", torch.float32])
@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_weights_are_widened_on_request(stored: torch.dtype, asked: Any, tmp_path: Path) -> None:
    """The numbers are the stored ones; what was stored stays on record."""
    original = model().to(stored)
    subject = interp.load(interp.save(original, tmp_path / "model.safetensors"), dtype=asked, device="cpu")
    assert subject.model.dtype == torch.float32
    assert same(subject.model, model().to(stored).to(torch.float32))
    assert subject.provenance.stored_dtypes == (str(stored).removeprefix("torch."),)


def test_a_dtype_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    """The known ones are listed."""
    with pytest.raises(UnknownName, match="known: float64, float32"):
        interp.load(interp.save(model(), tmp_path / "model.safetensors"), dtype="float31")


S3 = tuple(tuple((a + b) % 3 for b in range(3)) for a in range(3))
TASKS: dict[str, Task] = {
    "modular": interp.ModularArithmetic(P, "x^2+y^2", train_fraction=0.4, seed=3, split="torch", equals_token=False),
    "group": GroupComposition(S3, train_fraction=0.5, seed=2),
}


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_task_and_step_come_back(task: Task, tmp_path: Path) -> None:
    """A checkpoint alone rebuilds the subject: table, split and labels."""
    n = P if isinstance(task, interp.ModularArithmetic) else 3
    original = HookedMLP(MLPConfig((4,), n, d_vocab=n, d_embed=2)).init_weights(0)
    task = task.fit(original)
    subject = interp.load(interp.save(original, tmp_path / "model.safetensors", task=task, step=1234), device="cpu")
    assert subject.task == task
    assert subject.step == 1234
    assert torch.equal(subject.task.train_indices, task.train_indices)
    assert torch.equal(subject.task.labels, task.labels)


@pytest.mark.parametrize("step", [None, 0, 7, 2**40])
def test_steps(step: int | None, tmp_path: Path) -> None:
    """No step stays unknown."""
    assert interp.load(interp.save(model(), tmp_path / "model.safetensors", step=step), device="cpu").step == step


def test_a_step_of_numpy_is_a_step(tmp_path: Path) -> None:
    """Loops over np.arange give such steps."""
    assert interp.load(interp.save(model(), tmp_path / "a.safetensors", step=np.int64(7)), device="cpu").step == 7


def test_the_header_is_plain_json(tmp_path: Path) -> None:
    """Any reader of safetensors can see config, step and version."""
    path = interp.save(model(), tmp_path / "model.safetensors", step=3)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["interp"])
    assert (header["step"], header["version"]) == (3, interp.__version__)
    assert header["config"] == json.loads(json.dumps(model().config.to_dict()))


def test_saving_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    """No clock and no chance in the file."""
    one, two = (interp.save(model(), tmp_path / name, step=1).read_bytes() for name in ("a", "b"))
    assert one == two


def test_an_existing_file_is_kept_unless_forced(tmp_path: Path) -> None:
    """The message names the option."""
    path = interp.save(model(0), tmp_path / "model.safetensors")
    with pytest.raises(InterpError, match="exists already.*--force"):
        interp.save(model(1), path)
    assert same(interp.load(path, device="cpu").model, model(0))
    interp.save(model(1), path, force=True)
    assert same(interp.load(path, device="cpu").model, model(1))


def test_folders_are_made(tmp_path: Path) -> None:
    """And the file is for others to read."""
    path = interp.save(model(), tmp_path / "a" / "b" / "model.safetensors")
    assert same(interp.load(path, device="cpu").model, model())
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """A file where a folder should be, and a folder where the file should be."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "model.safetensors", tmp_path / "folder"):
        with pytest.raises(InterpError, match="cannot write"):
            interp.save(model(), path, force=True)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]


FAILURES: dict[str, BaseException] = {
    "the disk is full": OSError(28, "No space left on device"),
    "safetensors says so": SafetensorError("Error while serializing: I/O error: No space left on device"),
    "the user interrupts": KeyboardInterrupt(),
    "a bug": RuntimeError("anything"),
}


@pytest.fixture(params=FAILURES.values(), ids=FAILURES)
def failure(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> BaseException:
    """Saving that breaks off after half of the bytes."""

    def half(tensors: Any, path: str | os.PathLike, metadata: Any = None) -> None:
        Path(path).write_bytes(b"half of a file")
        raise request.param

    monkeypatch.setattr(save_module, "save_file", half)
    return request.param


def test_a_save_that_fails_leaves_nothing(failure: BaseException, tmp_path: Path) -> None:
    """Neither the target nor the temporary file."""
    with pytest.raises((InterpError, type(failure))):
        interp.save(model(), tmp_path / "model.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_save_that_fails_leaves_the_old_file(failure: BaseException, tmp_path: Path) -> None:
    """Untouched, though the user had asked to overwrite it."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"the old one")
    with pytest.raises((InterpError, type(failure))):
        interp.save(model(), path, force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]
    assert path.read_bytes() == b"the old one"


@pytest.mark.parametrize("name", ["the disk is full", "safetensors says so"])
def test_a_full_disk_is_the_users_to_mend(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So it is one message, as the docstring promises, whichever library reports it."""

    def full(*args: Any, **options: Any) -> None:
        raise FAILURES[name]

    monkeypatch.setattr(save_module, "save_file", full)
    with pytest.raises(InterpError, match=r"cannot write .*model\.safetensors"):
        interp.save(model(), tmp_path / "model.safetensors")


def test_the_file_appears_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """While the bytes are written the target is not there, and what is there has no suffix of a checkpoint."""
    seen: list[list[str]] = []
    original: Callable[..., None] = save_module.save_file

    def watched(tensors: Any, path: Any, metadata: Any = None) -> None:
        original(tensors, path, metadata=metadata)
        seen.append([p.name for p in tmp_path.iterdir()])

    monkeypatch.setattr(save_module, "save_file", watched)
    interp.save(model(), tmp_path / "model.safetensors")
    (during,) = seen
    assert len(during) == 1
    assert during[0].endswith(".partial")
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_a_model_that_shares_weights_is_saved_whole(tmp_path: Path) -> None:
    """`read_at` shares its parameters with the model that it reads; the file holds copies."""
    reader = make("plain").read_at(-1)  # type: ignore[operator]
    loaded = interp.load(interp.save(reader, tmp_path / "model.safetensors"), device="cpu").model
    assert loaded.config == reader.config
    assert same(loaded, reader)
