"""The cohorts of a run: its members in groups that each train in lockstep, driven as one ensemble."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from interp._util.threads import Lanes
from interp.checkpoints.rows import Rows, Shapes
from interp.errors import InterpError
from interp.tasks import Task, task_to_dict
from interp.training.block import Block
from interp.training.counts import Counts
from interp.training.ensemble import Ensemble, Status
from interp.training.member_plans import CohortPlan, division
from interp.training.memory import check_weights
from interp.training.plan import Plan

Value = TypeVar("Value")


@dataclass(frozen=True)
class Cohort:
    """Members of a run that share everything but what differs lane by lane.

    Attributes:
        ids: their numbers in the run; the ensemble counts them from 0.
        ensemble: the members.
    """

    ids: tuple[int, ...]
    ensemble: Ensemble


class Cohorts:
    """All members of a run at a step, on a device; at first with newly drawn weights at step 0.

    Args:
        plan: what is trained.
        device: where.
        sizes: members per block of each cohort; by default as many as are likely to train fastest.
        groups: the members of each cohort, as a saved state has them; by default as few cohorts as possible.

    Attributes:
        step: number of updates made.
        cohorts: in the order of their first members.

    Raises:
        InterpError: a member that cannot be built, or members that do not fit the memory.
    """

    def __init__(
        self, plan: Plan, device: torch.device, sizes: Sequence[int] | None = None,
        groups: Sequence[Sequence[int]] | None = None,
    ):  # fmt: skip
        self.plan, self.step, self._lanes = plan, 0, Lanes()
        found = division(plan)
        if sizes is not None:
            found = [_part(found, ids) for ids in groups or [range(len(plan.members))]]
        self.cohorts: list[Cohort] = []
        free = None  # of what is there at the start, each cohort takes its part
        for k, one in enumerate(found):
            size = None if sizes is None else sizes[k]
            tasks = _fitted(plan, one, device)
            try:
                ensemble = Ensemble(one.plan, device, size, tasks, free, len(found) == 1)
            except InterpError as error:
                if len(found) == 1:
                    raise
                raise type(error)(f"member {one.ids[0]} {dict(plan.members[one.ids[0]])}: {error}") from None
            free = ensemble.left
            self.cohorts.append(Cohort(one.ids, ensemble))

    @property
    def alone(self) -> Ensemble | None:
        """The ensemble of a run that has a single cohort, whose files have no names of cohorts."""
        return self.cohorts[0].ensemble if len(self.cohorts) == 1 else None

    @property
    def blocks(self) -> list[Block]:
        """The members that still train."""
        return [block for cohort in self.cohorts for block in cohort.ensemble.blocks]

    @property
    def statuses(self) -> list[Status]:
        """What each member has reached, in the order of the run."""
        return self._in_order(lambda ensemble: ensemble.statuses)

    def _in_order(self, of: Callable[[Ensemble], Sequence[Value]]) -> list[Value]:
        """What the ensembles have for each of their members, in the order of the run."""
        found = {i: value for c in self.cohorts for i, value in zip(c.ids, of(c.ensemble), strict=True)}
        return [found[i] for i in sorted(found)]

    @property
    def ids(self) -> list[int]:
        """The members that still train, in the order of the blocks."""
        return [c.ids[i] for c in self.cohorts for block in c.ensemble.blocks for i in block.ids]

    @property
    def retired(self) -> list[int]:
        """The members that have retired, in the order of the run."""
        return sorted(c.ids[i] for c in self.cohorts for i in c.ensemble.final)

    def advance(self, stop: int) -> None:
        """Train every member that has not retired up to the step ``stop``."""
        ensembles = [cohort.ensemble for cohort in self.cohorts]
        beside = [e for e in ensembles if e.side_by_side] if len(ensembles) > 1 else []
        pieces = [partial(block.advance, self.step, stop) for e in beside for block in e.blocks]
        if pieces:
            self._lanes.run(pieces, max(e.threads for e in beside))
        for ensemble in ensembles:
            if ensemble in beside:
                ensemble.step = stop
            else:
                ensemble.advance(stop)
        self.step = stop

    def measure(self, members: Collection[int] | None = None) -> list[dict[str, float | int | None]]:
        """Measure members that train (all by default): a row each, in the order of the run."""
        rows = []
        for c in self.cohorts:
            own = None if members is None else [k for k, i in enumerate(c.ids) if i in members]
            if own is None or own:
                rows += [{**row, "member": c.ids[int(row["member"] or 0)]} for row in c.ensemble.measure(own)]
        return sorted(rows, key=lambda row: row["member"])

    @property
    def counts(self) -> list[Counts]:
        """How many examples each member has, in the order of the run."""
        return self._in_order(lambda ensemble: ensemble.counts)

    @property
    def ended(self) -> list[int]:
        """Members that train and whose own updates are made, before those of the run are."""
        return sorted(c.ids[i] for c in self.cohorts for i in c.ensemble.ended)

    def next_end(self) -> int | None:
        """The next step at which members have made their own updates; None: there is none."""
        return min((e for c in self.cohorts for e in set(c.ensemble.plan.ends) if e > self.step), default=None)

    def raise_weight_decay(self) -> None:
        """Give the late weight decay to all members whose late step this is."""
        for cohort in self.cohorts:
            if _late(cohort.ensemble.plan) == self.step:
                cohort.ensemble.raise_weight_decay()

    def next_late(self) -> int | None:
        """The next step at which members change their weight decay; None: there is none."""
        late = [_late(cohort.ensemble.plan) for cohort in self.cohorts]
        return min((step for step in late if step is not None and step > self.step), default=None)

    def retire(self) -> list[int]:
        """Stop the members whose train and test accuracy have both reached their threshold."""
        return sorted(c.ids[i] for c in self.cohorts for i in c.ensemble.retire())

    def weights(self) -> dict[str, Tensor]:
        """The weights of all members on the CPU, stacked by cohort; with several cohorts a name begins with its cohort's."""
        if self.alone is not None:
            return self.alone.weights()
        return {prefix(k) + n: t for k, c in enumerate(self.cohorts) for n, t in c.ensemble.weights().items()}

    def weight_rows(self) -> tuple[Shapes, Rows]:
        """The weights of all members as `write_rows` takes them, block by block; no copy of all is made."""
        named = [(start, c.ensemble) for start, c in self.named()]
        shapes = {start + n: ((len(e.statuses), *s), e.dtype) for start, e in named for n, s in e.shapes.items()}
        return shapes, (row for start, ensemble in named for row in _weight_rows(start, ensemble))

    def named(self) -> list[tuple[str, Cohort]]:
        """The cohorts, each with what the names of its tensors begin with in the run's files."""
        return [("" if self.alone is not None else prefix(k), c) for k, c in enumerate(self.cohorts)]

    def described(self) -> list[dict[str, Any]] | None:
        """Members, network and task of every cohort, for the header of a checkpoint; None where there is a single one."""
        return None if self.alone is not None else described([(c.ids, c.ensemble.plan) for c in self.cohorts])


def _weight_rows(start: str, ensemble: Ensemble) -> Rows:
    for name in ensemble.shapes:
        for block in ensemble.blocks:
            yield start + name, block.ids, block.parameters[name]
        for i, own in ensemble.final.items():
            yield start + name, [i], own[name][None]


def described(cohorts: Sequence[tuple[Sequence[int], Plan]]) -> list[dict[str, Any]]:
    """Members, network and task of cohorts as plain values.

    Args:
        cohorts: the members and the plan of each.

    Returns:
        a dict per cohort: ``prefix`` of its tensors' names, ``members``, ``config`` and ``task``.
    """
    return [
        {
            "prefix": prefix(k),
            "members": list(ids),
            "config": plan.model.to_dict(),
            "task": task_to_dict(plan.member_task(0)),
        }
        for k, (ids, plan) in enumerate(cohorts)
    ]


def prefix(number: int) -> str:
    """What the names of a cohort's tensors begin with, in a file with several."""
    return f"cohort{number}/"


def _late(plan: Plan) -> int | None:
    return plan.late_at if plan.late_weight_decay is not None and isinstance(plan.late_at, int) else None


def check_members(plan: Plan, device: torch.device) -> list[Counts]:
    """Build the first member of each cohort, and the tasks of all members.

    Args:
        plan: of the run.
        device: where.

    Returns:
        how many examples each member has, in the order of the run.

    Raises:
        InterpError: anything that does not fit.
    """
    counts: dict[int, Counts] = {}
    for one in division(plan):
        tasks = _fitted(plan, one, device)
        first = one.part(one.ids[:1])
        Ensemble(first.plan, device, tasks=tasks[:1])
        known = {id(task): Counts.of(task) for task in {id(task): task for task in tasks}.values()}
        counts |= {i: known[id(task)] for i, task in zip(one.ids, tasks, strict=True)}
    return [counts[i] for i in sorted(counts)]


def _fitted(plan: Plan, cohort: CohortPlan, device: torch.device) -> list[Task]:
    """The tasks of a cohort in the form that its network takes; members of the same data share one."""
    template, tasks = check_weights(cohort.plan, device), []
    known: dict[int, Task] = {}
    for i, task in zip(cohort.ids, cohort.tasks, strict=True):
        try:
            if id(task) not in known:
                known[id(task)] = task.fit(template)
            tasks.append(known[id(task)])
            if not len(tasks[-1].train_indices):
                raise InterpError("it has no example to train on; raise its train_fraction")
        except InterpError as error:
            if len(plan.members) == 1 or not plan.members[i]:
                raise
            raise type(error)(f"member {i} {dict(plan.members[i])}: {error}") from None
    return tasks


def _part(found: Sequence[CohortPlan], ids: Sequence[int]) -> CohortPlan:
    """The cohort, or the part of one, that has these members."""
    whole = next(one for one in found if ids[0] in one.ids)
    if not set(ids) <= set(whole.ids):
        raise InterpError(
            "the saved state holds members together that this version trains apart; train again into another folder"
        )
    return whole if tuple(ids) == whole.ids else whole.part(ids)
