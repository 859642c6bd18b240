"""RQI, predicted accuracy and their ideals of a network, and what they refuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from interp import HookedMLP, InterpError, MLPConfig, ModularArithmetic, Subject
from interp.errors import MissingCapability
from interp.tasks import SparseParity, ToyAddition
from probes.deduction import ideal_of_products
from probes.measures.parallelograms import ideal_accuracy, ideal_rqi, predicted_accuracy, rqi
from probes.parallelograms import (
    Found,
    ideal,
    normalised,
    parallelograms,
    samples_of,
)  # fmt: skip
from tests.circuits.cppns import dense as cppn
from tests.models import P, make, subject
from tests.probes.test_parallelograms import draw


def test_a_network_on_addition() -> None:
    """Its first p rows alone, normalised; measured in float64 whatever was stored."""
    task = ToyAddition(6, 0.5, loss="cross_entropy")
    model = HookedMLP(MLPConfig((5,), 11, d_vocab=7, d_embed=3, combine="sum")).double().init_weights(0)
    line = torch.cat([torch.arange(6.0)[:, None] * draw(0, 1, 3) - 2, 100 * draw(1, 1, 3)])
    samples, trained = samples_of(task.fit(model))
    for dtype in (torch.float64, torch.float32):
        with torch.no_grad():
            model.to(dtype).W_E.copy_(line)
        one = Subject("line", model, task.fit(model))
        assert rqi(one)[""] == 1 > ideal_rqi(one)[""]
        assert Found(ideal_rqi(one)[""], ideal_accuracy(one)[""]) == ideal(samples, trained)
        assert predicted_accuracy(one)[""] == parallelograms(normalised(line[:6]), samples, trained).accuracy


@pytest.mark.parametrize("measure", [rqi, predicted_accuracy, ideal_rqi, ideal_accuracy])
def test_refusals(measure: Callable[..., dict[str, float]]) -> None:
    """Everything that has no sums of embeddings says so."""
    minus = ModularArithmetic(P, "subtract", 0.5).fit(make("plain"))
    parity = HookedMLP(MLPConfig((4,), 1, d_in=6)).double().init_weights(0)
    for one, message in (
        (subject("per operand"), "one table for both operands"), (Subject("minus", make("plain"), minus), "commute"),
        (Subject("parity", parity, SparseParity(n=6, k=2, n_train=9, n_test=1)), "not tokens"),
        (Subject("cppn", cppn()), "needs a task"), (Subject("lstm", make("lstm")), "needs a task"),
    ):  # fmt: skip
        with pytest.raises(InterpError, match=message):
            measure(one)
    if measure in (ideal_rqi, ideal_accuracy):
        with pytest.raises(MissingCapability, match="wrap around"):
            measure(subject("plain"))
    else:
        with pytest.raises(InterpError, match="delta"):
            measure(subject("plain"), delta=-1.0)


def test_the_ideal_of_matrices_that_are_multiplied() -> None:
    """The deduction's, for the network's train set."""
    one = subject("product")
    found = ideal_of_products(*samples_of(one.require_task(), product=True))
    assert Found(ideal_rqi(one)[""], ideal_accuracy(one)[""]) == found
    assert 0 < found.accuracy <= 1
