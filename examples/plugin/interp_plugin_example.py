"""Analyses, a measure and a task for ``interp`` in one file: dead units, a distance, the norm of the biases, a weighted vote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd
import torch
from torch import Tensor

from interp import InterpError, Result, Snapshot, Subject, Task, analysis, capture, joint_analysis, measure
from interp.tasks import shuffled


@analysis("dead_units", needs=("activations", "input_table"), summary="Hidden units that never fire, layer by layer")
def dead_units(subject: Subject, *, tolerance: float = 0.0) -> Result:
    """Count the units whose activation stays within ``tolerance`` of zero on every possible input.

    Args:
        tolerance: how far from zero an activation may be and still count as silent.
    """
    layers = capture(subject.model, subject.require_task().inputs, "*hook_post")
    silent = {name: (units.flatten(0, -2).abs() <= tolerance).all(0) for name, units in layers.items()}
    table = pd.DataFrame([{"layer": n, "units": len(s), "dead": int(s.sum())} for n, s in silent.items()])
    dead, total = int(table["dead"].sum()), int(table["units"].sum())
    return Result({"dead": dead, "units": total}, {"by layer": table}, headline=f"{dead} of {total} units never fire")


@joint_analysis("weight_distance", needs=("weights",), summary="How far the networks' weights are from the first one's")
def weight_distance(subjects: Mapping[str, Subject], *, power: float = 2.0) -> Result:
    """Distance of all weights from the first network's, which must have the same shapes.

    Args:
        power: of the norm: 2 for the Euclidean one.
    """
    first, *others = [[w.detach() for w in s.model.parameters()] for s in subjects.values()]
    if any([w.shape for w in own] != [w.shape for w in first] for own in others):
        raise InterpError("weight_distance: the networks have different shapes")
    apart = [
        sum(float((a - b).abs().pow(power).sum()) for a, b in zip(first, own, strict=True)) ** (1 / power)
        for own in others
    ]
    table = pd.DataFrame({"network": list(subjects)[1:], "distance": apart})
    return Result({"largest": max(apart)}, {"distances": table}, headline=f"At most {max(apart):.3g} from the first")


@measure("bias_norm", summary="Euclidean norm of all biases")
def bias_norm(snapshot: Snapshot) -> float:
    """``|b|_2`` over every parameter with one axis."""
    squares = [float(w.double().square().sum()) for w in snapshot.weights.values() if w.ndim == 1]
    return sum(squares) ** 0.5


@dataclass(frozen=True)
class WeightedVote(Task):
    """Whether a motion passes: voter i (from 0) has ``i + 1`` votes, and every ballot is -1 or 1.

    Attributes:
        n: number of voters; all ``2^n`` ballots are the input table.
        train_fraction: share of the ballots that are trained on.
        seed: of the split.
        loss: one of `LOSSES`.
    """

    name: ClassVar[str] = "vote"
    summary: ClassVar[str] = "whether a weighted vote passes: voter i has i + 1 votes"
    LOSSES: ClassVar[tuple[str, ...]] = ("bce", "cross_entropy")
    complete: ClassVar[bool] = True  # the inputs are all that exist, so that analyses may enumerate them
    HELP: ClassVar[dict[str, str]] = {
        **Task.HELP,
        "n": "number of voters",
        "train_fraction": "share of the ballots that are trained on",
    }
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "mlp": {"model": {"hidden": (16,)}, "optimizer": {"lr": 0.01}, "plan": {"steps": 300, "init": "torch"}}
    }

    n: int = 8
    train_fraction: float = 0.75
    seed: int = 0
    loss: str = "bce"

    def __post_init__(self) -> None:
        if not isinstance(self.n, int) or not 1 <= self.n <= 16:
            raise InterpError(f"vote: n must be a whole number from 1 to 16, got {self.n!r}")

    @property
    def n_outputs(self) -> int:
        return 2

    def make_inputs(self) -> Tensor:
        """Every ballot ``[2^n, n]``, of -1 and 1."""
        bits = torch.arange(2**self.n).unsqueeze(1) >> torch.arange(self.n) & 1
        return 2.0 * bits - 1

    def make_labels(self) -> Tensor:
        """1 where the votes in favour outweigh those against ``[2^n]``."""
        return (self.inputs @ torch.arange(1.0, self.n + 1) > 0).long()

    def make_split(self) -> tuple[Tensor, Tensor]:
        return shuffled(2**self.n, self.train_fraction, self.seed)
