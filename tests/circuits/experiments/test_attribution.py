"""`attribute` against really patching: exact where the network is linear, and the stated order of error elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from circuits import attribute, patch
from interp import HookedMLP, InterpError, MLPConfig, Subject
from tests.circuits.experiments.test_patching import pair, score, sequences
from tests.models import subject

LINEAR = MLPConfig((5, 4), 3, d_in=6, act_fn="identity")


def vectors(config: MLPConfig = LINEAR) -> tuple[Subject, Tensor, Tensor]:
    model = HookedMLP(config).double().init_weights(3, 2.0)
    clean, corrupted = torch.randn(2, 7, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return Subject("vectors", model), clean, corrupted


def first(outputs: Tensor) -> Tensor:
    return outputs[:, 0] - outputs[:, 1]


def test_exact_on_a_linear_network() -> None:
    """The gradient of a linear map is the map: every unit's estimate is its true effect."""
    one, clean, corrupted = vectors()
    found = attribute(one, clean, corrupted, "layers.*.hook_post", metric=first, verify=True).effects
    np.testing.assert_allclose(found["effect"], found["patched"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found["recovered"], found["patched_recovered"], rtol=1e-9)
    assert len(found) == 9


def test_the_error_shrinks_with_the_square_of_the_difference() -> None:
    """Corrupted inputs a tenth as far away: an estimate that errs a hundredth as much."""
    config = MLPConfig((5, 4), 3, d_in=6, act_fn="tanh")
    one, clean, corrupted = vectors(config)
    errors = []
    for step in (1e-2, 1e-3):
        near = clean + step * (corrupted - clean)
        found = attribute(one, clean, near, "layers.0.hook_post", metric=first, by=(), verify=True).effects
        errors.append(float((found["effect"] - found["patched"]).abs().iloc[0]))
    assert 80 < errors[0] / errors[1] < 120


@pytest.mark.parametrize(
    "point", ["blocks.0.hook_resid_pre", "blocks.1.hook_resid_mid", "blocks.1.attn.hook_z", "blocks.2.mlp.hook_post"]
)
def test_integrated_gradients_are_complete(point: str) -> None:
    """The effects of a site's cells sum to that of patching the whole site; gradients alone do not."""
    model = sequences(act_fn="gelu").init_weights(
        0, 0.7
    )  # larger weights saturate the softmax: more points would be needed
    one, (clean, corrupted) = Subject("sequences", model), pair(model)
    whole = patch(one, clean, corrupted, point, metric=score, by=()).effects
    gap = float(whole["score"].iloc[0]) - whole.attrs["corrupted"]
    found = attribute(one, clean, corrupted, point, metric=score, integrated=64).effects["effect"].sum()
    rough = attribute(one, clean, corrupted, point, metric=score).effects["effect"].sum()
    assert found == pytest.approx(gap, rel=2e-3)
    assert abs(rough - gap) > 3 * abs(found - gap)


def test_integrated_is_exact_for_polynomials() -> None:
    """A square activation makes the score quadratic in ``hook_pre``: one point of Gauss's rule is exact up to degree 2."""
    one, clean, corrupted = vectors(MLPConfig((5,), 3, d_in=6, act_fn="square"))
    whole = patch(one, clean, corrupted, "layers.0.hook_pre", metric=first, by=()).effects
    gap = float(whole["first"].iloc[0]) - whole.attrs["corrupted"]
    for n in (1, 3):
        found = attribute(one, clean, corrupted, "layers.0.hook_pre", metric=first, integrated=n).effects
        assert found["effect"].sum() == pytest.approx(gap, rel=1e-10)


def test_a_task_knows_the_answers() -> None:
    """Labels of clean and corrupted inputs come from the task; whole and by cells agree."""
    one = subject("plain")
    inputs = one.require_task().inputs
    by_cell = attribute(one, inputs[:4], inputs[9:13], "blocks.0.attn.hook_z").effects["effect"].sum()
    whole = attribute(one, inputs[:4], inputs[9:13], "blocks.0.attn.hook_z", by=()).effects["effect"].sum()
    assert by_cell == pytest.approx(whole)


def test_heads_and_neurons_by_default() -> None:
    one = subject("two layers")
    inputs = one.require_task().inputs
    found = attribute(one, inputs[:4], inputs[9:13]).effects
    assert found["site"].unique().tolist() == [
        f"blocks.{i}.{n}" for i in (0, 1) for n in ("attn.hook_z", "mlp.hook_post")
    ]


def test_refusals_of_attribute() -> None:
    one = subject("plain")
    inputs = one.require_task().inputs
    with pytest.raises(InterpError, match="no gradient"):
        attribute(one, inputs[:4], inputs[9:13], "*hook_z", metric="accuracy")
    with pytest.raises(InterpError, match="integrated"):
        attribute(one, inputs[:4], inputs[9:13], "*hook_z", integrated=-1)
