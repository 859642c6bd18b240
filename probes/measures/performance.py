"""Loss and accuracy as measures over a run."""

from __future__ import annotations

from interp.plugins.measure import measure
from interp.snapshot import Snapshot


@measure("loss", order=1, needs=("task",), summary="the task's loss, mean over train, test and all examples", log=True)
def loss(snapshot: Snapshot) -> dict[str, float]:
    """Mean loss in float64, by part of the split."""
    losses = snapshot.losses
    return {
        **{name: float(losses[index].mean()) for name, index in snapshot.parts.items()},
        "all": float(losses.mean()),
    }


@measure("accuracy", order=2, needs=("answers",), summary="share of right answers, over train, test and all examples")
def accuracy(snapshot: Snapshot) -> dict[str, float]:
    """Right answers, counted in integers, over the number of examples, by part of the split."""
    right = snapshot.correct
    counts = {name: right[index] for name, index in snapshot.parts.items()}
    return {name: int(part.sum()) / len(part) for name, part in {**counts, "all": right}.items()}
