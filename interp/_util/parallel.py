"""Work spread over processes or machines, by any object with the interface of `concurrent.futures.Executor`."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from typing_extensions import override

from interp.errors import InterpError, unknown

Job = TypeVar("Job")
Done = TypeVar("Done")
ATTEMPTS = 3  # after this many rounds without a result, the remaining jobs are assumed to kill their workers


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
    """

    open: Callable[[], AbstractContextManager[Executor]]
    count: int


def parse_executor(spec: str | None) -> Workers:
    """Read a user's choice of executor.

    Args:
        spec: ``process:4`` for four processes on this machine, ``dask:ADDRESS`` for the workers of a running Dask scheduler,
            or None for this process.

    Returns:
        The workers; processes are started only when there is work.

    Raises:
        InterpError: another kind, no count, no scheduler at the address, or dask.distributed is not installed.

    >>> parse_executor("process:2").count
    2
    """
    if spec is None:
        return Workers(Serial, 1)
    if not isinstance(spec, str):
        raise InterpError(f"cannot read the executor {spec!r}: write process:4 for four processes, or dask:ADDRESS")
    kind, _, rest = spec.partition(":")
    if kind == "process":
        if not rest.isdigit() or int(rest) < 1:
            raise InterpError(f"cannot read the executor {spec!r}: write process:4 for four processes")
        # a fresh interpreter per worker: torch's threads do not survive a fork
        context = multiprocessing.get_context("spawn")
        return Workers(lambda: ProcessPoolExecutor(int(rest), mp_context=context), int(rest))
    if kind == "dask":
        if not rest:
            raise InterpError(
                f"cannot read the executor {spec!r}: write dask:ADDRESS, such as dask:tcp://10.0.0.1:8786"
            )
        return _dask(rest)
    raise InterpError(unknown("executor", spec, ("process:N", "dask:ADDRESS")))


def _dask(address: str) -> Workers:
    try:
        from distributed import Client
    except ImportError:
        raise InterpError("dask.distributed is not installed: pip install 'interp-suite[cluster]'") from None
    client, reason = None, ""
    try:
        client = Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        reason = type(error).__name__
    if client is None:
        # a failed client is closed when it is garbage-collected; during the start of the next one that would deadlock
        gc.collect()
        raise InterpError(f"no Dask scheduler answers at {address} ({reason}); is it running?")
    count = len(client.scheduler_info(n_workers=-1)["workers"])
    client.close()
    if not count:
        raise InterpError(f"the Dask scheduler at {address} has no workers; start some: dask worker {address}")

    @contextmanager
    def open_executor() -> Iterator[Executor]:
        # no retries: a job whose worker dies comes back at once, and run_jobs counts the attempts
        with Client(address, timeout=10, set_as_default=False) as fresh:
            yield fresh.get_executor(pure=False, retries=0)

    return Workers(open_executor, count)


def run_jobs(
    workers: Workers,
    function: Callable[[Job], Done],
    jobs: Sequence[Job],
    done: Callable[[int, Done], None] | None = None,
) -> list[Done]:
    """Run a function on every job; a job whose worker dies is run again.

    Args:
        workers: where the jobs run.
        function: importable by the workers, and safe to run again after an interruption at any point.
        jobs: its arguments, picklable.
        done: called with a job's position and result as each is finished.

    Returns:
        The results in the order of the jobs.

    Raises:
        InterpError: workers died three times in a row without finishing anything.
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
            for future in as_completed(futures):
                place = futures[future]
                try:
                    results[place] = future.result()
                except Exception as error:
                    if not _worker_died(error):
                        raise
                    lost = error
                    continue
                if done is not None:
                    done(place, results[place])
        fruitless = fruitless + 1 if len(results) == before else 0
        if fruitless >= ATTEMPTS:
            left = [i for i in range(len(jobs)) if i not in results]
            raise InterpError(
                f"the workers of {'job' if len(left) == 1 else 'jobs'} {', '.join(map(str, left[:8]))} of {len(jobs)} died "
                f"{ATTEMPTS} times ({type(lost).__name__}); out of memory? use fewer workers, or smaller shards"
            ) from lost
    return [results[i] for i in range(len(jobs))]


def _worker_died(error: BaseException) -> bool:
    return isinstance(error, (BrokenExecutor, CancelledError)) or type(error).__module__.startswith("distributed.")
