"""A run whose members are spread over workers is the run that one process would have made."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import interp
from interp._util.parallel import Workers
from interp.errors import InterpError
from tests.conftest import ROOT
from tests.interp._util.test_parallel import Cluster, distributed_warns
from tests.interp.training.ensembles import gap, weights_of
from tests.interp.training.worker import CONTEXT

MEMBERS = [{"seed": s, "data_seed": s, "lr": 0.3 if s % 2 else 0.05} for s in range(5)]
SETTINGS: dict[str, Any] = {
    "task": "parity:n=8,k=2,n_train=40,n_test=40", "model": "mlp:hidden=24,dropout=0.1", "members": MEMBERS,
    "batch_size": 16, "metrics": "every:10", "checkpoints": "every:20", "device": "cpu",
    "dtype": "float64",
}  # fmt: skip


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def assert_same(sharded: Path, whole: Path) -> None:
    """The same rows in the same order, the same checkpoints, and weights to the rounding of another batching."""
    ours, theirs = rows(sharded), rows(whole)
    assert [(r["step"], r["member"]) for r in ours] == [(r["step"], r["member"]) for r in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, rel=1e-9)
    names = [sorted(p.name for p in (folder / "checkpoints").iterdir()) for folder in (sharded, whole)]
    assert names[0] == names[1]
    for i in range(len(MEMBERS)):
        for step in (0, 40, None):
            assert gap(*(weights_of(interp.Run(p), i, step) for p in (sharded, whole))) < 1e-10
    assert not (sharded / "shards").exists()


def test_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes make the run that one makes, and count all members; more steps go on from what was merged."""
    monkeypatch.setattr("interp._util.parallel.multiprocessing.get_context", lambda _: CONTEXT)  # torch is loaded there
    seen: list[tuple[int, int]] = []
    run = interp.train(
        **SETTINGS, steps=40, executor="process:2", out=tmp_path / "run", shards_done=lambda *n: seen.append(n)
    )
    assert seen[-1] == (5, 5)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert run.finished
    interp.resume(run.path, steps=80, device="cpu")
    assert_same(run.path, interp.train(**SETTINGS, steps=80, out=tmp_path / "whole").path)


def test_retirement_in_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a shard's members have all retired, the checkpoints are still those of the run that one process makes."""
    here = Workers(lambda: ThreadPoolExecutor(1), 2)  # what shards come to does not depend on who trains them
    monkeypatch.setattr("interp.training.launch.parse_executor", lambda spec: here)
    runs = [
        interp.train(**SETTINGS, retire=0.9, steps=80, executor=executor, out=tmp_path / str(executor))
        for executor in ("process:2", None)
    ]
    ends = runs[1].metrics.groupby("member")["step"].max()
    assert ends.min() < 80 == ends.max()  # some retire, and not all
    assert_same(runs[0].path, runs[1].path)


def test_bad_plans_do_not_reach_a_worker(tmp_path: Path) -> None:
    """What does not fit is said here, before anything is written."""
    with pytest.raises(InterpError, match="does not fit the model"):
        interp.train(
            **{**SETTINGS, "model": interp.MLPConfig(hidden=(4,), d_out=1, d_in=9)}, steps=10, executor="process:2",
            out=tmp_path / "run",
        )  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_an_executor_for_a_run_without_shards(tmp_path: Path) -> None:
    """A run that was begun in one process is not resumed in several."""
    whole = interp.train(**SETTINGS, steps=5, out=tmp_path / "run").path
    with pytest.raises(InterpError, match="not begun in shards"):
        interp.resume(whole, executor="process:2")


@pytest.mark.slow
@distributed_warns
def test_dask_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    """Shards on two Dask workers, one of which is killed with -9 when it has begun: the same run, nothing twice."""
    (tmp_path / "dask").mkdir()
    cluster = Cluster(tmp_path / "dask", 2)
    try:
        cluster.ready()
        killed: list[int] = []

        def kill_one(done: int, total: int) -> None:
            if not killed:
                killed.append(cluster.workers[0].pid)
                os.kill(cluster.workers[0].pid, signal.SIGKILL)

        run = interp.train(
            **SETTINGS, steps=1500, executor=f"dask:{cluster.address}", out=tmp_path / "run", shards_done=kill_one
        )
    finally:
        cluster.stop()
    assert killed
    assert_same(run.path, interp.train(**SETTINGS, steps=1500, out=tmp_path / "whole").path)


MAIN = """
import sys, interp
from tests.interp.training.test_shards import SETTINGS
from pathlib import Path
if __name__ == "__main__":
    if Path(sys.argv[1]).exists():
        interp.resume(sys.argv[1], executor="process:2", device="cpu")
    else:
        interp.train(**SETTINGS, steps=int(sys.argv[2]), executor="process:2", out=sys.argv[1])
"""


def children(pid: int) -> list[int]:
    """The processes that a process started and that train shards."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                command = (folder / "cmdline").read_text()
            except OSError:
                continue
            if parent == pid and "spawn_main" in command:
                found.append(int(folder.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds the workers in /proc")
@pytest.mark.parametrize("victim", ["worker", "everything"])
def test_a_kill_on_the_way(tmp_path: Path, victim: str) -> None:
    """A worker that is killed is replaced; a whole run that is killed is resumed: the result is the same."""
    script, folder, steps = tmp_path / "main.py", tmp_path / "run", 6000
    script.write_text(MAIN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    words = [sys.executable, str(script), str(folder), str(steps)]
    process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    for _ in range(1200):
        if len(list(folder.glob("shards/*/metrics.jsonl"))) >= 2:
            break
        time.sleep(0.05)
    time.sleep(0.3)
    workers = children(process.pid)
    assert workers
    os.kill(workers[0], signal.SIGKILL)
    if victim == "everything":
        process.kill()
        for worker in workers[1:]:
            os.kill(worker, signal.SIGKILL)
        process.communicate()
        process = subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    whole = interp.train(**SETTINGS, steps=steps, out=tmp_path / "whole")
    assert_same(folder, whole.path)
