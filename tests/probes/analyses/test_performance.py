"""Loss and accuracy against plain loops, and on networks written by hand."""

from __future__ import annotations

import pytest
import torch

from probes.analyses.performance import performance
from tests.models import P, subject
from tests.probes.by_hand import TASKS, written


@pytest.mark.parametrize("name", ["add", "multiply", "renamed group"])
def test_the_written_network_is_right_where_it_can_be(name: str) -> None:
    """Three frequencies with the group's order as common period tell all answers of the structure apart."""
    one = written(TASKS[name], [1, 2, 5])
    found = performance(one).metrics
    total = int(one.require_task().cyclic().order) ** 2  # type: ignore[union-attr]
    assert found["correct"] >= total  # type: ignore[operator]


def test_performance_counts_by_plain_loops() -> None:
    """Counts and means against Python."""
    one = subject("plain")
    task, found = one.require_task(), performance(one).metrics
    logits = one.model(task.inputs)[:, -1, :P]
    right = [int(row.argmax()) == label for row, label in zip(logits, task.labels.tolist(), strict=True)]
    losses = [-torch.log_softmax(row, 0)[label].item() for row, label in zip(logits, task.labels.tolist(), strict=True)]
    train = task.train_indices.tolist()
    assert (found["correct"], found["total"]) == (sum(right), 49)
    assert found["train_correct"] == sum(right[i] for i in train)
    assert found["loss"] == pytest.approx(sum(losses) / 49)
    assert found["train_loss"] == pytest.approx(sum(losses[i] for i in train) / len(train))
