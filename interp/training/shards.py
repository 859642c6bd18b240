"""A run in shards: its members are spread over workers, and each shard is a run of its own until all are merged.

A shard that was interrupted continues from its own state, wherever it is run again. All workers must see the run's folder.
"""

from __future__ import annotations

import itertools
import json
import os
import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from interp._util.dask_workers import WorkersLost
from interp._util.files import atomic, no_follow
from interp._util.parallel import Workers, run_jobs
from interp._util.schema import fits, parse_json
from interp.checkpoints.formats.header import HEADER, header_text
from interp.checkpoints.rows import write_rows
from interp.errors import UnreadableFile, in_file
from interp.hooked import build
from interp.training.cohorts import described
from interp.training.directory import RunDirectory
from interp.training.loop import proceed, start
from interp.training.member_plans import division
from interp.training.memory import member_bytes
from interp.training.merged import merged_metrics, merged_states, merged_weights
from interp.training.plan import Plan
from interp.training.shard_progress import Estimate

SHARD_BYTES = 512 << 20  # of weights, gradients and moments


@dataclass(frozen=True)
class Shard:
    """Some members of a run, as plain values that can be sent to any worker.

    Attributes:
        path: the shard's own folder.
        plan: of the whole run.
        first: its first member.
        last: the member after its last.
        steps: number of updates.
        device: where it trains.
        threads: torch's number of threads in the worker; 0 leaves it as it is.
    """

    path: str
    plan: Mapping[str, Any]
    first: int
    last: int
    steps: int
    device: str
    threads: int

    def part(self, plan: Plan) -> Plan:
        """The plan of the whole run with the shard's members only."""
        return replace(plan, members=plan.members[self.first : self.last])


def train_shard(shard: Shard) -> str:
    """Train a shard to its end from wherever it is; safe to call again after a kill. Returns its folder."""
    if shard.threads:
        torch.set_num_threads(shard.threads)
    path = Path(shard.path)
    if (path / "run.json").exists():
        proceed(path, shard.steps, shard.device)
    else:
        if path.exists():
            shutil.rmtree(path)  # a worker died before it wrote the plan
        plan = Plan.from_dict(shard.plan)
        plan = replace(plan, starts=plan.starts.at(path.parent.parent))  # the folder of the whole run
        start(shard.part(plan), path, shard.device)
    return shard.path


Counter = Callable[[int, int], None]


def train_in_shards(
    directory: RunDirectory, workers: Workers, device: str = "auto", progress: Counter | None = None
) -> RunDirectory:
    """Train all shards of a run, in whatever state they are, and merge them.

    Args:
        directory: the run.
        workers: who trains.
        device: where.
        progress: called with the number of members done and of all members.

    Returns:
        the run, finished.

    Raises:
        WorkersLost: the workers are gone; the message says how to go on.
    """
    plan, total = directory.plan, len(directory.plan.members)
    cohorts = [(one.ids, one.plan) for one in division(plan)]  # seconds for 10,000 members; their tasks are let go
    shards = _shards(directory, workers, device, [own for _, own in cohorts])
    finished, estimate = 0, Estimate(directory.path / "shards", plan)

    def count(place: int, path: str) -> None:
        nonlocal finished
        finished += shards[place].last - shards[place].first
        estimate.done = finished
        if progress is not None:
            progress(finished, total)

    try:
        run_jobs(workers, train_shard, shards, count, estimate.tell)
    except WorkersLost as lost:
        where = f" --executor {workers.name}" if workers.name else ""
        raise WorkersLost(
            f"{lost}; go on with: interp train --resume {shlex.quote(str(directory.path))}{where}"
        ) from lost.__cause__
    merge(directory, [(s.first, RunDirectory(Path(s.path), s.part(plan))) for s in shards], cohorts)
    return directory


def _shards(directory: RunDirectory, workers: Workers, device: str, cohorts: Sequence[Plan]) -> list[Shard]:
    """The division into shards: that of an earlier attempt, or the number that `shard_count` says."""
    plan, folder = directory.plan, directory.path / "shards"
    stored = folder / "division.json"
    if stored.is_file():
        bounds = _bounds(stored, len(plan.members))
    else:
        n = shard_count(plan, workers.count, cohorts)
        bounds = [round(i * len(plan.members) / n) for i in range(n + 1)]
        with atomic(stored) as temporary:
            temporary.write_text(json.dumps(bounds))
    threads = max(1, (os.cpu_count() or 1) // workers.count) if workers.count > 1 else 0
    return [
        Shard(str((folder / f"{first:06d}").resolve()), plan.to_dict(), first, last, plan.steps, device, threads)
        for first, last in itertools.pairwise(bounds)
    ]


def shard_count(plan: Plan, workers: int, cohorts: Sequence[Plan]) -> int:
    """Two shards per worker, so that none is idle for long; more where one would be larger than `SHARD_BYTES`.

    Then each fits beside the others into memory, a state is saved in a second or two, and a lost worker loses little.

    Args:
        plan: of the run.
        workers: how many train at the same time.
        cohorts: the plans of its `division`.

    Returns:
        the number of shards, at most one per member.
    """
    with torch.device("meta"):
        size = max(member_bytes(one, build(one.model)) for one in cohorts)
    return min(len(plan.members), max(2 * workers, -(-len(plan.members) * size // SHARD_BYTES)))


def _bounds(division: Path, members: int) -> list[int]:
    """The first members of the shards, and the end, as ``division.json`` has them."""
    with in_file(division), open(division, encoding="utf-8", opener=no_follow) as file:
        bounds = parse_json(file.read())
        whole = fits(bounds, list[int]) and bounds[:1] == [0] and bounds[-1] == members
        if not whole or any(a >= b for a, b in itertools.pairwise(bounds)):
            raise UnreadableFile(
                f"must hold rising whole numbers from 0 to the {members} members of the run; remove shards/ to begin again"
            )
    return bounds


def merge(
    directory: RunDirectory, shards: Sequence[tuple[int, RunDirectory]], cohorts: Sequence[tuple[Sequence[int], Plan]]
) -> None:
    """Put the finished shards of a run together; its state is written last, and shows that the merge is complete."""
    plan = directory.plan
    with atomic(directory.metrics_path, durable=True) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(merged_metrics([(first, shard.metrics_path) for first, shard in shards]))
    saved = [(first, shard.saved_steps()) for first, shard in shards]
    last = max(s for _, steps in saved for s in steps)
    several = described(cohorts) if len(cohorts) > 1 else None
    for step in sorted({s for _, steps in saved for s in steps}):
        if step != last and step not in plan.checkpoints:
            continue  # a shard ended there because all its members retired; the others have no weights of that step
        # a shard whose members have all retired has no later checkpoints: its last weights are final
        files = [(first, steps[max(s for s in steps if s <= step)]) for first, steps in saved]
        header = header_text(cohorts[0][1].model, plan.task, step, len(plan.members), several)
        path = directory.path / "checkpoints" / f"step_{step:08d}.safetensors"
        write_rows(path, *merged_weights(files, [ids for ids, _ in cohorts]), {HEADER: header})
    states = [(first, shard.state_path, state) for first, shard in shards if (state := shard.state()) is not None]
    state, shapes, rows = merged_states(states, [ids for ids, _ in cohorts], directory.metrics_path.stat().st_size)
    write_rows(directory.state_path, shapes, rows, state.metadata)
    shutil.rmtree(directory.path / "shards")
