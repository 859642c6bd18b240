"""Phases of learning: comprehension, grokking, memorization, confusion.

Liu et al. 2022, Towards Understanding Grokking: An Effective Theory of Representation Learning, table 1,
https://arxiv.org/abs/2205.10343
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from interp.errors import InterpError, UnknownName, require_range, unknown
from interp.scores import LEARNT
from interp.training.thresholds import SIDES, Threshold

PHASES = ("comprehension", "grokking", "memorization", "confusion")
UNDECIDED = "undecided"
REACHED = ("first", "for_good")
TIE, SHORT, UNMEASURED, SPLIT = "tie", "short", "not measured", "split"
AT = ("train_at", "test_at")
NAMES = {">": "above", ">=": "at_least"}  # of the columns with one side's phases


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
    steps = int(metrics["step"].max()) if limit is None and len(metrics) else limit or 0
    parts = {part: _Part.of(metrics, part, members, counts) for part in ("train", "test")}
    found = {s: _by_side(parts, Threshold(threshold, s), reached, limit, steps, gap) for s in sides}
    table = found[sides[-1]][[*AT, "phase", "why"]].copy()
    if side is None:
        above, at_least = (found[s] for s in SIDES)
        differ = above["phase"] != at_least["phase"]
        steps_too = (above[list(AT)].fillna(-1) != at_least[list(AT)].fillna(-1)).any(axis=1)
        why = table["why"].where(above["why"] == at_least["why"], "")
        table["why"] = why.mask(differ, SHORT).mask(differ & steps_too, TIE)  # else the split forbids one side alone
        table["phase"] = at_least["phase"].mask(differ, UNDECIDED)
        table = table.assign(**{NAMES[s]: found[s]["phase"] for s in SIDES})
    if counts is not None:
        for name, part in parts.items():
            table[f"{name}_correct"], table[f"{name}_n"] = part.best, part.n
        table["test_reachable"] = parts["test"].reachable
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
    """The train or the test accuracies of all members.

    Attributes:
        rows: ``step``, ``member``, ``share``, of the measurements that have one.
        last: the last step at which each member was measured; NaN: it was not.
        n: examples of each member; None where nobody knows.
        reachable: how many of them can be learnt.
    """

    rows: pd.DataFrame
    last: pd.Series
    n: pd.Series | None
    reachable: pd.Series | None

    @classmethod
    def of(cls, metrics: pd.DataFrame, part: str, members: pd.Index, counts: pd.DataFrame | None) -> _Part:
        name = f"{part}_accuracy"
        rows = metrics.assign(share=metrics.get(name, np.nan))[["step", "member", "share"]]
        rows = rows[rows["share"].notna()]
        last = rows.groupby("member")["step"].max().reindex(members).astype(float)
        n, reachable = (
            None if counts is None or column not in counts else counts[column].reindex(members)
            for column in (f"{part}_n", f"{part}_reachable")
        )
        return cls(rows, last, n, reachable)

    @property
    def best(self) -> pd.Series | None:
        """The most right answers of each member at any measurement."""
        if self.n is None:
            return None
        best = (self.rows.groupby("member")["share"].max().reindex(self.n.index) * self.n).round()
        return best.astype(int) if best.notna().all() else best

    def at(self, threshold: Threshold, reached: str) -> pd.Series:
        """The step at which each member reached a threshold; NaN: not at all."""
        member = self.rows["member"]
        if self.n is None:
            there = self.rows["share"] >= threshold.least
        else:
            needed = self.n.map({n: threshold.needed(int(n)) for n in self.n.unique()})
            there = (self.rows["share"] * member.map(self.n)).round() >= member.map(needed)
        if reached == "for_good":
            lost = self.rows[~there].groupby("member")["step"].max()
            there &= self.rows["step"] > member.map(lost).fillna(-1)
        return self.rows[there].groupby("member")["step"].min().reindex(self.last.index).astype(float)

    def impossible(self, threshold: Threshold) -> pd.Series:
        """Whether too few examples of each member can be learnt."""
        if self.n is None or self.reachable is None:
            return pd.Series(False, self.last.index)
        return self.reachable < self.n.map({n: threshold.needed(int(n)) for n in self.n.unique()})


def _by_side(
    parts: Mapping[str, _Part], threshold: Threshold, reached: str, limit: int | None, steps: int, gap: int
) -> pd.DataFrame:
    """Steps, phases and reasons by one side of the threshold."""
    at = pd.DataFrame({f"{name}_at": part.at(threshold, reached) for name, part in parts.items()})
    no = parts["test"].impossible(threshold)
    known: dict[str, pd.Series] = {}
    since = pd.Series(0.0, at.index)
    for name, part in parts.items():
        in_time = at[f"{name}_at"].where(at[f"{name}_at"] <= steps)
        watched = part.last >= (steps if limit is not None else np.maximum(steps, since + gap))
        never = watched | (no if name == "test" else False) | (at[f"{name}_at"] > steps)
        known[name] = since = in_time.where(in_time.notna() | ~never, math.inf)
    pairs = zip(known["train"], known["test"], strict=True)
    at["phase"] = [phase(train, test, gap=gap) for train, test in pairs]
    unmeasured = parts["train"].last.isna() | (parts["test"].last.isna() & ~no)
    undecided = at["phase"] == UNDECIDED
    at["why"] = np.select(
        [undecided & unmeasured, undecided, no & (at["phase"] == "memorization")], [UNMEASURED, SHORT, SPLIT], ""
    )
    return at
