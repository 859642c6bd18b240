"""The folder of a run that a loop of the user's own has recorded.

It is a run directory as `interp.train` writes it (``run.json``, ``metrics.jsonl``, ``checkpoints/``), without a plan and
without a state to continue from: both are the loop's own.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from interp._util.files import atomic, refuse_links
from interp._util.versions import __version__
from interp.checkpoints.formats.header import HEADER, header_text
from interp.checkpoints.run_files import RECORDED, RUN_FILES, RUN_FORMAT, read_json, read_rows
from interp.checkpoints.saving import write_tensors
from interp.errors import InterpError, UnreadableFile
from interp.hooked import Config, HookedModel
from interp.hooked.foreign.guest import Guest
from interp.scores import LEARNT
from interp.tasks import Task, task_to_dict
from interp.training.directory import RunDirectory, append_rows, locked, saved_checkpoints
from interp.training.metrics import MetricsFile
from interp.training.phases import phases

WRAPPERS = ("DistributedDataParallel", "DataParallel", "FullyShardedDataParallel", "OptimizedModule")


def network_of(model: nn.Module) -> nn.Module:
    """The module whose weights are kept: without the wrappers of compilation, of several GPUs, and of `interp.wrap`."""
    while type(model).__name__ in WRAPPERS or isinstance(model, Guest):
        inner = getattr(model, "_orig_mod", None)
        model = model.module if inner is None else inner  # pyright: ignore[reportAssignmentType]  both are modules
    return model


class RecordedDirectory:
    """Where a recorder writes.

    Args:
        path: the folder.
        network: whose weights are kept.
        task: what it is trained on, if that is known.
        about: ``name``, ``config`` and ``total``, the number of steps if it is known.
    """

    def __init__(self, path: Path, network: nn.Module, task: Task | None, about: Mapping[str, Any]):
        self.path, self._network, self._task, self._about = path, network, task, about
        self._metrics = path / "metrics.jsonl"
        ours = isinstance(network, HookedModel) and network.runs
        self._header: Config | None = network.config if ours else None  # pyright: ignore[reportAttributeAccessIssue]
        task_to_dict(task) if task is not None else None

    def begin(self, resume: bool) -> None:
        """Make the folder, or look whether the run in it is this one.

        Args:
            resume: whether a run must be there.

        Raises:
            InterpError: no recorded run to resume, one of another network, or a folder that cannot be written.
        """
        if not resume:
            RunDirectory.check_new(self.path)
            self.state(None, finished=False)
            try:
                (self.path / "checkpoints").mkdir(exist_ok=True)
            except OSError as error:
                raise InterpError(f"cannot write {self.path}: {error.strerror or error}") from None
            return
        refuse_links(self.path, RUN_FILES)
        if not (self.path / "run.json").is_file():
            raise InterpError(f"{self.path} holds no run to resume; leave out resume=True to begin one there")
        stored = read_json(self.path / "run.json")
        if not stored.get(RECORDED):
            raise InterpError(f"{self.path} was not written by interp.record; name another folder")
        own = None if self._header is None else self._header.to_dict()
        if stored.get("model") != json.loads(json.dumps(own)):
            raise InterpError(f"{self.path} holds a run of another network; build the same one, or name another folder")

    def locked(self) -> AbstractContextManager[None]:
        """Keep other processes out for as long as this one records."""
        return locked(self.path)

    def cut(self, step: int) -> None:
        """Drop what an earlier recording holds from a step on, as the run goes on from there.

        Args:
            step: the first that will be recorded now.

        Raises:
            InterpError: nothing would be left of the run.
        """
        saved = saved_checkpoints(self.path)
        kept = {at: file for at, file in saved.items() if at < step}
        if saved and not kept and max(saved) > step:
            raise InterpError(
                f"{self.path} holds a run up to step {max(saved):,}, and going on at step {step:,} would replace all of it: "
                "load your own checkpoint first, or name another folder"
            )
        rows = [row for row in read_rows(self._metrics) if row["step"] < step]
        if self._metrics.exists():
            with atomic(self._metrics) as temporary:
                temporary.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        for at, file in saved.items():
            if at not in kept:
                file.unlink()
        for partial in (*self.path.glob(".*.partial"), *(self.path / "checkpoints").glob(".*.partial")):
            partial.unlink(missing_ok=True)  # a kill while a file was being written

    def append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows to ``metrics.jsonl``, whole or not at all as far as a reader sees."""
        append_rows(self._metrics, rows)

    def checkpoint(self, step: int) -> None:
        """Write the weights as they are now."""
        path = self.path / "checkpoints" / f"step_{step:08d}.safetensors"
        metadata = {} if self._header is None else {HEADER: header_text(self._header, self._task, step)}
        tensors = self._network.named_parameters() if metadata else self._network.state_dict().items()
        write_tensors(path, _apart(tensors), metadata, durable=True)

    def state(self, step: int | None, *, finished: bool) -> None:
        """Write ``run.json``: what is known of the run, and how far it is."""
        versions = {"interp": __version__, "torch": torch.__version__, "python": platform.python_version()}
        run = {
            "format": RUN_FORMAT, RECORDED: True, "versions": versions, "name": self._about["name"], "members": [{}],
            "steps": self._about["total"] or step or 0, "step": step or 0, "finished": finished, "config": self._about["config"],
        }  # fmt: skip
        run |= {"model": self._header.to_dict()} if self._header is not None else {}
        run |= {"task": task_to_dict(self._task)} if self._task is not None else {}
        with atomic(self.path / "run.json", durable=True) as temporary:
            temporary.write_text(json.dumps(run, indent=1, default=str) + "\n", encoding="utf-8")


def _apart(named: Any) -> dict[str, torch.Tensor]:
    """Tensors by name, those that share their memory (tied weights) as copies, which safetensors asks for."""
    seen: set[int] = set()
    found: dict[str, torch.Tensor] = {}
    for name, value in named:
        if isinstance(value, torch.Tensor):
            value = value.detach()
            place = value.untyped_storage().data_ptr()
            found[name] = value.clone() if place in seen else value
            seen.add(place)
    return found


@dataclass(frozen=True)
class RecordedPlan:
    """What is known of a recorded run's plan.

    Attributes:
        name: of the run.
        steps: number of updates, as far as they are known.
        members: a single network, without settings of its own.
        config: the settings that the loop gave.
    """

    name: str
    steps: int
    members: tuple[Mapping[str, Any], ...]
    config: Mapping[str, Any]


class RecordedRun:
    """A recorded run, as ``subject.run`` gives it.

    Args:
        path: its folder.

    Raises:
        UnreadableFile: no recorded run there.
    """

    def __init__(self, path: Path):
        self.path = path
        refuse_links(path, RUN_FILES)
        stored = read_json(path / "run.json")
        if not stored.get(RECORDED):
            raise UnreadableFile(f"{path} holds no run that interp.record wrote")
        steps, config = stored.get("steps"), stored.get("config")
        self.plan = RecordedPlan(
            str(stored.get("name", "")),
            steps if isinstance(steps, int) else 0,
            ({},),
            config if isinstance(config, dict) else {},
        )
        self._metrics = MetricsFile(path / "metrics.jsonl")

    @property
    def metrics(self) -> pd.DataFrame:
        """The measurements: a row per step, with a column for every name that was recorded."""
        return self._metrics.table()

    @property
    def members(self) -> pd.DataFrame:
        """A single row: the last measurements."""
        return self.metrics.sort_values("step").groupby("member").tail(1).set_index("member")

    def phases(
        self,
        threshold: float = LEARNT,
        *,
        side: str | None = None,
        reached: str = "first",
        limit: int | None = None,
        gap: int = 1_000,
    ) -> pd.DataFrame:
        """When the network memorised and generalised; see `interp.Run.phases`.

        Nobody knows of how many examples the loop's accuracies are, so they are compared as shares, give or take a rounding.

        Args:
            threshold: accuracy to be reached.
            side: ``">"`` or ``">="``; None takes both.
            reached: ``"first"`` or ``"for_good"``.
            limit: steps within which it must be reached; None: as many as the run has.
            gap: fewer steps than this from memorising to generalising are comprehension, more are grokking.

        Returns:
            one row: ``train_at``, ``test_at`` (steps; NaN: not reached), ``phase``, ``why``.
        """
        return phases(self.metrics, threshold, side=side, reached=reached, limit=limit, gap=gap)

    def __repr__(self) -> str:
        return f"Recorded run {self.plan.name}: {len(self.metrics):,} measurements"
