"""Checkpoints measured in other processes, and what is ticked on the way."""
# ruff: noqa: F811  (fixtures of other files)

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import interp
from interp import InterpError, ModularArithmetic
from interp._util.parallel import Workers
from interp._util.progress_context import tick, watched
from interp.history.progress import progress, track
from tests.interp.history.test_progress import fresh, run, same, trained  # noqa: F401
from tests.models import subject

NAMES = ["loss", "weight_norm", "local_complexity"]


def test_ticks(trained: Path) -> None:
    """How many are measured is told to the innermost watcher alone; without one, to nobody; a watcher goes with its block."""
    outer: list[str] = []
    inner: list[str] = []
    tick("nobody")
    with watched(outer.append):
        with watched(inner.append):
            progress(trained, ["loss"], cache=False)
        with pytest.raises(RuntimeError), watched(inner.append):
            raise RuntimeError
        with watched(None):
            tick("silenced")
        tick("outside")
    tick("nobody")
    assert inner == [f"{n} of 4 checkpoints measured" for n in (1, 2, 3, 4)]
    assert outer == ["outside"]


@pytest.mark.parametrize(("spec", "message"), [("proces:2", "did you mean 'process:N'"), ("process:0", "cannot read")])
def test_unknown_executors(trained: Path, spec: str, message: str) -> None:
    with pytest.raises(InterpError, match=message):
        track(interp.load(trained), NAMES, executor=spec)


def test_an_executor_of_another_kind(trained: Path) -> None:
    with pytest.raises(InterpError, match="cannot read the executor 2: write process:4"):
        track(interp.load(trained), NAMES, executor=2)  # type: ignore[arg-type]


def test_executors_of_what_is_in_memory(trained: Path, fresh: Path) -> None:
    """Other processes could not open it."""
    one = interp.load(trained)
    with pytest.raises(InterpError, match="was made in memory"):
        track(replace(one, origin={}), NAMES, executor="process:2")
    assert len(track(subject("plain"), ["loss"], executor="process:2").frame)  # one checkpoint needs no worker


@pytest.mark.slow
def test_workers(trained: Path) -> None:
    """Bit for bit what one process finds, with a task that load was given."""
    one = interp.load(trained, task=ModularArithmetic(7, train_fraction=0.5))
    serial, found = track(one, cache=False), track(one, executor="process:2", cache=False)
    assert same(found.frame, serial.frame)
    assert (found.skipped, found.options, found.computed) == (serial.skipped, serial.options, serial.computed)


@pytest.fixture
def spread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the executor, jobs are opened anew as in another process, but here: that takes no seconds."""
    workers = Workers(lambda: ThreadPoolExecutor(1), 2)
    monkeypatch.setattr("interp.history.progress.parse_executor", lambda spec: workers if spec else Workers(None, 1))  # type: ignore[arg-type]
    monkeypatch.setattr("interp.history.worker.torch.set_num_threads", lambda n: None)


@pytest.mark.usefixtures("spread")
@pytest.mark.parametrize("change", ["nothing", "member", "precision", "task"])
def test_workers_measure_the_subject_as_it_is(trained: Path, change: str) -> None:
    """What it was given after it was loaded counts in other processes too."""
    one = interp.load(trained, member=int(change == "member"))
    subtract = ModularArithmetic(7, "subtract", train_fraction=0.5).fit(one.model)
    one = replace(one, **{"precision": {"precision": torch.float32}, "task": {"task": subtract}}.get(change, {}))
    found = track(one, ["loss", "weight_norm"], executor="process:2", cache=False)
    assert same(found.frame, track(one, ["loss", "weight_norm"], cache=False).frame)


@pytest.mark.usefixtures("spread")
def test_workers_that_cannot_open_it(run: Path) -> None:
    """The run is gone when they begin: an error with a sentence."""
    one = interp.load(run)
    shutil.rmtree(run)
    with pytest.raises(InterpError, match="run"):
        track(one, NAMES, executor="process:2", cache=False)
