"""Weight sweeps of any network with a task: how all its outputs change, by the task's symmetry and factors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from circuits.weight_sweeps import factor_measures
from circuits.weight_sweeps.directions import Direction, as_steps
from circuits.weight_sweeps.factor_measures import Meter, seen
from circuits.weight_sweeps.moves_of_model import moves_of
from circuits.weight_sweeps.output_change import OutputChange, inner_products
from circuits.weight_sweeps.plain_moves import Moves
from circuits.weight_sweeps.scored import ScoredSweep, frame_of
from interp._util.devices import resolve_dtype
from interp._util.estimate import told
from interp.errors import InterpError, require_range
from interp.subject import Subject, as_subject
from interp.tasks import Task
from interp.tasks.symmetry import Symmetry

STEP = 0.3
SMALLEST = 1e-8  # of the clean outputs' variance: a smaller mean squared change is left out
MAX_BYTES = 1 << 30  # of changes that are kept for their rank
MAX_EXAMPLES = 4096  # of a task whose inputs are examples only
SEARCHED = 512  # examples on which matched steps are searched
WITHIN = 0.01  # relative error of a matched effect on these
TRIES = 24
LARGE = 1 << 20  # outputs in all, above which reports and measures sweep in float32


@dataclass(repr=False)
class NetworkSweep(ScoredSweep):
    """How a network's outputs changed along each direction.

    Attributes:
        subject: the network, unchanged.
        directions: what its weights were moved along.
        steps: how far, ``[direction, step]``.
        measured: one row per direction and step: ``direction``, ``name``, ``layer``, ``step``, ``mean_square`` of the change,
            and each of `circuits.weight_sweeps.factor_measures.MEASURES`.
        meter: the symmetry and the factors that were measured.
        variance: of the clean outputs, over examples and outputs.
        power: of every change by factor on the input side, ``[row of measured, factor]``.
        notes: what a reader must know, such as examples that were left out.
    """

    MEASURES: ClassVar[Sequence[str]] = factor_measures.MEASURES
    WHAT: ClassVar[str] = "outputs"

    subject: Subject
    directions: Sequence[Direction]
    steps: Tensor
    measured: pd.DataFrame
    meter: Meter
    variance: float
    power: Float[Tensor, "row factor"] = field(repr=False)
    notes: tuple[str, ...]
    _inner: Tensor = field(repr=False)  # of the kept changes
    _kept: Tensor = field(repr=False)  # rows of `measured`

    @property
    @override
    def smallest(self) -> float:
        """A hundred-millionth of the clean outputs' variance: a ten-thousandth of their standard deviation."""
        return SMALLEST * self.variance

    @override
    def kept_rows(self) -> Tensor:
        return self._kept

    @override
    def inner_products(self, rows: Sequence[int]) -> Float[Tensor, "m m"]:
        place = {int(row): i for i, row in enumerate(self._kept.tolist())}
        chosen = torch.tensor([place[i] for i in rows], dtype=torch.long)
        return self._inner[chosen[:, None], chosen]

    @property
    def by_layer(self) -> pd.DataFrame:
        """Share of each factor in the changes of each parameter: a row per parameter, a column per factor."""
        counted = self.counted()
        share = self.power / self.power.sum(1, keepdim=True)
        names = counted["name"].str.replace(r"\[.*\]$", "", regex=True)
        frame = pd.DataFrame(
            share[torch.tensor(counted.index.to_numpy())].numpy(), columns=list(self.meter.factors.names)
        )
        counted_names = list(self.meter.factors.counted_names)
        return pd.DataFrame(frame[counted_names].groupby(names.to_numpy(), sort=False).mean())


class Swept:
    """A network that is ready to be swept: its clean run, and what is measured of every change.

    Args:
        subject: with a task.
        dtype: in which it is run.
        examples: at most so many, chosen at random, where the task's inputs are not a whole table.

    Raises:
        MissingCapability: no task is known.
    """

    def __init__(self, subject: Subject, dtype: torch.dtype | None = None, examples: int = MAX_EXAMPLES):
        self.subject = subject.cast(dtype) if dtype is not None else subject.cast()
        self.task = subject.require_task()
        subject.refuse_hooks()
        self.inputs, self.notes = examples_of(self.task, examples)
        self.moves: Moves = moves_of(self.subject.model, self.task, self.inputs)
        self.meter = Meter.of(self.subject, self.moves.base)
        shown = seen(OutputChange(self.moves.base), self.meter.centre).dense()
        self.variance = float((shown - shown.mean(0)).double().square().mean())

    @cached_property
    def searched(self) -> Moves:
        """Moves on some of the examples, on which matched steps are searched."""
        if len(self.inputs) <= SEARCHED:
            return self.moves
        chosen = torch.randperm(len(self.inputs), generator=torch.Generator().manual_seed(0))[:SEARCHED]
        return moves_of(self.subject.model, self.task, self.inputs[chosen])

    def effect(self, direction: Direction, step: float) -> float:
        """Root mean square of a change, in standard deviations of the clean outputs; on `searched`."""
        change = seen(self.searched.change(direction, step), self.meter.centre)
        square = float(change.energy().mean()) / change.width
        return math.sqrt(square / self.variance) if self.variance > 0 else float("nan")


def examples_of(task: Task, most: int) -> tuple[Tensor, tuple[str, ...]]:
    """The examples at which outputs are compared, and what to say of them.

    Args:
        task: of the network.
        most: examples of a task whose inputs are not a whole table.

    Returns:
        those that the task's symmetry acts on; a finite input table; or random examples.
    """
    symmetry = task.symmetry()
    if isinstance(symmetry, Symmetry) and symmetry.examples is not None:
        return symmetry.examples, (f"Measured on {symmetry.n_examples:,} examples, on which the symmetry acts.",)
    if task.complete or isinstance(symmetry, Symmetry) or len(task.inputs) <= most:
        return task.inputs, ()
    chosen = torch.randperm(len(task.inputs), generator=torch.Generator().manual_seed(0))[:most].sort().values
    return task.inputs[chosen], (f"Measured on {most:,} of {len(task.inputs):,} examples, chosen at random.",)


def work(subject: Subject, examples: int) -> float:
    """Multiply-adds of one run of a network, roughly: weights times positions times examples.

    Args:
        subject: with a task.
        examples: that are run.

    Returns:
        an upper bound for most networks; a transformer and an MLP need far less for most moves.
    """
    inputs = subject.require_task().inputs
    tokens = isinstance(inputs, Tensor) and not inputs.is_floating_point() and inputs.ndim == 2
    return float(sum(p.numel() for p in subject.model.parameters())) * (inputs.shape[1] if tokens else 1) * examples


@torch.no_grad()
def network_sweep(
    subject: Subject | Swept,
    directions: Sequence[Direction],
    steps: Sequence[float] | Tensor = (STEP,),
    *,
    dtype: torch.dtype | str | None = None,
    max_bytes: int = MAX_BYTES,
    progress: Callable[[int, int], None] | bool | None = None,
) -> NetworkSweep:
    """Weight sweep of a network with a task; see `circuits.sweep`.

    Args:
        subject: with a task; or one that is ready, where several sweeps follow.
        directions: of `circuits.single_entries` or `circuits.random_directions`.
        steps: how far, for all directions ``[step]``, or for each ``[direction, step]``.
        dtype: in which the network is run; the subject's precision by default.
        max_bytes: of changes that are kept for their rank; of more, every second, third, ... direction is kept.
        progress: called with (directions done, directions in all).

    Returns:
        measures of every change, and scores with intervals.

    Raises:
        MissingCapability: no task is known.
        InterpError: no directions, one of another network, or steps of another shape.
    """
    directions = list(directions)
    given = as_steps(steps, len(directions))
    require_range("max_bytes", max_bytes, 1)
    swept = subject if isinstance(subject, Swept) else Swept(as_subject(subject), resolve_dtype(dtype))
    layers = {name: i for i, (name, _) in enumerate(swept.subject.model.named_parameters())}
    unknown = next((d for d in directions if d.parameter is not None and d.parameter not in layers), None)
    if unknown is not None:
        raise InterpError(f"{unknown} is not a direction of {swept.subject.name}, which has no such parameter")
    columns = {
        name: torch.zeros(given.shape, dtype=torch.float64) for name in ("mean_square", *factor_measures.MEASURES)
    }
    every = max(1, -(-given.numel() * swept.moves.base.numel() * swept.moves.base.element_size() // max_bytes))
    kept, rows, shown = [], [], told("directions", progress)
    power = torch.zeros(given.numel(), len(swept.meter.factors.names), dtype=torch.float64)
    for i, direction in enumerate(directions):
        for k, step in enumerate(given[i].tolist()):
            change = seen(swept.moves.change(direction, step), swept.meter.centre)
            found = swept.meter.measure(change)
            for name, value in found.values.items():
                columns[name][i, k] = value
            power[i * given.shape[1] + k] = found.input_power.cpu()
            if i % every == 0:
                kept.append(change)
                rows.append(i * given.shape[1] + k)
        shown(i + 1, len(directions))
    notes = swept.notes
    if every > 1:
        notes += (f"The rank is that of every {every}th direction: max_bytes={max_bytes:,} holds no more changes.",)
    frame = frame_of(directions, given, layers, columns)
    return NetworkSweep(
        swept.subject, directions, given, frame, swept.meter, swept.variance, power, notes, inner_products(kept),
        torch.tensor(rows, dtype=torch.long),
    )  # fmt: skip


@torch.no_grad()
def network_matched_steps(
    subject: Subject | Swept,
    directions: Sequence[Direction],
    effect: float = 0.1,
    low: float = 1e-4,
    high: float = 64.0,
) -> tuple[list[Direction], Tensor]:
    """For each direction the step at which the outputs change by the same amount; see `circuits.matched_steps`.

    Args:
        subject: with a task; or one that is ready.
        directions: of `circuits.single_entries` or `circuits.random_directions`.
        effect: root mean square of the change, in standard deviations of the clean outputs.
        low: the smallest step.
        high: the largest step.

    Returns:
        the directions that reach the effect, and their steps ``[direction, 1]``.
    """
    swept = subject if isinstance(subject, Swept) else Swept(as_subject(subject))
    found = [_step_of(swept, d, effect, low, high) for d in directions]
    reached = [i for i, step in enumerate(found) if step is not None]
    steps = torch.tensor([[found[i]] for i in reached], dtype=torch.float64).reshape(-1, 1)
    return [directions[i] for i in reached], steps


def _step_of(swept: Swept, direction: Direction, effect: float, low: float, high: float) -> float | None:
    """The step at which the effect is reached, by the secant of logarithms inside a bracket; None where it is not."""
    step, below, above = min(max(STEP, low), high), (low, swept.effect(direction, low)), None
    if not below[1] <= effect:
        return None
    for _ in range(TRIES):
        reached = swept.effect(direction, step)
        if abs(reached - effect) <= WITHIN * effect:
            return step
        if reached > effect:
            above = (step, reached)
        else:
            below = (step, reached)
            if step >= high:
                return None
        step = (
            _between(below, above, effect)
            if above
            else min(high, step * max(2.0, min(effect / max(reached, 1e-12), 32.0)))
        )
    return None


def _between(below: tuple[float, float], above: tuple[float, float], effect: float) -> float:
    """A step inside the bracket: where the straight line through its ends, in logarithms, reaches the effect."""
    (s0, e0), (s1, e1) = below, above
    weight = math.log(effect / max(e0, 1e-300)) / math.log(e1 / max(e0, 1e-300))
    return math.exp(math.log(s0) + min(max(weight, 0.1), 0.9) * (math.log(s1) - math.log(s0)))
