"""All long runs behind the claims, from nothing to the tables in measured/: ``make evidence``.

    python examples/long_runs/evidence.py                    everything that is not done yet, two steps at a time
    python examples/long_runs/evidence.py --list             what there is, what is done, how long the rest takes
    python examples/long_runs/evidence.py skull_64 skull_twins           these steps, and what they stand on
    python examples/long_runs/evidence.py --measure skull_twins          measure now, with the runs that are finished

The steps stand in evidence/*.toml, a file per source. Ctrl-C stops each run after its step; the same command goes on from there.
What a run took goes to measured/evidence.csv. RUNS (runs/evidence) and INTERP_DATA name the folders of runs and of others' files.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from interp._util.files import atomic

from execute import data_folder
from long_runs.bench import HERE, Bench
from long_runs.steps import Step, chosen, steps

TABLE = HERE / "measured" / "evidence.csv"
BEATS = 2.0  # seconds between two looks at what is running


class Stop:
    """Ctrl-C, SIGTERM and a closed terminal, as a number that the loop looks at: no process is begun or ended halfway."""

    def __init__(self) -> None:
        self.asked, self._event, self._before = 0, threading.Event(), dict[signal.Signals, Any]()

    def __enter__(self) -> Stop:
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        self._before = {number: signal.signal(number, self._ask) for number in numbers}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, *signal_and_frame: object) -> None:
        self.asked += 1
        self._event.set()

    def wait(self, seconds: float) -> None:
        """Sleep, but for a signal."""
        self._event.wait(seconds)
        self._event.clear()


class Running:
    """A step at work, in a process group of its own: Ctrl-C in a terminal reaches it once, through this program."""

    def __init__(self, step: Step, bench: Bench, lock: ExitStack, held: IO[str]):
        self.step, self.bench, self.lock = step, bench, lock
        bench.begin(step)
        own = os.environ | {"OMP_NUM_THREADS": "1", "INTERP_DATA": str(bench.data)}
        with (bench.runs / f"{step.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                bench.argv(step), cwd=bench.runs, stdout=log, stderr=log, env=own, process_group=0,
                pass_fds=[held.fileno()],  # if this program is killed, the lock lives as long as the training
            )  # fmt: skip

    def over(self) -> bool:
        """Whether the process has ended; it is not reaped yet."""
        found = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return found is not None

    def end(self) -> str:
        """Wait for the process, keep its times, and return why it failed; empty if it did not."""
        _, ended, used = os.wait4(self.process.pid, 0)
        status = self.process.returncode = os.waitstatus_to_exitcode(ended)
        unwritten = self.bench.unwritten(self.step)
        self.bench.end(self.step, used.ru_utime + used.ru_stime, done=not (status or unwritten))
        self.lock.close()
        log = self.bench.runs / f"{self.step.name}.log"
        return (
            f"({status}); see {log}" if status else f"to write {', '.join(unwritten)}; see {log}" if unwritten else ""
        )


def stop(running: Sequence[Running], asked: Stop) -> None:
    """End what is at work, each run after its step; at once when asked again."""
    for one in running:
        one.process.terminate()
    waiting, before = list(running), asked.asked
    while waiting:
        if asked.asked > before:
            before = asked.asked
            for one in waiting:
                one.process.kill()
        for one in [one for one in waiting if one.over()]:
            one.end()
            waiting.remove(one)
        asked.wait(0.1)


def work(todo: Sequence[Step], bench: Bench, workers: int) -> int:
    """Run steps, so many at a time, each once all that it stands on is done. A step that another process is at is waited for.

    Returns:
        0; 1 where a step failed or could not start; 130 after Ctrl-C.
    """
    waiting = [step for step in todo if not bench.done(step)]
    every = steps()
    failed: list[str] = []
    running: list[Running] = []
    elsewhere: set[str] = set()
    with Stop() as asked:
        try:
            while (waiting or running) and not asked.asked:
                for step in list(waiting):
                    if lost := [*(name for name in step.after if name in failed), *bench.missing(step)]:
                        print(f"{step.name}: not run, for want of {', '.join(lost)}", flush=True)
                        failed.append(step.name)
                        waiting.remove(step)
                    elif (
                        len(running) < workers
                        and all(bench.done(every[name]) for name in step.after)
                        and not asked.asked
                    ):
                        begun = begin(step, bench, elsewhere)
                        if begun is not None:
                            waiting.remove(step)
                        if isinstance(begun, Running):
                            running.append(begun)
                        elif begun:
                            print(f"{step.name}: not run: {begun}", flush=True)
                            failed.append(step.name)
                asked.wait(BEATS)
                for one in [one for one in running if one.over()]:
                    running.remove(one)
                    if reason := one.end():
                        failed.append(one.step.name)
                        print(f"{one.step.name}: failed {reason}", flush=True)
                    else:
                        left = ahead([step for step in todo if not bench.done(step)], workers)
                        print(f"{one.step.name}: done in {_span(bench.minutes(one.step))}; {left}", flush=True)
                    write_table(every.values(), bench)
        finally:
            if running:
                print("stopping; Ctrl-C again stops at once, and loses up to half a minute", flush=True)
            stop(running, asked)
        if asked.asked:
            print("stopped; the same command goes on", flush=True)
            return 130
    return 1 if failed else 0


def begin(step: Step, bench: Bench, elsewhere: set[str]) -> Running | str | None:
    """Start a step: what is running, why it cannot ("" where another process has done it), or None while one is at it."""
    lock = ExitStack()
    held = lock.enter_context(bench.at_work(step))
    if held is None:
        if step.name not in elsewhere:
            print(f"{step.name}: another process is at it; waiting", flush=True)
            elsewhere.add(step.name)
        return None
    done, obstacle = bench.done(step), bench.obstacle(step)
    if done or obstacle:
        lock.close()
        return "" if done else obstacle
    print(f"{step.name}: {step.what}; about {_span(step.minutes)} of a core", flush=True)
    return Running(step, bench, lock, held)


def write_table(every: Iterable[Step], bench: Bench) -> None:
    """What finished runs and measures took, into measured/evidence.csv; rows of other machines stay."""
    rows = []
    for step in every:
        if step.kind != "files" and bench.done(step) and bench.whole(step):
            rows.append({
                "step": step.name, "source": step.source, "what": step.what,
                "core_minutes": round(bench.minutes(step), 1), "command": step.shown,
            })  # fmt: skip
    kept = pd.read_csv(TABLE) if TABLE.is_file() and TABLE.stat().st_size else pd.DataFrame(columns=["step"])
    kept = kept[~kept["step"].isin([row["step"] for row in rows])]
    table = pd.concat([kept, pd.DataFrame(rows)]) if rows else kept
    if len(table):
        with atomic(TABLE) as partial:
            table.sort_values(["source", "step"]).to_csv(partial, index=False)


def _span(minutes: float) -> str:
    return (
        f"{minutes / 60:.1f} h"
        if minutes >= 90
        else f"{minutes:.0f} min"
        if minutes >= 1.5
        else f"{60 * minutes:.0f} s"
    )


def ahead(left: Sequence[Step], workers: int) -> str:
    """What is left, in words."""
    minutes = sum(step.minutes for step in left)
    if not left:
        return "nothing is left"
    longest = max(step.minutes for step in left)
    many = "s" * (len(left) > 1)
    wall = _span(max(minutes / workers, longest))
    return f"{len(left)} step{many} left, about {_span(minutes)} of a core, {wall} with {workers}"


def show(every: Sequence[Step], bench: Bench, workers: int) -> None:
    """A line per step: done and its time, or its estimate; then what is left."""
    for step in every:
        state, blocked = bench.state(step), ""
        if state == "done":
            state += f", {_span(bench.minutes(step))}"
        elif missing := bench.missing(step):
            state = f"needs DATA/{', DATA/'.join(missing)}"
        elif obstacle := bench.obstacle(step):
            state, blocked = "blocked", f": {obstacle}"
        else:
            state += f", {_span(step.minutes)}" + (" in all" if state == "begun" else "")
        print(f"{step.name:28} {state:22} {step.what}{blocked}")
    print(ahead([step for step in every if not bench.done(step)], workers))


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="steps; all by default")
    parser.add_argument("--list", action="store_true", help="what there is, what is done, how long the rest takes")
    parser.add_argument(
        "--measure", action="store_true", help="the named measures now, with the runs that are finished"
    )
    parser.add_argument("--workers", type=_count, default=2, help="steps at a time, a thread each (2)")
    parser.add_argument("--runs", type=Path, default=Path(os.environ.get("RUNS", "runs/evidence")))
    parser.add_argument("--data", type=Path, default=data_folder())
    given = parser.parse_args(arguments)
    bench = Bench(given.runs.resolve(), given.data.resolve(), HERE)
    todo = chosen(given.names, steps())
    if given.runs.exists() and not given.runs.is_dir():
        parser.error(f"{given.runs} is a file; --runs names a folder")
    if given.list:
        show(todo, bench, given.workers)
        return 0
    try:
        bench.runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"{given.runs} cannot be made: {error.strerror}")
    if given.measure:
        return measure([step for step in todo if step.name in given.names or not given.names], bench)
    print(f"{ahead([step for step in todo if not bench.done(step)], given.workers)}; into {bench.runs}", flush=True)
    return work(todo, bench, given.workers)


def measure(asked: Sequence[Step], bench: Bench) -> int:
    """Measure with the runs that are finished.

    Returns:
        0; else that of the first measure that failed.

    Raises:
        SystemExit: nothing that was asked for is a measure.
    """
    measures = [step for step in asked if step.kind == "measures"]
    if not measures:
        raise SystemExit(f"{', '.join(step.name for step in asked)}: no measure; --list shows what there is")
    status = 0
    for step in measures:
        with bench.at_work(step) as held:
            if missing := bench.missing(step) if held else ["another process is at it"]:
                print(f"{step.name}: not run: {', '.join(missing)}", flush=True)
                status = status or 1
            else:
                status = status or subprocess.run(bench.argv(step), cwd=bench.runs, check=False).returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
