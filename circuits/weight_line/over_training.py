"""Barriers over training: between two runs step by step, or between one run's steps and its last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from typing_extensions import override

from circuits.discovery.checkpoints import at
from circuits.engine.arguments import require_whole
from circuits.findings import Findings
from circuits.weight_line.connectivity import NAMES, Match, Part, line_between
from circuits.weight_line.matching import STARTS, By
from circuits.weight_line.pair import SIZE, judged_by, pair_of
from circuits.weight_sweeps.stacked_scores import MAX_BYTES
from interp._util.bar import with_bar
from interp._util.estimate import told
from interp.errors import InterpError, MissingCapability
from interp.subject import Subject, as_subject

if TYPE_CHECKING:
    import plotly.graph_objects as go

STARTS_EACH = STARTS // 2


@dataclass(frozen=True, eq=False, repr=False)
class BarriersOverTraining(Findings):
    """The barrier between two networks at every step.

    Attributes:
        barriers: a row per step, line and part: ``step`` and the columns of `LinearConnectivity.barriers`.
        judge: the task that gives the loss, in words.
        between: what lies at both ends, in words.
    """

    barriers: pd.DataFrame
    judge: str
    between: str

    @property
    @override
    def rows(self) -> pd.DataFrame:
        """`barriers`."""
        return self.barriers

    @property
    @override
    def table(self) -> pd.DataFrame:
        """A row per step, line and part; ``clean`` is the ends' mean loss, ``change`` the barrier."""
        own = self.barriers
        first = {
            "component": [NAMES[matched] for matched in own["matched"]], "site": own["part"], "index": own["step"],
            "metric": "loss", "clean": own["highest_loss"] - own["barrier"], "changed": own["highest_loss"],
            "change": own["barrier"],
        }  # fmt: skip
        rest = own.drop(columns=["matched", "part", "highest_loss", "barrier"])
        return pd.DataFrame({**first, **rest})

    @property
    @override
    def summary(self) -> dict[str, Any]:
        """What was joined, how many steps, and the barriers at the first and the last."""
        steps = self.barriers["step"].unique().tolist()
        found: dict[str, Any] = {"between": self.between, "judged by": self.judge, "steps": len(steps)}
        for step in (steps[0], steps[-1]):
            for row in self.barriers.query("step == @step").to_dict("records"):
                found[f"barrier at {step:,} {NAMES[row['matched']]}, {row['part']}"] = row["barrier"]
        return found

    @override
    def figure(self) -> go.Figure:
        """The barrier by step, before and after matching."""
        from interp.report import figures

        groups = self.barriers.groupby(["matched", "part"], sort=False)
        return figures.lines(
            {
                f"{NAMES[bool(matched)]}, {part}": (own["step"], own["barrier"])
                for (matched, part), own in groups  # pyright: ignore[reportGeneralTypeIssues]  a group's key is a pair here
            },
            title=f"Barrier between {self.between}", x_title="step", y_title="loss, largest minus the ends' mean", markers=True,
        )  # fmt: skip


@with_bar
@torch.no_grad()
def barriers_over_training(
    a: Subject,
    b: Subject | None = None,
    *,
    steps: Sequence[int] | None = None,
    every: int = 1,
    points: int = 11,
    part: Part | Sequence[Part] = "all",
    match: Match = "both",
    by: By = "weights",
    seed: int = 0,
    starts: int = STARTS_EACH,
    size: int = SIZE,
    max_bytes: int = MAX_BYTES,
    progress: Callable[[int, int], None] | bool | None = None,
) -> BarriersOverTraining:
    """The barrier on the line between two runs at every step that both have, or between one run's steps and its last.

    As `circuits.linear_connectivity` measures it, with units matched anew at every step. One pair of checkpoints is open at a
    time. From which step on two runs of one start are connected is the question of Frankle et al. 2020,
    https://arxiv.org/abs/1912.05671.

    Within one run, the losses of both ends differ much at first: read ``barrier_over_line``, which is not positive where the
    loss falls all the way.

    Args:
        a: with a series of checkpoints; its task judges.
        b: another run's; None: a's own last checkpoint.
        steps: by default those that both have.
        every: only every n-th of the steps, and the last.
        points: on each line, both ends among them.
        part: of the examples: ``"train"``, ``"test"``, ``"all"`` or several of them.
        match: ``"both"``, True for the matched line alone, False for none.
        by: what is matched on, as in `circuits.match_weights`.
        seed: of the matching.
        starts: of the matching, at each step.
        size: pixels along each edge of the picture that a draws at the end, where that judges.
        max_bytes: working memory.
        progress: called with (steps done, steps in all). By default a notebook shows a bar; False leaves it out.

    Returns:
        `BarriersOverTraining`: ``.barriers``, a row per step, line and part.

    Raises:
        MissingCapability: no series of checkpoints, or no task.
        InterpError: no step in common, or networks of another architecture.
    """
    first = _with_series(a)
    second = first if b is None else _with_series(b)
    chosen = _steps(first, second, steps, every)
    last = at(first, -1), at(second, -1)
    task, judge = judged_by(*pair_of(*last), size)
    frames, shown = [], told("steps", progress)
    for done, step in enumerate(chosen, 1):
        ends = at(first, _place(first, step)), last[1] if b is None else at(second, _place(second, step))
        found = line_between(
            *pair_of(*ends), task, judge, points=points, part=part, match=match, by=by, seed=seed, starts=starts,
            max_bytes=max_bytes, progress=None,
        )  # fmt: skip
        own = found.barriers
        own.insert(0, "step", step)
        frames.append(own)
        shown(done, len(chosen))
    whole = pd.concat(frames, ignore_index=True)
    names = f"{first.name} and its last step" if b is None else f"{first.name} and {second.name}"
    return BarriersOverTraining(whole, judge, names)


def _with_series(given: Subject) -> Subject:
    subject = as_subject(given)
    if subject.series is None or len(subject.series) < 2:
        raise MissingCapability(f"{subject.name}: {subject.lacks(['series'])[0]}")
    return subject


def _place(subject: Subject, step: int) -> int:
    assert subject.series is not None
    return subject.series.entries.index(subject.series.entry(step))


def _steps(a: Subject, b: Subject, given: Sequence[int] | None, every: int) -> list[int]:
    """The steps that are compared, in order."""
    require_whole("every", every, 1)
    assert a.series is not None
    assert b.series is not None
    if given is not None:
        for step in given:
            _place(a, step)  # names the nearest where there is none
            _place(b, step)
    known = set(b.series.steps) if given is None else set(given)
    common = [step for step in a.series.steps if step in known]
    if not common:
        raise InterpError(
            f"{a.name} and {b.name} have no step in common: {a.series.steps[0]:,} to {a.series.steps[-1]:,} and "
            f"{b.series.steps[0]:,} to {b.series.steps[-1]:,}; train with checkpoints at the same steps, or name steps"
            if given is None
            else "steps is empty: name at least one"
        )
    return [common[i] for i in sorted({*range(0, len(common), every), len(common) - 1})]
