"""All long runs behind the claims, from nothing to the tables in measured/: ``make evidence``.

    python examples/long_runs/evidence.py                    everything that is not done yet, two steps at a time
    python examples/long_runs/evidence.py --list             what there is, what is done, how long the rest takes
    python examples/long_runs/evidence.py skull_64 skull_twins           these steps, and what they stand on
    python examples/long_runs/evidence.py --measure skull_twins          measure now, with the runs that are finished

The steps stand in evidence/*.toml, a file per source. Ctrl-C stops at the next checkpoint; the same command goes on from there.
What a run took goes to measured/evidence.csv. RUNS (runs/evidence) and INTERP_DATA name the folders of runs and of others' files.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

HERE = Path(__file__).parents[1]
sys.path.insert(0, str(HERE))

from execute import data_folder  # noqa: E402
from long_runs.steps import Step, chosen, steps  # noqa: E402

TABLE = HERE / "measured" / "evidence.csv"
BEATS = 2.0  # seconds between two looks at what is running


@dataclass(frozen=True)
class Bench:
    """Where steps run, and what was done there."""

    runs: Path
    data: Path

    def argv(self, step: Step) -> list[str]:
        """The command of a step; a training that has a folder goes on in it."""
        if step.kind == "runs" and (self.runs / step.name / "run.json").is_file():
            return [*_interp(), "train", "--resume", step.name]
        words = [word.format(data=self.data, here=HERE) for word in shlex.split(step.command)]
        program = {"interp": _interp(), "python": [sys.executable]}.get(words[0], words[:1])
        return [*program, *words[1:], *(["--out", step.name] if step.kind == "runs" else [])]

    def missing(self, step: Step) -> list[str]:
        """Files of others that a step reads and that are not there."""
        named = (word.removeprefix("{data}/") for word in shlex.split(step.command) if word.startswith("{data}"))
        return [name for name in named if not (self.data / name).exists()]

    def record(self, step: Step) -> dict[str, object]:
        """What the step took so far: ``command``, ``core_minutes``, ``done``."""
        path = self._record(step)
        return json.loads(path.read_text(encoding="utf8")) if path.is_file() else {}

    def done(self, step: Step) -> bool:
        """Whether a step is finished, by the command that stands in the table now."""
        told = self.record(step)
        if not told.get("done") or told["command"] != step.shown:
            return False
        if step.kind == "runs":
            return (self.runs / step.name / "run.json").is_file()
        folder = HERE / "measured" if step.kind == "measures" else self.runs
        return all((folder / name).is_file() for name in step.writes)

    def add(self, step: Step, core: float, done: bool) -> None:
        """Add the CPU time that a process of this step took, in seconds."""
        told = self.record(step)
        before = float(str(told["core_minutes"])) if told.get("command") == step.shown else 0.0
        told = {"command": step.shown, "core_minutes": before + core / 60, "done": done}
        self._record(step).write_text(json.dumps(told, indent=1), encoding="utf8")

    def _record(self, step: Step) -> Path:
        return self.runs / f"{step.name}.step.json"


def _interp() -> list[str]:
    return [str(Path(sys.executable).with_name("interp"))]


class Running:
    """A step at work."""

    def __init__(self, step: Step, bench: Bench):
        self.step, self.bench = step, bench
        own = os.environ | {"OMP_NUM_THREADS": "1", "INTERP_DATA": str(bench.data)}
        with (bench.runs / f"{step.name}.log").open("ab") as log:
            self.process = subprocess.Popen(bench.argv(step), cwd=bench.runs, stdout=log, stderr=log, env=own)

    def over(self) -> bool:
        """Whether the process has ended; it is not reaped yet."""
        found = os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return found is not None

    def end(self) -> int:
        """Wait for the process, keep its times, and return its exit status."""
        _, ended, used = os.wait4(self.process.pid, 0)
        status = self.process.returncode = os.waitstatus_to_exitcode(ended)
        self.bench.add(self.step, used.ru_utime + used.ru_stime, done=status == 0)
        return status


def work(todo: Sequence[Step], bench: Bench, workers: int) -> int:
    """Run steps, so many at a time, each once all that it stands on is done.

    Returns:
        0; 1 where a step failed or could not start; 130 after Ctrl-C.
    """
    waiting = [step for step in todo if not bench.done(step)]
    every = steps()
    failed: list[str] = []
    running: list[Running] = []
    try:
        while waiting or running:
            for step in list(waiting):
                lost = [name for name in step.after if name in failed]
                if lost or bench.missing(step):
                    print(f"{step.name}: not run, for want of {', '.join(lost + bench.missing(step))}", flush=True)
                    failed.append(step.name)
                    waiting.remove(step)
                elif len(running) < workers and all(bench.done(every[name]) for name in step.after):
                    waiting.remove(step)
                    running.append(Running(step, bench))
                    print(f"{step.name}: {step.what}; about {_span(step.minutes)} of a core", flush=True)
            if not running and waiting:
                raise SystemExit(f"these steps wait for one another: {', '.join(step.name for step in waiting)}")
            time.sleep(BEATS)
            for one in [one for one in running if one.over()]:
                running.remove(one)
                status = one.end()
                if status:
                    failed.append(one.step.name)
                    print(f"{one.step.name}: failed ({status}); see {bench.runs / one.step.name}.log", flush=True)
                else:
                    took = bench.record(one.step)["core_minutes"]
                    left = [step for step in todo if not bench.done(step)]
                    print(f"{one.step.name}: done in {_span(float(str(took)))}; {ahead(left, workers)}", flush=True)
                write_table(every.values(), bench)
    except KeyboardInterrupt:
        for one in running:
            one.process.terminate()  # a shell that starts it in the background has it ignore Ctrl-C
        for one in running:
            one.end()
        print("stopped; the same command goes on", flush=True)
        return 130
    return 1 if failed else 0


def write_table(every: Iterable[Step], bench: Bench) -> None:
    """What finished runs and measures took, into measured/evidence.csv; rows of other machines stay."""
    rows = []
    for step in every:
        if step.kind != "files" and bench.done(step):
            told = bench.record(step)
            took = round(float(str(told["core_minutes"])), 1)
            rows.append(
                {
                    "step": step.name,
                    "source": step.source,
                    "what": step.what,
                    "core_minutes": took,
                    "command": step.shown,
                }
            )
    kept = pd.read_csv(TABLE) if TABLE.is_file() else pd.DataFrame(columns=["step"])
    kept = kept[~kept["step"].isin([row["step"] for row in rows])]
    table = pd.concat([kept, pd.DataFrame(rows)]) if rows else kept
    if len(table):
        table.sort_values(["source", "step"]).to_csv(TABLE, index=False)


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
    return f"{len(left)} steps left, about {_span(minutes)} of a core, {_span(max(minutes / workers, longest))} with {workers}"


def show(every: Sequence[Step], bench: Bench, workers: int) -> None:
    """A line per step: done and its time, or its estimate; then what is left."""
    for step in every:
        told = bench.record(step)
        if bench.done(step):
            state = f"done, {_span(float(str(told['core_minutes'])))}"
        elif missing := bench.missing(step):
            state = f"needs DATA/{', DATA/'.join(missing)}"
        elif step.kind == "runs" and (bench.runs / step.name / "run.json").is_file():
            state = f"begun, {_span(step.minutes)} in all"
        else:
            state = f"to do, {_span(step.minutes)}"
        print(f"{step.name:28} {state:22} {step.what}")
    print(ahead([step for step in every if not bench.done(step)], workers))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="steps; all by default")
    parser.add_argument("--list", action="store_true", help="what there is, what is done, how long the rest takes")
    parser.add_argument(
        "--measure", action="store_true", help="the named measures now, with the runs that are finished"
    )
    parser.add_argument("--workers", type=int, default=2, help="steps at a time, a thread each (2)")
    parser.add_argument("--runs", type=Path, default=Path(os.environ.get("RUNS", "runs/evidence")))
    parser.add_argument("--data", type=Path, default=data_folder())
    given = parser.parse_args(arguments)
    bench = Bench(given.runs.resolve(), given.data.resolve())
    todo = chosen(given.names, steps())
    if given.list:
        show(todo, bench, given.workers)
        return 0
    bench.runs.mkdir(parents=True, exist_ok=True)
    if given.measure:
        measures = [step for step in todo if step.kind == "measures" and (step.name in given.names or not given.names)]
        return max(
            (subprocess.run(bench.argv(step), cwd=bench.runs, check=False).returncode for step in measures), default=0
        )
    print(f"{ahead([step for step in todo if not bench.done(step)], given.workers)}; into {bench.runs}", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return work(todo, bench, given.workers)


if __name__ == "__main__":
    sys.exit(main())
