"""A function as metric: what it is called with, said before anything runs."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from circuits import ablate, patch
from interp import InterpError
from tests.models import subject


def test_a_function_of_outputs_and_labels() -> None:
    """The plausible mistake: torch's losses take the labels, a metric does not get them."""
    one = subject("shared concat")
    labels = one.require_task().labels

    def own_loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets, reduction="none")

    message = r"the metric 'own_loss' is called with the model's outputs alone, \[batch, ...\], and takes \(outputs.*, targets"
    with pytest.raises(InterpError, match=message):
        ablate(one, kind="neurons", metric=own_loss)
    inputs = one.require_task().inputs
    with pytest.raises(InterpError, match="is called with the model's outputs alone"):
        patch(one, inputs[:2], inputs[2:4], "*hook_post", metric=own_loss)
    found = ablate(one, kind="neurons", metric=partial(own_loss, targets=labels))
    torch.testing.assert_close(torch.tensor(found["own_loss"]), torch.tensor(found["loss"]))
