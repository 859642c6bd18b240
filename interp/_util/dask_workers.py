"""The workers of a Dask scheduler: reached, counted, compared with this installation, and watched while they work."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from interp._util.progress_context import log, tick
from interp.errors import InterpError

WAIT_SECONDS = 30.0  # for the first worker of a scheduler
SAY_SECONDS, LOOK_SECONDS = 60.0, 5.0  # how often missing workers are told, and looked for
SUITE = "interp-suite"


class WorkersLost(InterpError):
    """The work stopped because those who did it are gone; what they had saved is kept."""


def is_dask(given: object) -> bool:
    """Whether this is a Dask cluster or client, such as ``LocalCluster()``, ``SLURMCluster(...)`` or ``Client(...)``."""
    return hasattr(given, "scheduler_address") or (hasattr(given, "get_executor") and hasattr(given, "scheduler_info"))


class DaskWorkers:
    """Workers behind a scheduler.

    Args:
        place: the scheduler's address, or a cluster or client of the user's, which is left open.

    Attributes:
        address: of the scheduler.
        count: number of workers at the start.

    Raises:
        InterpError: no answer, no workers, or workers with another version of the suite.
    """

    def __init__(self, place: Any):
        try:
            from distributed import Client
        except ImportError:
            raise InterpError("dask.distributed is not installed: pip install 'interp-suite[cluster]'") from None
        self._make, self._client = Client, None
        # the cluster of a client brings its security along
        cluster = getattr(place, "cluster", None) or place
        scheduler: Any = getattr(cluster, "scheduler", None)
        self.address = str(
            place if isinstance(place, str) else getattr(cluster, "scheduler_address", None) or scheduler.address
        )
        self._place: Any = cluster if hasattr(cluster, "scheduler_address") else self.address
        self._seen = self._looked = time.monotonic()
        self._said = float("-inf")
        client = self._connect()
        try:
            self.count = self._wait_for_workers(client, getattr(self._place, "worker_spec", None))
            self._compare_versions(client)
        finally:
            client.close()

    def _connect(self) -> Any:
        reason = ""
        try:
            return self._make(self._place, timeout=10, set_as_default=False)
        except (OSError, ValueError, TimeoutError) as error:
            reason = type(error).__name__
        # a failed client is closed when it is garbage-collected; during the start of the next one that would deadlock
        gc.collect()
        raise InterpError(f"no Dask scheduler answers at {self.address} ({reason}); is it running?")

    def _wait_for_workers(self, client: Any, requested: Mapping[Any, Any] | None) -> int:
        """Their number; where a cluster has requested workers, they may stand in a queue for as long as it takes."""
        began, said = time.monotonic(), float("-inf")
        while not (found := _workers(client)):
            if not requested and time.monotonic() - began > WAIT_SECONDS:
                raise InterpError(
                    f"the Dask scheduler at {self.address} has no workers; start some: dask worker {self.address}"
                )
            if time.monotonic() - said > SAY_SECONDS:
                self._say_missing()
                said = time.monotonic()
            time.sleep(0.2)
        return max(found, len(requested or ()))

    def _say_missing(self) -> None:
        text = (
            f"waiting: the Dask scheduler at {self.address} has no workers; start one with: dask worker {self.address}"
        )
        log.warning("%s", text)
        tick(text)

    def _compare_versions(self, client: Any) -> None:
        """Refuse workers that have no suite, or another one: their plans and numbers could differ."""
        from interp._util.versions import __version__

        # a function of the standard library: a worker without the suite can run it, too
        found = client.run(version, SUITE, on_error="return")
        for worker, theirs in found.items():
            if isinstance(theirs, BaseException):
                theirs = "none" if "PackageNotFound" in type(theirs).__name__ else f"unknown ({type(theirs).__name__})"
            if theirs != __version__:
                raise InterpError(
                    f"the version of {SUITE} on the Dask worker {worker} is {theirs}, here {__version__}: "
                    f"install the same on all workers: pip install {SUITE}=={__version__}"
                )

    @contextmanager
    def open(self) -> Iterator[Executor]:
        """An executor over the workers.

        Yields:
            it; no retries: a job whose worker dies comes back at once, and `run_jobs` counts the attempts.

        Raises:
            WorkersLost: the scheduler does not answer any more.
        """
        try:
            self._client = self._connect()
        except InterpError as error:
            raise WorkersLost(str(error)) from None
        try:
            yield self._client.get_executor(pure=False, retries=0)
        finally:
            client, self._client = self._client, None
            with _silent():
                client.close(timeout=2)

    def check(self) -> None:
        """See that the scheduler is there, and tell if it has had no workers for a while.

        Raises:
            WorkersLost: the connection is gone.
        """
        client, now = self._client, time.monotonic()
        if client is None:
            return
        if client.status != "running":
            raise WorkersLost(f"the Dask scheduler at {self.address} is gone")
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        try:
            found = _workers(client)
        except OSError:
            raise WorkersLost(f"the Dask scheduler at {self.address} is gone") from None
        if found:
            self._seen = now
        elif now - self._seen > LOOK_SECONDS and now - self._said > SAY_SECONDS:
            self._said = now
            self._say_missing()


def _workers(client: Any) -> int:
    return len(client.scheduler_info(n_workers=-1)["workers"])


@contextmanager
def _silent() -> Iterator[None]:
    """Without distributed's own traceback of a connection that is gone: what there is to say, an error of ours says."""
    loggers = [logging.getLogger(f"distributed.{name}") for name in ("client", "utils", "core")]
    before = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for one, level in zip(loggers, before, strict=True):
            one.setLevel(level)
