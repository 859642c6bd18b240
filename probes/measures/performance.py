"""Measures: loss and accuracy over train, test and all examples."""

from __future__ import annotations

from interp.plugins.measure import measure
from interp.scores import Part, Scores, score
from interp.snapshot import Snapshot


@measure("loss", order=1, needs=("task",), summary="the task's loss, mean over train, test and all examples", log=True)
def loss(snapshot: Snapshot) -> dict[str, float]:
    """The task's loss in float64, mean over each part of the split that has examples."""
    return {name: part.loss for name, part in _parts(snapshot).items() if part.loss is not None}


@measure("accuracy", order=2, needs=("answers",), summary="share of correct answers, over train, test and all examples")
def accuracy(snapshot: Snapshot) -> dict[str, float]:
    """Share of correct answers, counted in integers, over each part of the split that has examples."""
    return {name: part.accuracy for name, part in _parts(snapshot).items() if part.accuracy is not None}


def _parts(snapshot: Snapshot) -> dict[str, Part]:
    def scores() -> Scores:
        return score(snapshot.task, snapshot.logits)

    found = snapshot.share("scores", scores)
    return {"train": found.train, "test": found.test, "all": found.all}
