"""Runs inputs in forked workers that watch time, memory and code; a worker that dies names its input."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch

from interp.errors import InterpError
from tests.fuzz.targets import Target

CONTEXT = multiprocessing.get_context("fork")
SECONDS = 10  # of CPU that one input may take
GRACE = 60  # seconds after which a worker that does not come back is ended, from outside of Python
MEMORY = 1 << 30  # bytes that a file of less than a megabyte may take
BEYOND = 4 << 30  # bytes of address space that a worker may map beyond what it has
SMALL = 1 << 20
# what no reader may do, as Python's audit events name it
FORBIDDEN = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
    "ctypes.dlopen",
    "pickle.find_class",
)


@dataclass(frozen=True)
class Failure:
    """An input that was neither read nor refused as it should be; `replay` makes it again.

    Attributes:
        target: name of the reader.
        number: of the input.
        what: the kind of failure: ``raised``, ``slow``, ``memory``, ``code``, ``died``.
        said: the error and where it arose.
    """

    target: str
    number: int
    what: str
    said: str


class Slow(BaseException):
    """Raised by the timer; not an Exception, so that no reader takes it for damage."""


def replay(target: Target, number: int, good: Path, folder: Path) -> Path:
    """Make one input.

    Args:
        target: whose input.
        number: of the input: everything random follows from it and the target's name.
        good: the folder of good inputs.
        folder: where it is written; emptied first.

    Returns:
        its path.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return target.mutate(good, folder, Random(f"{target.name}/{number}"))


def run(target: Target, numbers: Iterable[int], folder: Path, processes: int = 1) -> list[Failure]:
    """Try inputs in forked workers; after a death the next worker goes on behind the input that was fatal.

    Args:
        target: the reader.
        numbers: of the inputs.
        folder: for the files.
        processes: number of workers.

    Returns:
        The failures.
    """
    good, numbers = folder / "good", list(numbers)
    good.mkdir(parents=True)
    making = CONTEXT.Process(target=_make, args=(target, good))  # not in this process, whose memory is watched
    making.start()
    making.join()
    if making.exitcode:
        raise RuntimeError(f"the good input of {target.name} could not be written")
    waiting = {i: numbers[i::processes] for i in range(processes)}
    found: list[Failure] = []
    while any(waiting.values()):
        workers = {}
        for i, part in waiting.items():
            if part:
                (folder / f"notes{i}").write_text("")
                workers[i] = CONTEXT.Process(
                    target=_work, args=(target, part, good, folder / f"input{i}", folder / f"notes{i}")
                )
                workers[i].start()
        for i, worker in workers.items():
            worker.join()
            failures, waiting[i] = _after(target, waiting[i], folder / f"notes{i}", worker.exitcode)
            found += failures
    return found


def _make(target: Target, good: Path) -> None:
    """Write the good input."""
    torch.set_num_threads(1)  # this process has a copy of the other's pool, whose threads did not survive the fork
    target.make(good)


def _after(target: Target, part: list[int], notes: Path, exitcode: int | None) -> tuple[list[Failure], list[int]]:
    """The failures of a worker, and the inputs that it did not get to."""
    lines = [json.loads(line) for line in notes.read_text().splitlines()]
    found = [Failure(target.name, *line["failure"]) for line in lines if "failure" in line]
    if exitcode == 0:
        return found, []
    last = next((line["begun"] for line in reversed(lines) if "begun" in line), part[0])
    return [*found, Failure(target.name, last, "died", f"exit code {exitcode}")], part[part.index(last) + 1 :]


def _work(target: Target, numbers: list[int], good: Path, folder: Path, notes: Path) -> None:
    """The worker: one input after the other, every one begun on record."""
    with contextlib.suppress(ImportError):
        import h5py  # noqa: F401  asks for the name of the processor, by a program, when it is first imported
    events: list[str] = []
    sys.addaudithook(lambda event, args: events.append(f"{event} {str(args)[:100]}") if event in FORBIDDEN else None)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + BEYOND, size + BEYOND))
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115  libraries that warn on damaged files
    faulthandler.disable()  # a crash is told by the exit code; pytest's handler would print every thread
    signal.signal(signal.SIGPROF, _too_slow)
    torch.set_num_threads(1)  # as in `_make`
    with notes.open("a") as log:

        def note(line: dict[str, Any]) -> None:
            log.write(json.dumps(line) + "\n")
            log.flush()

        for number in numbers:
            path = replay(target, number, good, folder)
            note({"begun": number})
            events.clear()
            for what, said in _try(target, path, events):
                note({"failure": [number, what, said]})
    os._exit(0)  # nothing of the parent is cleaned up here


def _too_slow(*_: object) -> None:
    raise Slow


def _try(target: Target, path: Path, events: list[str]) -> Iterator[tuple[str, str]]:
    """Read an input, and say what is wrong with how that went."""
    before = _resident()
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark of memory starts anew
    faulthandler.dump_traceback_later(GRACE, exit=True)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        target.use(path)
    except InterpError:
        pass
    except Slow:
        yield "slow", f"more than {SECONDS} seconds of CPU"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        yield "raised", f"{type(error).__name__}: {str(error)[:200]} ({Path(place.filename).name}:{place.lineno})"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
    taken = _resident("VmHWM") - before
    if taken > MEMORY and _bytes(path) < SMALL:
        yield "memory", f"{taken >> 20} MiB"
    if events:
        yield "code", "; ".join(events[:3])


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else sum(f.stat().st_size for f in path.rglob("*") if f.is_file())


def _resident(field: str = "VmRSS") -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) << 10


def share(targets: list[Target], total: int) -> dict[str, int]:
    """How many of the inputs each target gets, by weight; at least one."""
    whole = sum(t.weight for t in targets)
    return {t.name: max(1, round(total * t.weight / whole)) for t in targets}


def run_all(targets: list[Target], total: int, first: int = 0, processes: int | None = None) -> list[Failure]:
    """Try many inputs of many targets, a process for every core, and print a line for each target.

    Args:
        targets: the readers.
        total: number of inputs.
        first: number of the first input of each.
        processes: number of workers at a time.

    Returns:
        The failures.
    """
    counts, found = share(targets, total), []
    with tempfile.TemporaryDirectory() as root:
        for target in targets:
            started = time.perf_counter()
            numbers = range(first, first + counts[target.name])
            failures = run(
                target, numbers, Path(root) / target.name.replace(" ", "_"), processes or os.cpu_count() or 1
            )
            found += failures
            took = time.perf_counter() - started
            print(
                f"{target.name:20} {counts[target.name]:6,} inputs {len(failures):4} failures {took:6.0f} s", flush=True
            )
    return found
