"""Measures of how a network's outputs change when its weights move: what a change respects, and what it touches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.weight_sweeps.output_change import OutputChange
from interp.groups import representations_of
from interp.subject import Subject
from interp.tasks import Task
from interp.tasks.factors import FactorAxis, Factors
from interp.tasks.symmetry import Symmetry
from probes import fourier
from probes.representations import key_representations

MEASURES = ("equivariant_share", "input_factors", "output_factors", "extent", "key_share")
FLOOR = 1e-9  # share of variance below which a principal component counts as none


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of one change.

    Attributes:
        values: by name; NaN where a measure does not apply.
        input_power: by factor, on the input side, summed over the arguments; the constant's is 0.
    """

    values: dict[str, float]
    input_power: Float[Tensor, "factor"]


@dataclass(frozen=True, eq=False)
class Meter:
    """What is measured of every change of one network's outputs.

    Attributes:
        symmetry: of the task; None where none is known.
        factors: of the task, or the principal components of the clean outputs.
        centre: whether each example's mean over the outputs is taken off first, since the loss does not see it.
        keys: the factors that the network works with.
    """

    symmetry: Symmetry | None
    factors: Factors
    centre: bool
    keys: tuple[int, ...] = ()

    @classmethod
    def of(cls, subject: Subject, outputs: Float[Tensor, "n width"]) -> Meter:
        """The meter for a subject.

        Args:
            subject: with a task.
            outputs: of the unchanged network, at every example of the sweep.

        Returns:
            with the task's symmetry and factors where it has them.
        """
        task = subject.require_task()
        symmetry, factors, centre = task.symmetry(), task.factors(), task.criterion.shift_invariant
        shown = seen(OutputChange(outputs), centre).dense()
        if isinstance(factors, str):
            factors = principal_factors(shown)
        known = symmetry if isinstance(symmetry, Symmetry) else None
        return cls(known, factors, centre, key_factors(task, factors, shown))

    def measure(self, change: OutputChange) -> Measured:
        """All measures of one change.

        Args:
            change: of all outputs, centred where the loss does not see the mean.

        Returns:
            ``mean_square`` and each of `MEASURES`, NaN where one does not apply; and the power by factor.
        """
        rows = change.rows()
        energy = rows.square().sum(-1, dtype=torch.float64)
        total = float(energy.sum())
        found = dict.fromkeys(MEASURES, float("nan")) | {"mean_square": total / (len(energy) * change.width)}
        nothing = torch.zeros(len(self.factors.names), dtype=torch.float64)
        if not total > 0:
            return Measured(found, nothing)
        found["extent"] = float(total**2 / (len(energy) * energy.square().sum()))
        if self.symmetry is not None:
            found["equivariant_share"] = float(self.symmetry.share(change.dense()))
        powers = [self._power(axis, rows) for axis in self.factors.inputs]
        found["input_factors"] = _mean([factors_touched(p) for p in powers])
        if self.factors.outputs is not None:
            found["output_factors"] = float(factors_touched(self._power(self.factors.outputs, change.columns())))
        if self.keys:
            found["key_share"] = _mean([p[list(self.keys)].sum() / p.sum() for p in powers if p.sum() > 0])
        return Measured(found, torch.stack(powers).sum(0))

    def _power(self, axis: FactorAxis, values: Tensor) -> Tensor:
        power = axis.power(values[axis.index.to(values.device)].flatten(1), len(self.factors.names))
        return self.factors.varying(power)


def seen(change: OutputChange, centre: bool) -> OutputChange:
    """What the loss sees of a change.

    Args:
        change: of all outputs, or the outputs themselves.
        centre: whether the loss does not see the mean over the outputs.

    Returns:
        the change, without that mean if it is not seen.
    """
    return change.centred() if centre else change


def factors_touched(power: Float[Tensor, "factor"]) -> Float[Tensor, ""]:
    """How many factors hold the power: ``exp(-sum q ln q)`` of its shares q.

    Args:
        power: by factor.

    Returns:
        from 1 to the number of factors; NaN where there is no power.

    >>> factors_touched(torch.tensor([0.0, 2.0, 2.0])).item()
    2.0
    """
    share = power / power.sum()
    return torch.special.entr(share).sum().exp()


def expected_factors(factors: Factors) -> float:
    """How many factors a change without structure touches on the input side: each by its number of functions.

    Args:
        factors: of a task.

    Returns:
        the number of factors if they are equally large, fewer otherwise.
    """
    found = []
    for axis in factors.inputs:
        sizes = axis.factor.bincount(minlength=len(factors.names)).double()
        found.append(factors_touched(factors.varying(sizes)))
    return _mean(found)


def principal_factors(outputs: Float[Tensor, "n width"]) -> Factors:
    """The principal components of a network's outputs, for a task whose factors are not known.

    Args:
        outputs: of the unchanged network.

    Returns:
        a factor per component: its scores as a function of the examples, its direction as one of the outputs.
    """
    centred = outputs.double() - outputs.double().mean(0)
    left, size, right = torch.linalg.svd(centred, full_matrices=False)
    kept = int((size.square() > FLOOR * size.square().sum()).sum())
    index = torch.arange(kept)
    axes = (
        FactorAxis(name, torch.arange(len(rows)).unsqueeze(1), rows.T.contiguous(), index)
        for name, rows in (("example", left[:, :kept].cpu()), ("output", right[:kept].T.cpu()))
    )
    examples, answers = axes
    return Factors(
        "principal component", tuple(f"PC {i + 1}" for i in range(kept)), (examples,), answers, constant=None
    )


def key_factors(task: Task, factors: Factors, outputs: Float[Tensor, "n width"]) -> tuple[int, ...]:
    """The factors that a network works with.

    Args:
        task: of the network.
        factors: of the task, or of its outputs.
        outputs: of the unchanged network, centred where the loss does not see the mean.

    Returns:
        for addition modulo n the key frequencies of the logits, for another group its key representations; the factors that
        right answers need, where the task names them; else those above the gap of the outputs' power.
    """
    if factors.correct is not None:
        return factors.correct
    group = task.group()
    if not isinstance(group, str):
        cube = outputs[factors.inputs[0].index.to(outputs.device)][..., group.columns.to(outputs.device)]
        if not isinstance(task.cyclic(), str):
            return tuple(fourier.logit_frequencies(cube))
        every = representations_of(group.table)
        return tuple(every.indices(key_representations(cube, every)))
    axis = factors.outputs or factors.inputs[0]
    values = outputs.T if axis is factors.outputs else outputs
    power = axis.power(values[axis.index.to(values.device)].flatten(1), len(factors.names))
    if factors.constant is None:  # the gap is looked for after a constant
        return tuple(k - 1 for k in fourier.key_frequencies(torch.cat([power.new_zeros(1), power])))
    return tuple(fourier.key_frequencies(power))


def _mean(values: Sequence[Tensor]) -> float:
    known = [v for v in values if not torch.isnan(v)]
    return float(torch.stack(known).mean()) if known else float("nan")
