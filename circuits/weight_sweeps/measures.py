"""Weight sweeps as measures over a run: factors touched, equivariant share and rank of the changes at each checkpoint."""

from __future__ import annotations

import torch

from circuits.weight_sweeps.directions import random_directions
from circuits.weight_sweeps.network_sweep import (
    LARGE,
    MAX_EXAMPLES,
    STEP,
    Swept,
    examples_of,
    network_sweep,
    work,
)
from circuits.weight_sweeps.scored import Score
from interp.errors import MissingCapability, require_range
from interp.hooked import HookedCPPN
from interp.plugins.measure import measure
from interp.snapshot import Snapshot

DIRECTIONS = 16
BUDGET = 2e11  # multiply-adds of one checkpoint's sweep


def _swept(snapshot: Snapshot, directions: int, step: float, seed: int) -> dict[str, Score]:
    """Scores of a checkpoint's sweep, made once for all measures of it."""
    require_range("directions", directions, 2)
    subject = snapshot.subject
    if isinstance(subject.model, HookedCPPN):
        raise MissingCapability("an image network has sweeps of its own: the analysis sweeps, or circuits.sweep")

    def make() -> dict[str, Score]:
        task = subject.require_task()
        whole = len(examples_of(task, MAX_EXAMPLES)[0])
        if work(subject, whole) * directions > BUDGET:
            raise MissingCapability(
                f"{directions} directions would run the network on {directions * whole:,} examples at each checkpoint; the "
                "analysis sweeps measures a single one"
            )
        large = whole * task.width > LARGE
        swept = Swept(subject, torch.float32 if large else None)
        return network_sweep(swept, random_directions(subject.model, directions, seed), (step,)).scores()

    return snapshot.share(f"weight sweep {directions} {step} {seed}", make)


@measure(
    "sweep_factors",
    order=50,
    needs=("task", "outputs"),
    summary="factors of the task that a random move of the weights touches (median)",
)
def sweep_factors(
    snapshot: Snapshot, *, directions: int = DIRECTIONS, step: float = STEP, seed: int = 0
) -> dict[str, float]:
    """Factors touched by one step along a random column: few in a unified network, nearly all in a fractured one.

    Kumar et al. 2025 ask the question of pictures, https://arxiv.org/abs/2505.11581; see
    `circuits.weight_sweeps.factor_measures`.

    Args:
        snapshot: of a network with a task.
        directions: random columns.
        step: how far the weights move.
        seed: of the directions.

    Returns:
        medians of the factors touched, on the side of the inputs and on that of the outputs.
    """
    scores = _swept(snapshot, directions, step, seed)
    found = {side: scores.get(f"{side}_factors") for side in ("input", "output")}
    return {side: score.value for side, score in found.items() if score is not None}


@measure(
    "sweep_equivariance",
    order=51,
    needs=("task", "outputs"),
    log=True,
    summary="share of a random move's change that respects the task's symmetry (median)",
)
def sweep_equivariance(
    snapshot: Snapshot, *, directions: int = DIRECTIONS, step: float = STEP, seed: int = 0
) -> dict[str, float]:
    """Equivariant share of the change of the outputs along a random column (`interp.tasks.symmetry.Symmetry.share`).

    Args:
        snapshot: of a network whose task has a symmetry.
        directions: random columns.
        step: how far the weights move.
        seed: of the directions.

    Returns:
        the median share.

    Raises:
        MissingCapability: no symmetry of the task is known.
    """
    if isinstance(reason := snapshot.subject.require_task().symmetry(), str):
        raise MissingCapability(reason)
    score = _swept(snapshot, directions, step, seed).get("equivariant_share")
    return {} if score is None else {"": score.value}


@measure(
    "sweep_rank",
    order=52,
    needs=("task", "outputs"),
    summary="effective rank of the changes along random columns, as a share of their number",
)
def sweep_rank(
    snapshot: Snapshot, *, directions: int = DIRECTIONS, step: float = STEP, seed: int = 0
) -> dict[str, float]:
    """Effective rank of the normalised changes along random columns, as a share of their number.

    Args:
        snapshot: of a network with a task.
        directions: random columns; only equal numbers compare.
        step: how far the weights move.
        seed: of the directions.

    Returns:
        the share.
    """
    score = _swept(snapshot, directions, step, seed).get("change_rank_share")
    return {} if score is None else {"": score.value}
