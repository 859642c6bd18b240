"""Scores: counts and means by hand, parts without examples, tasks without correct answers, former names."""

from __future__ import annotations

import math

import pytest
import torch

from interp import InterpError, ModularArithmetic
from interp.scores import of_examples, score
from interp.tasks import Examples


def test_by_hand() -> None:
    """Five examples in two parts; an empty part has no loss."""
    losses, right = (
        torch.tensor([1.0, 2.0, 3.0, 4.0, 10.0], dtype=torch.float64),
        torch.tensor([True, False, True, True, False]),
    )
    found = of_examples(losses, right, torch.tensor([0, 1]), torch.tensor([2, 3, 4]))
    assert (found.train.loss, found.train.correct, found.train.total, found.train.accuracy) == (1.5, 1, 2, 0.5)
    assert (found.test.loss, found.test.correct, found.test.total) == (17 / 3, 2, 3)
    assert (found.loss, found.correct, found.accuracy) == (4.0, 3, 0.6)
    none = of_examples(losses, None, torch.arange(5), torch.arange(0))
    assert (none.test.loss, none.test.accuracy, none.test.total) == (None, None, 0)
    assert (none.accuracy, none.correct, none.loss) == (None, None, 4.0)


def test_a_task() -> None:
    """Uniform logits lose log p; answers that are given win; another number of rows is refused."""
    task = ModularArithmetic(5, train_fraction=0.4)
    assert score(task, torch.zeros(25, 5)).loss == pytest.approx(math.log(5))
    sure = score(task, torch.nn.functional.one_hot(task.labels, 5) * 50.0)
    assert (sure.accuracy, sure.train.correct, sure.test.correct) == (1.0, 10, 15)
    with pytest.raises(InterpError, match="3 rows of logits"):
        score(task, torch.zeros(3, 5))


def test_a_regression_has_no_accuracy() -> None:
    """Its loss alone is known."""
    task = Examples(torch.zeros(4, 2), torch.ones(4, 3), loss="regression")
    found = score(task, torch.zeros(4, 3))
    assert (found.loss, found.accuracy, found.correct) == (1.0, None, None)


@pytest.mark.parametrize("name", ["train_loss", "test_loss", "train_accuracy", "test_accuracy"])
def test_former_names(name: str) -> None:
    """Flat attributes of a version ago work, with a warning."""
    task = ModularArithmetic(5, train_fraction=0.4)
    found = score(task, torch.randn(25, 5, generator=torch.Generator().manual_seed(0)))
    part, _, what = name.partition("_")
    with pytest.warns(DeprecationWarning, match=rf"Scores\.{name} is now Scores\.{part}\.{what}"):
        assert getattr(found, name) == getattr(getattr(found, part), what)
