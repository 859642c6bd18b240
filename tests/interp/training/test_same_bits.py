"""A run that is stopped and goes on is the same run: every byte, for every model and everything that changes a gradient."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch

import interp
from interp.training.cohorts import Cohorts
from interp.training.loop import Progress
from interp.training.plan import Plan
from tests.interp.training.setups import NAMES, everything, settings


def press_at(step: int):
    """A watcher that presses Ctrl-C once."""
    pressed: list[int] = []

    def press(seen: Progress) -> None:
        if seen.step >= step and not pressed:
            pressed.append(seen.step)
            signal.raise_signal(signal.SIGINT)

    return press


@pytest.mark.parametrize("name", NAMES)
def test_stopped_twice(tmp_path: Path, name: str) -> None:
    """Stopped at the first step and before the end: metrics, checkpoints and state are equal in every byte."""
    given = settings(name, tmp_path)
    interp.train(**given, out=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        interp.train(**given, out=tmp_path / "run", progress=press_at(1))
    with pytest.raises(KeyboardInterrupt):
        interp.resume(tmp_path / "run", device="cpu", progress=press_at(17))
    interp.resume(tmp_path / "run", device="cpu")
    expected, found = everything(tmp_path / "whole"), everything(tmp_path / "run")
    assert found.keys() == expected.keys()
    assert [file for file in found if found[file] != expected[file]] == []


@pytest.mark.parametrize("name", [n for n in NAMES if n.endswith("plain")])
def test_parameters_keep_the_models_order(tmp_path: Path, name: str) -> None:
    """In whatever order a file names them, a restored ensemble holds parameters and moments as a new one does."""
    with pytest.raises(KeyboardInterrupt):
        interp.train(**settings(name, tmp_path), out=tmp_path / "run", progress=press_at(5))
    run = interp.Run(tmp_path / "run")
    assert isinstance(run.plan, Plan)
    fresh, restored = (Cohorts(run.plan, torch.device("cpu")) for _ in range(2))
    assert run._directory.restore(restored)
    for new, old in zip(fresh.blocks, restored.blocks, strict=True):
        assert list(new.parameters) == list(old.parameters)
        assert list(new.optimizer.state()) == list(old.optimizer.state())
