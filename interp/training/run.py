"""A run, finished or not: its metrics as a table, its checkpoints as a series, its members as subjects."""

from __future__ import annotations

import html
import os
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from interp.checkpoints.loading import load
from interp.errors import InterpError
from interp.phase_diagrams import PhaseDiagram, choose_axes, diagram_of
from interp.scores import LEARNT
from interp.series import CheckpointSeries
from interp.subject import Subject
from interp.training.counts import counts_of, table
from interp.training.directory import RunDirectory
from interp.training.members import varying
from interp.training.metrics import MetricsFile
from interp.training.phases import phases
from interp.training.plan import Plan
from interp.training.standstill import Standstill


class Run:
    """What the folder of a run holds. A run that is still training may be looked at too.

    Args:
        path: the folder that ``interp train --out`` or ``interp.train(out=...)`` wrote.

    Raises:
        UnreadableFile: no run there, or one of another version.
        InterpError: not a path.

    >>> from interp import train
    >>> run = train("addition:p=4", steps=20, members=2)
    >>> run
    Run of 2 members, 20 of 20 steps: addition:p=4
    >>> run.metrics.columns.tolist()[:4], run.subject(member=1).step
    (['step', 'member', 'train_loss', 'train_accuracy'], 20)
    """

    def __init__(self, path: str | Path):
        if not isinstance(path, (str, os.PathLike)):
            raise InterpError(f"a run is opened by its folder, interp.Run(path); got a {type(path).__name__}")
        self.path = Path(path)
        self._directory = RunDirectory.open(self.path)
        self._metrics = MetricsFile(self._directory.metrics_path)

    @property
    def plan(self) -> Plan:
        """What was trained, as ``run.json`` has it."""
        return self._directory.plan

    @property
    def finished(self) -> bool:
        """Whether all members are at the last step, or retired."""
        return self._directory.finished()

    @property
    def metrics(self) -> pd.DataFrame:
        """The measurements: a row per step and member, and a column for every setting in which members differ.

        Losses are in nats for cross-entropy, in the loss's own unit otherwise; accuracies are fractions from 0 to 1. The
        file ``metrics.jsonl`` is read again only when it has changed.
        """
        return self._metrics.table().join(self._settings(), on="member")

    @property
    def members(self) -> pd.DataFrame:
        """A row per member: its last measurements and its own settings."""
        last = self.metrics.sort_values("step").groupby("member").tail(1).set_index("member").sort_index()
        own = list(self._settings())
        return last.reindex(columns=[*(c for c in last.columns if c not in own), *own])

    def _settings(self) -> pd.DataFrame:
        members, names = self.plan.members, varying(self.plan.members)
        return pd.DataFrame([{n: m.get(n) for n in names} for m in members], index=range(len(members)))

    def standing_still(self) -> pd.Series:
        """Members that have stopped learning: their train loss no longer changes, by not a single bit, and is not 0.

        A gradient of 0 does that: units that are dead, or outputs that are clipped. A smaller learning rate, or one that rises
        over the first updates (``warmup``), often keeps networks from it.

        Returns:
            by member the step since when (four measurements at least); empty where all learn.
        """
        found = Standstill()
        found.add(self.metrics.reindex(columns=["step", "member", "train_loss"]).to_dict("records"))
        return pd.Series(dict(sorted(found.since.items())), name="since", dtype="int64").rename_axis("member")

    @cached_property
    def counts(self) -> pd.DataFrame:
        """Numbers of examples per member: ``train_n``, ``test_n``, and ``test_reachable``, those that the split lets it learn."""
        stored = self._directory.counts
        return table(counts_of(self.plan) if stored is None else stored)

    def phases(
        self,
        threshold: float = LEARNT,
        *,
        side: str | None = None,
        reached: str = "first",
        limit: int | None = None,
        gap: int = 1_000,
    ) -> pd.DataFrame:
        """When each member memorised and generalised, and its phase of learning (Liu et al. 2022).

        Accuracies are compared as whole numbers of right answers. By default both sides of the threshold are taken, and a
        member whose phase differs between them is ``undecided``; so is one that was trained too short to tell.

        Args:
            threshold: accuracy to be reached, meant as it is written.
            side: ``">"`` or ``">="``; None takes both.
            reached: ``"first"``, from the first measured step on; ``"for_good"``, from the step after which the accuracy stays
                there until the end of the member's training.
            limit: steps within which it must be reached; 100,000 in the source. None: as many as the run has.
            gap: fewer steps than this from memorising to generalising are comprehension, more are grokking.

        Returns:
            a row per member, as `interp.training.phases.phases` says: ``train_at``, ``test_at``, ``phase``, ``why``, the phases
            by each side, right answers beside numbers of examples; and the member's own settings. ``attrs`` has the definition.

        Raises:
            InterpError: a threshold, side, limit or gap that none is.
        """
        found = phases(self.metrics, threshold, side=side, reached=reached, limit=limit, gap=gap, counts=self.counts)
        joined = found.join(self._settings())
        joined.attrs = found.attrs
        return joined

    def phase_diagram(self, x: str | None = None, y: str | None = None, **options: Any) -> PhaseDiagram:
        """The phases over one or two of the settings in which members differ; the others make the networks of a cell.

        Args:
            x: setting along the horizontal axis; by default the first that differs, seeds last.
            y: setting along the vertical axis; by default the next that differs, never a seed.
            **options: of `phases`: ``threshold``, ``limit``, ``gap``.

        Returns:
            a table with a row per cell (phase of the majority, counts, confidence), and its figure.

        Raises:
            UnknownName: a setting in which members do not differ.
            InterpError: a run of a single network.
        """
        across, down = choose_axes(varying(self.plan.members), x, y)
        if across is None:
            raise InterpError(
                "a phase diagram needs a run whose networks differ; train one with interp.grid, or --grid"
            )
        return diagram_of(self.phases(**options).reset_index(), [a for a in (across, down) if a is not None])

    def subject(self, member: int = 0, step: int | None = None) -> Subject:
        """A member as a `Subject`, whose ``run`` is this one.

        Args:
            member: its number, from 0.
            step: the step of one of its checkpoints; the last by default.

        Returns:
            the network, its task and the series of its checkpoints.

        Raises:
            InterpError: no such member, or no checkpoint at that step; the nearest is named.
        """
        return replace(load(self.path, member=member, step=step), trained_in=self)

    @property
    def subjects(self) -> list[Subject]:
        """All members as subjects, at their last checkpoints."""
        return [self.subject(member) for member in range(len(self))]

    def series(self, member: int = 0) -> CheckpointSeries:
        """The checkpoints of a member, read one by one as they are asked for.

        Args:
            member: its number, from 0.

        Returns:
            the series, by step.
        """
        series = self.subject(member).series
        assert series is not None  # a run directory always is one
        return series

    def __len__(self) -> int:
        return len(self.plan.members)

    def __repr__(self) -> str:
        steps = self._metrics.table()["step"].tolist()
        reached = max(steps, default=0)
        count = f"{len(self)} member{'s' if len(self) > 1 else ''}"
        return f"Run of {count}, {reached:,} of {self.plan.steps:,} steps: {self.plan.name}"

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(repr(self))}</p>{self.members.to_html()}"
