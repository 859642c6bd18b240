"""Loss and accuracy against plain loops, and on networks written by hand."""

from __future__ import annotations

import pytest
import torch

from interp import HookedMLP, MLPConfig, ModularArithmetic, Subject
from interp.tasks import Examples
from probes.analyses.performance import performance
from tests.models import P, make, subject
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


def test_lines_of_the_verdict() -> None:
    """Correct answers and both losses; a network that diverged says so, a regression has no right answers."""
    one = subject("plain")
    found = performance(one)
    labels = ["correct answers", "train loss", "test loss"]
    assert [label for label, _ in found.verdict] == labels
    assert found.verdict[0][1] == f"{found.metrics['correct']} of 49"
    broken = subject("plain")
    with torch.no_grad():
        broken.model.W_E.fill_(torch.nan)
    assert performance(broken).verdict == list(zip(labels, ["0 of 49", "not a number", "not a number"], strict=True))


def test_without_test_examples_or_right_answers() -> None:
    """A part that is empty has no line, and neither has what cannot be right."""
    whole = Subject("all", make("plain"), ModularArithmetic(P, "add", 1.0))
    assert [label for label, _ in performance(whole).verdict] == ["correct answers", "train loss"]
    inputs = torch.linspace(-1, 1, 8, dtype=torch.float64)[:, None]
    task = Examples(inputs, inputs.square(), train=range(5), loss="regression")
    model = HookedMLP(MLPConfig((4,), 1, d_in=1)).double().init_weights(0)
    found = performance(Subject("squares", model, task))
    assert [label for label, _ in found.verdict] == ["train loss", "test loss"]
    assert found.headline.startswith("loss ")
