"""Whatever is given instead of a path, a model or a task: a sentence that names its kind and the way on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import interp
from interp.errors import InterpError
from tests.models import make, subject

# what is given as the source: how to make it, its kind, and what to do instead
SOURCES: dict[str, tuple[Callable[[], Any], str, str]] = {
    "a state dict": (lambda: nn.Linear(2, 3).state_dict(), "an OrderedDict", r"torch\.save\(state_dict, path\)"),
    "a module": (lambda: nn.Linear(2, 3), "a Linear", r"interp\.wrap\(module, example\)"),
    "our model": (lambda: make("shared concat"), "a HookedMLP", "loaded already"),
    "a Subject": (lambda: subject("shared concat"), "a Subject", "loaded already"),
    "a class": (lambda: nn.Linear, "the class Linear", r"give a text or a pathlib\.Path"),
    "nothing": (lambda: None, "a NoneType", "give a text"),
    "bytes": (lambda: b"a.pt", "a bytes", "give a text"),
}


@pytest.mark.parametrize("row", SOURCES)
@pytest.mark.parametrize("function", [interp.load, interp.inspect])
def test_sources_of_other_kinds(function: Callable[[Any], Any], row: str) -> None:
    make_one, kind, way = SOURCES[row]
    with pytest.raises(InterpError, match=f"^{function.__name__} takes the path of a checkpoint, got {kind}: .*{way}"):
        function(make_one())


def test_a_run_is_a_source_of_subjects() -> None:
    run = interp.train("addition:p=3", steps=2, device="cpu")
    with pytest.raises(InterpError, match=r"got a Run: .*run\.subject\(member=0\)"):
        interp.load(run)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("name", "value"), [("step", "5"), ("step", 1.0), ("member", None), ("member", True)])
def test_steps_and_members_are_numbers(tmp_path: Path, name: str, value: Any) -> None:
    path = interp.save(make("shared concat"), tmp_path / "a.safetensors")
    with pytest.raises(InterpError, match=f"{name} must be a whole number, got {value!r}"):
        interp.load(path, **{name: value})


def test_a_subject_is_saved_with_its_task_and_step(tmp_path: Path) -> None:
    """What it knows goes into the file; what is given is taken instead."""
    one = subject("shared concat")
    one.step = 70
    again = interp.load(interp.save(one, tmp_path / "a.safetensors"), device="cpu")
    assert (again.task, again.step) == (one.task, 70)
    assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), one.model.parameters(), strict=True))
    spec = "modular:p=7,operation=subtract"
    other = interp.load(interp.save(one, tmp_path / "b.safetensors", task=spec, step=9), device="cpu")
    assert (other.require_task().spec_options()["operation"], other.step) == ("subtract", 9)


def test_a_subject_whose_task_has_no_spec(tmp_path: Path) -> None:
    """Its examples would be lost in silence, so it is refused; the model can be saved."""
    task = interp.Examples(torch.ones(4, 3), torch.tensor([0, 1, 2, 0]))
    one = interp.Subject("mine", make("shared concat"), task)
    with pytest.raises(InterpError, match="cannot be stored"):
        interp.save(one, tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())
    interp.save(one.model, tmp_path / "a.safetensors")


@pytest.mark.parametrize("given", [nn.Linear(2, 3), {"w": torch.ones(2)}, "a.pt", nn.Linear])
def test_what_cannot_be_saved(tmp_path: Path, given: Any) -> None:
    with pytest.raises(InterpError, match="a hooked model or a Subject is needed, got (a|the class) "):
        interp.save(given, tmp_path / "a.safetensors")


def test_paths_of_other_kinds() -> None:
    with pytest.raises(InterpError, match=r"save needs the path of a file, got an int: interp\.save\(model, path\)"):
        interp.save(make("shared concat"), 3)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (interp.ModularArithmetic, r"the class ModularArithmetic: make one, ModularArithmetic\(\.\.\.\)"),
        ({"name": "modular"}, "got a dict"),
        (None, "got a NoneType"),
        (7, "got an int"),
    ],
)
def test_tasks_of_other_kinds(given: Any, message: str) -> None:
    with pytest.raises(InterpError, match=message):
        interp.make_task(given)
