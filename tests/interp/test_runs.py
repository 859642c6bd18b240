"""A Subject knows the run that it came from; runs are opened by entry points."""

from __future__ import annotations

import gc
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import interp
from interp._util.registry import Plugin
from interp.errors import InterpError, MissingCapability, UnreadableFile
from interp.runs import RunLike, open_run
from tests.models import subject

SETTINGS = {"model": "mlp:hidden=4", "steps": 10, "device": "cpu"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> interp.Run:
    return interp.train("addition:p=4", members=2, out=tmp_path_factory.mktemp("runs") / "run", **SETTINGS)


def test_a_subject_of_a_run_has_that_run(trained: interp.Run) -> None:
    """The very same, whatever becomes of the subject."""
    one = trained.subject(1)
    assert one.run is trained
    assert replace(one, name="other").run is trained
    assert one.cast(None).run is trained
    assert isinstance(trained, RunLike)


def test_a_loaded_run(trained: interp.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`interp.load` of the folder gives it too, opened once and not before it is asked for."""
    opened: list[Path] = []
    original = interp.Run.__init__

    def counted(self: interp.Run, path: Path) -> None:
        opened.append(path)
        original(self, path)

    monkeypatch.setattr(interp.Run, "__init__", counted)
    one = interp.load(trained.path, member=1)
    assert opened == []
    run = one.run
    assert isinstance(run, interp.Run)
    assert one.run is run
    assert opened == [trained.path.resolve()]
    pd.testing.assert_frame_equal(run.metrics, trained.metrics)
    assert [dict(m) for m in run.plan.members] == [dict(m) for m in trained.plan.members]


def test_what_did_not_come_from_a_run(trained: interp.Run, tmp_path: Path) -> None:
    """A model in memory, a checkpoint alone, and a folder whose run.json is not a run's."""
    assert subject("plain").run is None
    (checkpoint, *_) = sorted((trained.path / "checkpoints").iterdir())
    assert interp.load(checkpoint).run is None
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / checkpoint.name).write_bytes(checkpoint.read_bytes())
    (tmp_path / "run.json").write_text("{}")
    assert interp.load(tmp_path).run is None


def test_a_run_that_is_gone(tmp_path: Path) -> None:
    """An error with the folder's name when the run is asked for; the network is there all the same."""
    made = interp.train("addition:p=4", out=tmp_path / "run", **SETTINGS)
    one = interp.load(made.path)
    (made.path / "run.json").unlink()
    with pytest.raises(UnreadableFile, match="holds no run"):
        _ = one.run


def test_a_run_of_another_format_still_loads(tmp_path: Path) -> None:
    """Its networks can be analysed; the run itself says which version wrote it."""
    made = interp.train("addition:p=4", out=tmp_path / "run", **SETTINGS)
    file = made.path / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 99}))
    one = interp.load(made.path)
    with pytest.raises(UnreadableFile, match="run format 99"):
        _ = one.run


def test_a_subject_keeps_a_temporary_run() -> None:
    """Its folder is there as long as the subject, and goes with it."""
    one = interp.train("addition:p=4", **SETTINGS).subject()
    gc.collect()
    path = one.run.path if one.run else Path()
    assert (path / "run.json").exists()
    del one
    gc.collect()
    assert not path.exists()


class Logbook:
    """A stranger's run."""

    def __init__(self, path: Path):
        if path.suffix != ".log":
            raise InterpError(f"{path} is not a logbook")
        self.path = path


def test_runs_of_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first opener that can opens it; where none can, the first reason stands."""
    group = {
        "broken": Plugin("broken", "tests", error="broken failed to import"),
        "logbook": Plugin("logbook", "tests", value=Logbook),
    }
    monkeypatch.setattr("interp.runs.load_group", lambda _: group)
    assert open_run(tmp_path / "a.log").path == tmp_path / "a.log"
    with pytest.raises(InterpError, match="broken failed to import"):
        open_run(tmp_path / "a.txt")
    monkeypatch.setattr("interp.runs.load_group", lambda _: {})
    with pytest.raises(MissingCapability, match=r"no installed package opens runs.*interp\.runs"):
        open_run(tmp_path)


def test_whole_numbers_of_numpy_are_members_and_steps() -> None:
    """As they stand in the index of a table of a run."""
    import numpy as np

    from tests.conftest import DEMO

    assert interp.load(DEMO, member=np.int64(0), step=np.int64(200)).step == 200  # pyright: ignore[reportArgumentType]
