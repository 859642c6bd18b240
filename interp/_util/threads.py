"""Threads of torch: waiting threads that give way to other work, and few of them where the network is small.

OpenMP's threads spin while they wait for each other. On a machine that does other work, too, a network of many small
operations takes four times as long with two threads as with one (https://github.com/pytorch/pytorch/issues/80777). How long
they spin is read from the environment when torch is imported; later only their number can be changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

PASSIVE = {
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "0",
    "KMP_BLOCKTIME": "0",
}  # GNU's OpenMP, and LLVM's and Intel's
THEIRS = ("OMP_", "GOMP_", "KMP_", "MKL_NUM_THREADS")  # who sets any of these decides alone
SMALL = 5_000_000  # parameters; the products of larger networks are worth more threads
MOST_PASSIVE, MOST_SPINNING = 4, 1  # threads for a small network

Result = TypeVar("Result")
_state = {"passive": False}


def _set_by_user() -> bool:
    return any(name.startswith(THEIRS) for name in os.environ)


def wait_passively() -> None:
    """Let torch's threads sleep while they wait, unless torch is imported already or the user has set how they behave."""
    if "torch" in sys.modules or _set_by_user():
        return
    os.environ.update(PASSIVE)
    _state["passive"] = True


@contextmanager
def few_threads(parameters: int) -> Iterator[None]:
    """Use few threads for a small network, and afterwards as many as before.

    Args:
        parameters: of the network.

    Yields:
        nothing. Where the user has set the number of threads, by the environment or in torch, it stays.
    """
    import torch

    before, most = torch.get_num_threads(), MOST_PASSIVE if _state["passive"] else MOST_SPINNING
    theirs = before not in _defaults() or (_set_by_user() and not _state["passive"])
    if parameters > SMALL or before <= most or theirs:
        yield
        return
    torch.set_num_threads(most)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _defaults() -> set[int]:
    """With how many threads torch may start if nobody sets their number; any other number is the user's choice."""
    cores = {os.cpu_count() or 1}
    if hasattr(os, "sched_getaffinity"):
        cores.add(len(os.sched_getaffinity(0)))
    return cores | {n // 2 for n in cores}  # of cores with two hardware threads each, one is used


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Use so many threads, and afterwards as many as before.

    Args:
        count: how many.

    Yields:
        nothing.
    """
    import torch

    before = torch.get_num_threads()
    if before != count:  # to set it is slow, and MKL's number belongs to the whole process
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if before != count:
            torch.set_num_threads(before)


class Lanes:
    """Workers with one thread of torch each, as many as torch has threads: independent pieces of work, side by side.

    A few large pieces wait for each other once, where torch's own threads wait at every operation.
    """

    def __init__(self) -> None:
        import torch

        self.count = torch.get_num_threads()
        self._pool: ThreadPoolExecutor | None = None

    def run(self, work: Sequence[Callable[[], Result]], alone: int) -> list[Result]:
        """Do all pieces.

        Args:
            work: functions that share nothing which they change.
            alone: threads for a single piece.

        Returns:
            what they return, in their order.
        """
        import torch

        if self.count == 1 or len(work) < 2:
            with threads(min(alone, self.count)):
                return [piece() for piece in work]
        if self._pool is None:
            # OpenMP's number of threads belongs to the thread that sets it, MKL's to the process
            self._pool = ThreadPoolExecutor(self.count, "lane", initializer=torch.set_num_threads, initargs=(1,))
        with threads(1):
            return [done.result() for done in [self._pool.submit(piece) for piece in work]]
