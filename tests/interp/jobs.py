"""Jobs for workers of other processes, which import them by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def square(number: int) -> int:
    return number * number


def mark_and_square(job: tuple[str, int]) -> int:
    """Leaves a file per call, so that a test can count them."""
    folder, number = job
    handle, n = None, 0
    while handle is None:
        try:
            handle = os.open(Path(folder) / f"{number}.{n}", os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            n += 1
    os.close(handle)
    return number * number


def die_once(job: tuple[str, int]) -> int:
    """Job 1 kills its worker the first time that it runs."""
    folder, number = job
    mark = Path(folder) / "died"
    if number == 1 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def die_once_each(job: tuple[str, int]) -> int:
    """Jobs 0, 1 and 2 kill their workers, one after the other; job 3 harms nobody."""
    folder, number = job
    mark = Path(folder) / f"died{number}"
    if number < 3 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def die_always(number: int) -> int:
    if number == 0:
        os._exit(3)
    return number


def fail(number: int) -> int:
    if number == 2:
        raise ZeroDivisionError(f"job {number} has no answer")
    return number


def wait_for_go(job: tuple[str, int]) -> int:
    """Says who runs it; all but job 0 wait until the file ``go`` is there."""
    folder, number = job
    (Path(folder) / f"{number}.{os.getpid()}").touch()
    deadline = time.monotonic() + 60
    while number and not (Path(folder) / "go").exists():
        if time.monotonic() > deadline:
            raise TimeoutError("nobody said go")
        time.sleep(0.02)
    return number * number
