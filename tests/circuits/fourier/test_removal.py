"""Frequencies removed from a network: what goes, what stays, and what that does to networks written by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from circuits.fourier.removal import remove_everywhere, without_in_embedding
from circuits.fourier.table import Table
from tests.models import P, subject
from tests.probes.by_hand import TASKS, written


@pytest.mark.parametrize("name", ["plain", "per operand", "shared sum"])
def test_a_frequency_taken_out_of_the_embedding(name: str) -> None:
    """The rows of the symbols lose the frequency and nothing else; = keeps its row; the model itself is not touched."""
    one = subject(name)
    before = one.model.W_E.clone()
    model = without_in_embedding(one, [2])
    stacked = model.W_E if model.W_E.ndim == 3 else model.W_E[None]
    old = before if before.ndim == 3 else before[None]
    power = torch.fft.rfft(stacked[:, :P], dim=1).abs().detach().numpy()
    assert power[:, 2].max() < 1e-9
    np.testing.assert_allclose(power[:, [0, 1, 3]], torch.fft.rfft(old[:, :P], dim=1).abs()[:, [0, 1, 3]].detach())
    assert torch.equal(stacked[:, P:], old[:, P:])
    assert torch.equal(one.model.W_E, before)


@pytest.mark.parametrize("name", ["add", "multiply", "renamed group"])
def test_removing_keys_destroys_and_removing_others_does_not(name: str) -> None:
    """In embedding, neurons and logits of a written network."""
    one = written(TASKS[name], [1, 2])
    sets = remove_everywhere(Table(one), [1, 2], n_random=3)
    clean = Table(one).score(Table(one).logits)
    for where in ("embedding", "logits"):
        part = sets[sets["where"] == where]
        assert (part[part["removed"] == "key"]["loss"] > clean.all + 0.5).all()
        np.testing.assert_allclose(part[part["removed"] == "random"]["loss"], clean.all, atol=1e-9)
    assert len(sets) == 3 * (1 + 3)
