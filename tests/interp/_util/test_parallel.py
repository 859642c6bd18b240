"""Work spread over processes and over a real Dask scheduler, whose workers are killed on the way."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from interp._util.parallel import Workers, parse_executor, run_jobs
from interp.errors import InterpError, UnknownName
from tests.conftest import ROOT
from tests.interp import jobs

QUIET = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
    "PYTHONPATH": str(ROOT),
}


@pytest.mark.parametrize("spec", [None, "process:2"])
def test_results_in_order(spec: str | None) -> None:
    """The results stand in the order of the jobs, and each is reported once, with its place."""
    seen: list[tuple[int, int]] = []
    found = run_jobs(parse_executor(spec), jobs.square, list(range(7)), lambda *done: seen.append(done))
    assert found == [n * n for n in range(7)]
    assert sorted(seen) == list(enumerate(found))


def test_no_jobs() -> None:
    """Nothing to do needs no worker."""

    def never() -> Executor:
        raise AssertionError("opened")

    assert run_jobs(Workers(never, 1), jobs.square, []) == []


def test_a_worker_that_dies(tmp_path: Path) -> None:
    """A job whose worker is killed runs again in a new pool; the result is complete, and nothing is reported twice."""
    seen: list[int] = []
    work = [(str(tmp_path), n) for n in range(5)]
    found = run_jobs(parse_executor("process:2"), jobs.die_once, work, lambda place, _: seen.append(place))
    assert (tmp_path / "died").exists()
    assert found == [n * n for n in range(5)]
    assert sorted(seen) == list(range(5))


def test_a_job_that_always_kills() -> None:
    """It is given up after three deaths, with an error that names a job; it does not run for ever."""
    with pytest.raises(InterpError, match=r"workers of job 0 of 1 died 3 times"):
        run_jobs(parse_executor("process:1"), jobs.die_always, [0])


@pytest.mark.parametrize("spec", [None, "process:2"])
def test_errors_of_the_function(spec: str | None) -> None:
    """What the function raises arrives as it is, and is no reason to run it again."""
    with pytest.raises(ZeroDivisionError, match="job 2 has no answer"):
        run_jobs(parse_executor(spec), jobs.fail, list(range(4)))


class Breaks(ThreadPoolExecutor):
    """A pool that breaks at its second job: what was not finished is lost, as in a process pool."""

    def __init__(self) -> None:
        super().__init__(1)
        self.count = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.count += 1
        if self.count != 2:
            return super().submit(fn, *args, **kwargs)
        lost: Future[Any] = Future()
        lost.set_exception(BrokenProcessPool("a worker died"))
        return lost


def test_only_what_was_lost_runs_again(tmp_path: Path) -> None:
    """Jobs whose results have arrived are not run a second time when the executor breaks."""
    work = [(str(tmp_path), n) for n in range(3)]
    assert run_jobs(Workers(Breaks, 1), jobs.mark_and_square, work) == [0, 1, 4]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["0.0", "1.0", "2.0"]


def test_bystanders_are_not_blamed(tmp_path: Path) -> None:
    """Three jobs that each lose one worker are not one job that lost three: all are finished in the end."""
    work = [(str(tmp_path), n) for n in range(4)]
    assert run_jobs(parse_executor("process:1"), jobs.die_once_each, work) == [0, 1, 4, 9]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("process", "write process:4"), ("process:", "write process:4"), ("process:two", "write process:4"),
        ("process:0", "write process:4"), ("process:-1", "write process:4"), ("dask", "write dask:ADDRESS"),
        ("threads:2", "unknown executor 'threads:2'"), ("", "unknown executor ''"),
        pytest.param(
            "dask:tcp://127.0.0.1:9", "no Dask scheduler answers at tcp://127.0.0.1:9",
            marks=pytest.mark.slow,  # it is given ten seconds to answer
        ),
        ("dask:nonsense", "no Dask scheduler answers at nonsense"),
    ],
)  # fmt: skip
# distributed's client warns of coroutines and sockets that it drops when no scheduler answers
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::RuntimeWarning", "ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_executors_that_are_none(spec: str, message: str) -> None:
    """Each says what to write, or what does not answer."""
    with pytest.raises((InterpError, UnknownName), match=message):
        parse_executor(spec)


class Cluster:
    """A Dask scheduler and workers on the loopback interface, each a process that can be killed."""

    def __init__(self, folder: Path, workers: int):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.folder, self.address = folder, f"tcp://127.0.0.1:{port}"
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
        self.workers: list[subprocess.Popen[bytes]] = []
        for _ in range(workers):
            self.start_worker()

    def start_worker(self) -> subprocess.Popen[bytes]:
        words = ("--no-nanny", "--nthreads", 1, "--no-dashboard", "--host", "127.0.0.1")
        self.workers.append(self._start("worker", self.address, *words))
        return self.workers[-1]

    def _start(self, kind: str, *argv: object) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "dask", kind, *map(str, argv)]
        silent = subprocess.DEVNULL
        return subprocess.Popen(words, cwd=self.folder, env=QUIET, stdout=silent, stderr=silent)

    def ready(self) -> Workers:
        """Wait until all workers have come."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                found = parse_executor(f"dask:{self.address}")
            except InterpError:
                found = None
            if found is not None and found.count == len(self.workers):
                return found
            time.sleep(0.1)
        raise AssertionError("the cluster did not come up")

    def stop(self) -> None:
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "dask").mkdir()
    found = Cluster(tmp_path / "dask", 2)
    yield found
    found.stop()


# distributed leaves sockets and coroutines to the garbage collector when a client is closed, and uses names that
# tornado and asyncio have deprecated
distributed_warns = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::RuntimeWarning", "ignore::DeprecationWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)  # fmt: skip


def waiting(marks: Path) -> set[int]:
    """The processes that are in the middle of a job, as soon as there is one."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := {int(p.suffix[1:]) for p in marks.iterdir() if p.stem.isdigit() and p.stem != "0"}:
            return found
        time.sleep(0.02)
    raise AssertionError("no job began")


@distributed_warns
def test_dask_with_a_worker_that_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    """kill -9 of one of two Dask workers: the other finishes all jobs, and none is reported twice."""
    workers, marks, seen = cluster.ready(), tmp_path / "marks", []
    marks.mkdir()
    assert workers.count == 2

    def kill_one(place: int, result: int) -> None:
        seen.append(place)
        if len(seen) == 1:
            victim = next(w for w in cluster.workers if w.pid in waiting(marks))
            os.kill(victim.pid, signal.SIGKILL)
            victim.wait()
            (marks / "go").touch()

    found = run_jobs(workers, jobs.wait_for_go, [(str(marks), n) for n in range(5)], kill_one)
    assert found == [n * n for n in range(5)]
    assert sorted(seen) == list(range(5))
    assert sum(w.poll() is not None for w in cluster.workers) == 1
