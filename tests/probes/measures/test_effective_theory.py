"""Effective loss and grokking rate of a network."""

from __future__ import annotations

import math

import pytest
import torch

from interp import HookedMLP, MLPConfig, Subject
from interp.tasks import ToyAddition
from probes.effective_theory import grokking_rate
from probes.measures.effective_theory import effective, lambda_3
from probes.parallelograms import samples_of
from tests.probes.test_effective_theory import slow_loss


def toy() -> Subject:
    model = HookedMLP(MLPConfig((5,), 11, d_vocab=7, d_embed=3, combine="sum")).double().init_weights(3)
    return Subject("toy", model, ToyAddition(6, 0.9, loss="cross_entropy").fit(model))


def test_measures_of_a_network() -> None:
    """The loss of the embeddings as they are; the rate at both Z0; the row of = counts for nothing."""
    one = toy()
    (samples, trained), E = samples_of(one.require_task()), one.model.W_E.detach()[:6]
    z0 = float((E - E.mean(0)).square().sum())
    rates = {"normalised": grokking_rate(samples, trained), "own": grokking_rate(samples, trained, z0)}
    assert effective(one)[""] == pytest.approx(slow_loss(E, samples, trained))
    assert lambda_3(one) == pytest.approx(rates)
    stored = Subject("bf16", toy().model.bfloat16(), one.task)
    assert effective(stored)[""] == pytest.approx(effective(one)[""], rel=0.02)
    torch.nn.init.ones_(one.model.W_E)
    assert math.isnan(lambda_3(one)["own"])


def test_nan_embeddings_have_no_effective_loss() -> None:
    """A diverged network is not one with the best of all losses."""
    torch.nn.init.constant_((one := toy()).model.W_E, math.nan)
    assert math.isnan(effective(one)[""])
