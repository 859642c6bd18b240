"""Ensembles as the tests drive them: a plan, a device, a block size; and what their members came to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import interp
from interp.tasks import make_task
from interp.training.ensemble import Ensemble
from interp.training.planning import make_plan

CPU = torch.device("cpu")
PARITY = "parity:n=10,k=2,n_train=48,n_test=24"
ADDITION = "addition:p=5"


def ensemble(task: str, model: str, members: Sequence[dict[str, Any]], size: int | None = None, **settings: Any):
    """An ensemble at step 0, in float64 where nothing else is said."""
    plan = make_plan(make_task(task), model, members=members, **{"dtype": "float64", **settings})
    return Ensemble(plan, CPU, size)


def trained(
    task: str, model: str, members: Sequence[dict[str, Any]], steps: int = 40, size: int | None = None, **settings: Any
) -> list[dict[str, Tensor]]:
    """The weights of every member after so many steps."""
    found = ensemble(task, model, members, size, steps=steps, **settings)
    found.advance(steps)
    return by_member(found)


def by_member(found: Ensemble) -> list[dict[str, Tensor]]:
    stacks = found.weights()
    return [{n: s[i] for n, s in stacks.items()} for i in range(len(next(iter(stacks.values()))))]


def gap(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """The largest difference between two sets of weights; NaN counts as infinite."""
    assert one.keys() == other.keys()
    found = max((one[n] - other[n]).abs().max().item() for n in one)
    return found if found == found else float("inf")


def same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def weights_of(run: interp.Run, member: int, step: int | None = None) -> dict[str, Tensor]:
    return {n: p.detach() for n, p in run.subject(member, step).model.named_parameters()}


def files(path: Path) -> dict[str, bytes]:
    """The bytes of what a run leaves for others: its metrics and its checkpoints."""
    kept = [path / "metrics.jsonl", *sorted((path / "checkpoints").iterdir())]
    return {str(f.relative_to(path)): f.read_bytes() for f in kept}
