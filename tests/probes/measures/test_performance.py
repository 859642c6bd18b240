"""Loss and accuracy as measures: part by part, and over a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from interp import Subject
from probes import progress
from probes.measures.performance import accuracy, loss
from tests.models import subject
from tests.probes.measures.models import lstm, parity


@pytest.mark.parametrize("name", ["plain", "deep", "hinge", "bce", "lstm"])
def test_loss_and_accuracy(name: str, tmp_path: Path) -> None:
    """Means of the task's losses, and right answers counted one by one, part by part."""
    one = lstm(tmp_path) if name == "lstm" else subject(name) if name in ("plain", "deep") else parity(name)
    task = one.require_task()
    losses, right = task.losses(one.logits()).tolist(), task.correct(one.logits()).tolist()
    parts = {"train": task.train_indices.tolist(), "test": task.test_indices.tolist(), "all": range(len(losses))}
    assert loss(one) == pytest.approx(
        {part: sum(losses[i] for i in index) / len(index) for part, index in parts.items()}
    )
    assert accuracy(one) == {part: sum(right[i] for i in index) / len(index) for part, index in parts.items()}


def test_without_a_test_part_there_is_no_test_accuracy(demo: Subject) -> None:
    """An empty part is not a failure."""
    everything = Subject("all", demo.model, replace(demo.require_task(), train_fraction=1.0), demo.series)  # type: ignore[type-var]
    frame = progress(everything, ["accuracy"], every=6)
    assert set(frame["where"]) == {"train", "all"}
    assert frame.query("where == 'train'")["value"].iloc[-1] == 1
