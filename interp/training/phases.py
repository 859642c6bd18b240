"""Phases of learning: comprehension, grokking, memorization, confusion.

Liu et al. 2022, Towards Understanding Grokking: An Effective Theory of Representation Learning, table 1,
https://arxiv.org/abs/2205.10343
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from interp.errors import InterpError, UnknownName, require_range, unknown
from interp.phase_diagrams import PHASES as PHASES
from interp.phase_diagrams import UNDECIDED as UNDECIDED
from interp.scores import LEARNT
from interp.training.thresholds import SIDES, Threshold

REACHED = ("first", "for_good")
TIE, SHORT, UNMEASURED, SPLIT = "tie", "short", "not measured", "split"


def phase(train_at: float, test_at: float, *, gap: int = 1_000) -> str:
    """The phase of learning of one network.

    Comprehension: train and test accuracy reach the threshold, less than ``gap`` steps apart. Grokking: both, further apart.
    Memorization: only train accuracy does. Confusion: train accuracy does not. Undecided: what decides is not known.

    Args:
        train_at: step at which train accuracy reached the threshold; infinity: never; NaN: not known.
        test_at: the same for test accuracy.
        gap: steps between the two from which on it is grokking.

    Returns:
        one of `PHASES`, or `UNDECIDED`.

    >>> never, unknown = math.inf, math.nan
    >>> phase(100, 900), phase(100, 5000), phase(100, never), phase(never, never), phase(100, unknown)
    ('comprehension', 'grokking', 'memorization', 'confusion', 'undecided')
    """
    if train_at == math.inf:
        return "confusion"
    if math.isnan(train_at) or math.isnan(test_at):
        return UNDECIDED
    if test_at == math.inf:
        return "memorization"
    return "comprehension" if test_at - train_at < gap else "grokking"


def phases(
    metrics: pd.DataFrame,
    threshold: float = LEARNT,
    *,
    side: str | None = None,
    reached: str = "first",
    limit: int | None = None,
    gap: int = 1_000,
    counts: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The phase of learning of every member.

    Liu et al. write "> 90%" in table 1 and ">= 0.9" in appendix H. So both sides are computed, and a member that has one phase
    by ``>`` and another by ``>=`` is undecided; so is one that was trained too short to tell. What was not reached counts as
    never reached once the member was trained for ``limit`` steps. Without a limit that is the length of the run, if it is at
    least ``gap`` steps longer than the memorising took (for the train accuracy: at least ``gap`` steps). The steps are those of
    the measurements: a coarse schedule finds them late.

    Args:
        metrics: columns ``step``, ``member``, ``train_accuracy``, ``test_accuracy``.
        threshold: accuracy to be reached, meant as it is written; Liu et al. take 0.9, and 0.6 for the validation of MNIST.
        side: ``">"`` or ``">="``; None takes both.
        reached: ``"first"``, from the first measured step on; ``"for_good"``, from the step after which the accuracy stays there
            until the end of the member's training.
        limit: steps within which it must be reached; 100,000 in the source. None: as many as the run has.
        gap: steps from memorising to generalising from which on it is grokking.
        counts: by member ``train_n``, ``test_n``, numbers of examples, and ``test_reachable``, how many of the test examples
            can be learnt at all (`interp.tasks.Task.unseen_indices`). Shares are then compared as whole numbers of right answers.

    Returns:
        a row per member: ``train_at``, ``test_at`` (steps, by ``>=`` where both sides are taken; NaN: not reached), ``phase``,
        and ``why`` it is no other: ``tie`` (the sides differ), ``short`` (the training ended too early), ``not measured``,
        ``split`` (a memorization, since no train example has the answers of some test examples). With both sides ``above`` and
        ``at_least``, the phases by each. With counts ``train_correct`` and ``test_correct``, the most right answers at any
        measurement, beside ``train_n``, ``test_n``, ``test_reachable``. ``attrs`` has the definition, with the limit in steps.

    Raises:
        InterpError: a threshold, side, limit or gap that none is; counts that lack a member.
    """
    sides = _checked(threshold, side, reached, limit, gap)
    members = pd.Index(sorted(metrics["member"].unique()), name="member")
    if counts is not None and not (has := members.isin(counts.index)).all():
        raise InterpError(f"counts have no row for member {members[~has][0]}, which was measured")
    steps = limit if limit is not None else int(metrics["step"].to_numpy().max(initial=0))
    parts = {part: _Part.of(metrics, part, members, counts) for part in ("train", "test")}
    found = {s: _by_side(parts, Threshold(threshold, s), reached, limit, steps, gap) for s in sides}
    own = found[sides[-1]]
    columns: dict[str, Any] = {"train_at": own.train_at, "test_at": own.test_at, "phase": own.phase, "why": own.why}
    if side is None:
        columns |= _both(found[">"], found[">="])
    if counts is not None:
        for name, part in parts.items():
            columns |= {f"{name}_correct": part.best, f"{name}_n": part.n}
        columns["test_reachable"] = parts["test"].reachable
    table = pd.DataFrame(columns, index=members)
    table.attrs = {
        "threshold": threshold, "side": side or "both", "reached": reached, "limit": limit, "gap": gap, "steps": steps,
    }  # fmt: skip
    return table


def _checked(threshold: float, side: str | None, reached: str, limit: int | None, gap: int) -> tuple[str, ...]:
    """The sides to take, after a look at everything that a user gave."""
    sides = SIDES if side is None else (side,)
    for one in sides:
        Threshold(threshold, one)
    if reached not in REACHED:
        raise UnknownName(unknown("meaning of reached", reached, REACHED))
    for name, value in (("limit", limit), ("gap", gap)):
        if value is None:
            continue
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
            raise InterpError(f"{name} must be a whole number of steps, got {value!r}")
        require_range(name, value, 0)
    return sides


@dataclass(frozen=True)
class _Part:
    """The train or the test accuracies of all members, as arrays.

    Attributes:
        step: of every measurement that has an accuracy.
        place: its member, counted in the order of the members.
        share: its accuracy.
        last: per member, the last step at which it was measured; -infinity: it was not.
        n: per member, its examples; None where nobody knows.
        reachable: per member, how many of them can be learnt.
    """

    step: np.ndarray
    place: np.ndarray
    share: np.ndarray
    last: np.ndarray
    n: np.ndarray | None
    reachable: np.ndarray | None

    @classmethod
    def of(cls, metrics: pd.DataFrame, part: str, members: pd.Index, counts: pd.DataFrame | None) -> _Part:
        name = f"{part}_accuracy"
        share = np.full(len(metrics), np.nan) if name not in metrics else metrics[name].to_numpy(float)
        has = ~np.isnan(share)
        step, place = metrics["step"].to_numpy(float)[has], members.get_indexer(pd.Index(metrics["member"]))[has]
        n, reachable = (
            None if counts is None or column not in counts else counts[column].loc[list(members)].to_numpy(int)
            for column in (f"{part}_n", f"{part}_reachable")
        )
        last = _most(place, step, len(members), -np.inf)
        return cls(step, place, share[has], last, n, reachable)

    @property
    def best(self) -> np.ndarray | None:
        """The most right answers of each member at any measurement; 0 where it was not measured."""
        if self.n is None:
            return None
        return _most(self.place, np.round(self.share * self.n[self.place]), len(self.n), 0).astype(int)

    def at(self, threshold: Threshold, reached: str) -> np.ndarray:
        """The step at which each member reached a threshold; NaN: not at all."""
        if self.n is None:
            there = self.share >= threshold.least
        else:
            there = np.round(self.share * self.n[self.place]) >= self._needed(threshold, self.n)[self.place]
        if reached == "for_good":
            lost = _most(self.place[~there], self.step[~there], len(self.last), -np.inf)
            there &= self.step > lost[self.place]
        first = -_most(self.place[there], -self.step[there], len(self.last), -np.inf)
        return np.where(np.isinf(first), np.nan, first)

    def impossible(self, threshold: Threshold) -> np.ndarray:
        """Whether too few examples of each member can be learnt."""
        if self.n is None or self.reachable is None:
            return np.zeros(len(self.last), bool)
        return self.reachable < self._needed(threshold, self.n)

    @staticmethod
    def _needed(threshold: Threshold, n: np.ndarray) -> np.ndarray:
        return np.array([threshold.needed(int(k)) for k in n], int)


def _most(place: np.ndarray, values: np.ndarray, n: int, start: float) -> np.ndarray:
    """The largest value of each of ``n`` members; ``start`` where it has none."""
    found = np.full(n, start, float)
    np.maximum.at(found, place, values)
    return found


@dataclass(frozen=True)
class _Side:
    """Steps, phases and reasons of all members, by one side of the threshold."""

    train_at: np.ndarray
    test_at: np.ndarray
    phase: np.ndarray
    why: np.ndarray


def _by_side(
    parts: Mapping[str, _Part], threshold: Threshold, reached: str, limit: int | None, steps: int, gap: int
) -> _Side:
    train, test = parts["train"], parts["test"]
    out_of_reach = test.impossible(threshold)
    at = [part.at(threshold, reached) for part in (train, test)]
    nowhere = np.zeros(len(out_of_reach), bool)
    known: list[np.ndarray] = []
    since = np.zeros(len(nowhere))
    for part, own, never in ((train, at[0], nowhere), (test, at[1], out_of_reach)):
        watched = part.last >= (steps if limit is not None else np.maximum(steps, since + gap))
        late = own > steps
        since = np.where(own <= steps, own, np.where(watched | never | late, math.inf, math.nan))
        known.append(since)
    phases_ = [phase(a, b, gap=gap) for a, b in zip(*(k.tolist() for k in known), strict=True)]
    verdicts = np.array(phases_, object)
    undecided = verdicts == UNDECIDED
    unmeasured = np.isinf(train.last) | (np.isinf(test.last) & ~out_of_reach)
    split = out_of_reach & (verdicts == "memorization")
    why = np.select([undecided & unmeasured, undecided, split], [UNMEASURED, SHORT, SPLIT], "")
    return _Side(at[0], at[1], verdicts, why)


def _both(above: _Side, at_least: _Side) -> dict[str, np.ndarray]:
    """The phases by both sides: undecided where they differ."""
    differ = above.phase != at_least.phase
    pairs = ((above.train_at, at_least.train_at), (above.test_at, at_least.test_at))
    tied = np.any([np.nan_to_num(a, nan=-1) != np.nan_to_num(b, nan=-1) for a, b in pairs], axis=0)
    same = np.where(above.why == at_least.why, at_least.why, "")
    return {
        "phase": np.where(differ, UNDECIDED, at_least.phase),
        "why": np.where(differ, np.where(tied, TIE, SHORT), same),  # not tied: the split forbids one side alone
        "above": above.phase,
        "at_least": at_least.phase,
    }
