"""Work spread over processes or machines, by any object with the interface of `concurrent.futures.Executor`."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import AbstractContextManager
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeVar

from typing_extensions import override

from interp._util.dask_workers import DaskWorkers, WorkersLost, is_dask
from interp.errors import InterpError, unknown

Job = TypeVar("Job")
Done = TypeVar("Done")
ATTEMPTS = 3  # after this many rounds without a result, the remaining jobs are assumed to kill their workers
LOOK_SECONDS = 0.5  # how often those who work are looked at


class Serial(Executor):
    """Runs every job at once, in this process."""

    @override
    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # raised when the result is asked for, as by every executor
            future.set_exception(error)
        return future


@dataclass(frozen=True)
class Workers:
    """Where work is done.

    Attributes:
        open: makes an executor; called again if the last one broke.
        count: number of workers that share the work.
        name: as `parse_executor` reads it; empty for this process.
        check: called now and then while they work; raises `WorkersLost` if they are gone.
    """

    open: Callable[[], AbstractContextManager[Executor]]
    count: int
    name: str = ""
    check: Callable[[], None] = lambda: None


def parse_executor(spec: Any) -> Workers:
    """Read a user's choice of executor.

    Args:
        spec: ``process:4`` for four processes on this machine, ``dask:ADDRESS`` for the workers of a running Dask scheduler,
            a Dask cluster or client (``LocalCluster``, ``SLURMCluster``), or None for this process.

    Returns:
        The workers; processes are started only when there is work.

    Raises:
        InterpError: another kind, no count, no scheduler at the address, or dask.distributed is not installed.

    >>> parse_executor("process:2").count
    2
    """
    if spec is None:
        return Workers(Serial, 1)
    if is_dask(spec):
        return _dask(spec)
    if not isinstance(spec, str):
        raise InterpError(f"cannot read the executor {spec!r}: write process:4 for four processes, or dask:ADDRESS")
    kind, _, rest = spec.partition(":")
    if kind == "process":
        if not rest.isdigit() or int(rest) < 1:
            raise InterpError(f"cannot read the executor {spec!r}: write process:4 for four processes")
        # a fresh interpreter per worker: torch's threads do not survive a fork
        context = multiprocessing.get_context("spawn")
        return Workers(lambda: ProcessPoolExecutor(int(rest), mp_context=context), int(rest), spec)
    if kind == "dask":
        if not rest:
            raise InterpError(
                f"cannot read the executor {spec!r}: write dask:ADDRESS, such as dask:tcp://10.0.0.1:8786"
            )
        return _dask(rest)
    raise InterpError(unknown("executor", spec, ("process:N", "dask:ADDRESS")))


def _dask(place: Any) -> Workers:
    found = DaskWorkers(place)
    return Workers(found.open, found.count, f"dask:{found.address}", found.check)


def run_jobs(
    workers: Workers,
    function: Callable[[Job], Done],
    jobs: Sequence[Job],
    done: Callable[[int, Done], None] | None = None,
    watch: Callable[[], None] | None = None,
) -> list[Done]:
    """Run a function on every job; a job whose worker dies is run again.

    Args:
        workers: where the jobs run.
        function: importable by the workers, and safe to run again after an interruption at any point.
        jobs: its arguments, picklable.
        done: called with a job's position and result as each is finished.
        watch: called every half second while jobs run.

    Returns:
        The results in the order of the jobs.

    Raises:
        WorkersLost: workers died three times in a row without finishing anything, or their scheduler is gone.
        Exception: whatever the function itself raises.
    """
    results: dict[int, Done] = {}
    fruitless = (
        0  # rounds in a row that finished nothing; a broken pool fails innocent jobs too, so none is singled out
    )
    while len(results) < len(jobs):
        before, lost = len(results), None
        with workers.open() as executor:
            futures = {executor.submit(function, job): i for i, job in enumerate(jobs) if i not in results}
            pending = set(futures)
            while pending:
                ready, pending = wait(pending, LOOK_SECONDS, FIRST_COMPLETED)
                for place, future in sorted(((futures[f], f) for f in ready), key=itemgetter(0)):
                    try:
                        results[place] = future.result()
                    except Exception as error:
                        if not _worker_died(error):
                            raise
                        lost = error
                        continue
                    if done is not None:
                        done(place, results[place])
                workers.check()
                if watch is not None:
                    watch()
        fruitless = fruitless + 1 if len(results) == before else 0
        if fruitless >= ATTEMPTS:
            left = [i for i in range(len(jobs)) if i not in results]
            raise WorkersLost(
                f"the workers of {'job' if len(left) == 1 else 'jobs'} {', '.join(map(str, left[:8]))} of {len(jobs)} died "
                f"{ATTEMPTS} times ({type(lost).__name__}); out of memory? use fewer workers, or smaller shards"
            ) from lost
    return [results[i] for i in range(len(jobs))]


def _worker_died(error: BaseException) -> bool:
    return isinstance(error, (BrokenExecutor, CancelledError)) or type(error).__module__.startswith("distributed.")
