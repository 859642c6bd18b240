"""Training over Dask: a scheduler that is lost, workers that are missing or of another version, a cluster object for a spec."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

import interp
from interp._util import dask_workers
from interp._util.dask_workers import WorkersLost
from interp._util.parallel import parse_executor
from interp._util.progress_context import watched
from interp.errors import InterpError
from tests.interp._util.test_parallel import Cluster, distributed_warns
from tests.interp.training.test_shards import SETTINGS, assert_same

pytestmark = [pytest.mark.slow, distributed_warns]


def cluster(folder: Path, workers: int) -> Cluster:
    folder.mkdir()
    return Cluster(folder, workers)


def test_a_lost_scheduler(tmp_path: Path) -> None:
    """An error at once, which says how to go on; with another scheduler the run becomes what it would have been."""
    first, killed, told = cluster(tmp_path / "one", 2), [], []
    try:
        first.ready()

        def kill(done: int, total: int) -> None:
            killed.append(time.monotonic())
            first.scheduler.kill()

        out = tmp_path / "run"
        with pytest.raises(WorkersLost) as error, watched(told.append):
            interp.train(**SETTINGS, steps=300, executor=f"dask:{first.address}", out=out, shards_done=kill)
        assert time.monotonic() - killed[0] < 10
        command = rf"scheduler at {first.address} is gone; go on with: interp train --resume {out} --executor dask:"
        assert re.search(command, str(error.value))
    finally:
        first.stop()
    second = cluster(tmp_path / "two", 1)
    try:
        second.ready()
        run = interp.resume(out, executor=f"dask:{second.address}", device="cpu")
    finally:
        second.stop()
    assert any(re.search(r"of 5 members done, \d+% of the steps", text) for text in told)
    assert_same(run.path, interp.train(**SETTINGS, steps=300, out=tmp_path / "whole").path)


def test_no_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said at once that they are missing and how to start one; after a while that is an error."""
    monkeypatch.setattr(dask_workers, "WAIT_SECONDS", 1.0)
    alone, told, said = cluster(tmp_path / "dask", 0), [], ""
    try:
        for _ in range(100):
            with pytest.raises(InterpError) as error, watched(told.append):
                parse_executor(f"dask:{alone.address}")
            said = str(error.value)
            if "no workers" in said:
                break
            time.sleep(0.1)  # until the scheduler has come up
    finally:
        alone.stop()
    assert f"has no workers; start some: dask worker {alone.address}" in said
    assert told == [f"waiting: the Dask scheduler at {alone.address} has no workers; "
                    f"start one with: dask worker {alone.address}"]  # fmt: skip


def test_no_workers_on_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the only worker dies, that is said; with another one the run is finished."""
    monkeypatch.setattr(dask_workers, "LOOK_SECONDS", 0.5)
    one, told, later = cluster(tmp_path / "dask", 1), [], []

    def watch(text: str) -> None:
        told.append(text)
        if "has no workers" in text and not later:
            later.append(one.start_worker())

    try:
        one.ready()
        with watched(watch):
            run = interp.train(
                **SETTINGS, steps=300, executor=f"dask:{one.address}", out=tmp_path / "run",
                shards_done=lambda done, total: one.workers[0].kill(),
            )  # fmt: skip
    finally:
        one.stop()
    assert later
    assert_same(run.path, interp.train(**SETTINGS, steps=300, out=tmp_path / "whole").path)


def test_a_cluster_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What docs/how_to says of SLURMCluster, with a LocalCluster in its place; and a worker of another version."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as here:
        run = interp.train(**SETTINGS, steps=40, executor=here, out=tmp_path / "run")
        monkeypatch.setattr("interp._util.versions.__version__", "9.9")
        with pytest.raises(InterpError, match=r"on the Dask worker .* is .*, here 9\.9: install the same"):
            parse_executor(here)
    assert_same(run.path, interp.train(**SETTINGS, steps=40, out=tmp_path / "whole").path)
