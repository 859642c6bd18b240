"""Pieces of work on a CPU side by side: each on one thread, where torch alone would split every small operation.

Threads that share an operation wait for each other after each of them; pieces of some milliseconds meet once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch
from torch.utils._python_dispatch import _get_current_dispatch_mode

from interp.hooked.inputs import inside_transform

Job = TypeVar("Job")
Done = TypeVar("Done")
AHEAD = 2  # pieces per thread that may be finished before they are asked for


@torch.no_grad()
def in_order(work: Callable[[Job], Done], jobs: Iterable[Job], device: torch.device) -> Iterator[tuple[Job, Done]]:
    """Do pieces of work on as many threads as torch has, and give them back in their order.

    Args:
        work: without hooks, gradients and random numbers.
        jobs: the pieces.
        device: of their tensors; only on a CPU do they run side by side, and not under a torch mode such as FakeTensorMode,
            which other threads would not know.

    Yields:
        every piece with what became of it; at most `AHEAD` per thread are kept.
    """
    threads = torch.get_num_threads()
    if threads == 1 or device.type != "cpu" or _get_current_dispatch_mode() is not None or inside_transform():
        for job in jobs:
            yield job, work(job)
        return

    def quietly(job: Job) -> Done:
        with torch.no_grad():  # a thread starts with gradients
            return work(job)

    waiting: deque[tuple[Job, Future[Done]]] = deque()
    pool = ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,))
    try:
        for job in jobs:
            waiting.append((job, pool.submit(quietly, job)))
            if len(waiting) >= AHEAD * threads:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C, too
        torch.set_num_threads(threads)  # what threads that start later get
