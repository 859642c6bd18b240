"""Integrated gradients sum to real differences, and equal small steps of real runs."""

from __future__ import annotations

import pytest
import torch

import circuits
from circuits import Patch, applied
from interp import InterpError, capture
from tests.circuits.methods.test_methods import difference, model_of, pair
from tests.models import subject


@pytest.mark.parametrize("name", ["deep", "product"])
def test_effects_of_a_layer_sum_to_the_difference_of_the_runs(name: str) -> None:
    """Completeness of conductance: all neurons of an MLP's layer are a cut, at every layer."""
    one = subject(name)
    clean, corrupted = pair(one)
    found = circuits.integrated_gradients(one, clean, corrupted, kinds="neurons", path="inputs", steps=400)
    right = circuits.eap(one, clean, corrupted)  # the same metric of both runs, by another route
    assert found.clean == pytest.approx(right.clean)
    for _, layer in found.nodes.groupby("site"):
        assert layer["effect"].sum() == pytest.approx(right.empty - right.clean, rel=2e-3)


def test_conductance_in_a_transformer_is_complete_at_the_stream() -> None:
    """All units and positions of a residual stream are a cut."""
    one = subject("folded norm")
    clean, corrupted = pair(one, 4)
    ends = circuits.eap(one, clean, corrupted)
    found = circuits.integrated_gradients(
        one, clean, corrupted, site="blocks.0.hook_resid_p*", path="inputs", steps=100, by_position=True
    )
    assert set(found.nodes["pos"]) == {0, 1, 2}
    for _, stream in found.nodes.groupby("site"):
        assert stream["effect"].sum() == pytest.approx(ends.empty - ends.clean, rel=1e-3)


@pytest.mark.parametrize("by_position", [False, True])
def test_effects_of_a_site_sum_to_its_patch(by_position: bool) -> None:
    """Completeness of Marks et al.'s path: against the whole site patched, and of a lone node against its own run."""
    one = subject("folded norm")
    clean, corrupted = pair(one)
    model, name = model_of(one), "blocks.0.attn.hook_z"
    found = circuits.integrated_gradients(one, clean, corrupted, steps=60, by_position=by_position, verify=True)
    with applied(model, Patch(name, capture(model, corrupted, name)[name])), torch.no_grad():
        changed = difference(one, clean, corrupted, model(clean))
    own = found.nodes[found.nodes["site"] == name]
    assert own["effect"].sum() == pytest.approx(float(changed) - found.clean, rel=1e-5)
    assert own["effect"].to_list() != pytest.approx(own["patched"].to_list(), rel=0.01)
    whole = circuits.integrated_gradients(one, clean, corrupted, steps=60, kinds="mlp", verify=True).nodes
    assert whole["effect"].to_list() == pytest.approx(whole["patched"].to_list(), rel=1e-4)


def test_the_path_may_end_at_a_mean() -> None:
    """Mean ablation of the whole layer, by the engine of `ablate`."""
    one = subject("folded norm")
    clean, _ = pair(one, 20)
    found = circuits.integrated_gradients(one, clean, metric="loss", steps=40)
    whole = circuits.ablate(one, "attention", inputs=clean, metric="loss", value=circuits.Mean(reference=clean))
    sums = found.nodes[found.nodes["site"].str.endswith("hook_z")].groupby("site")["effect"].sum()
    assert sums.to_list() == pytest.approx(whole["loss_change"].to_list(), rel=1e-6)


def test_a_resampled_end_does_not_depend_on_the_memory() -> None:
    """Inputs are exchanged over all of them, in one batch or in many, as `Resample` exchanges them."""
    one = subject("deep")
    found = [
        circuits.integrated_gradients(one, metric="loss", value="resample", steps=8, verify=True, max_bytes=size).nodes
        for size in (2000, 2**30)
    ]
    assert found[0]["effect"].to_list() == pytest.approx(found[1]["effect"].to_list(), rel=1e-5)
    clean = one.require_task().inputs
    order = torch.randperm(len(clean), generator=torch.Generator().manual_seed(0))
    right = circuits.integrated_gradients(one, clean, clean[order], metric="loss", steps=8, verify=True).nodes
    for column in ("effect", "patched"):
        assert found[1][column].to_list() == pytest.approx(right[column].to_list(), rel=1e-5)


def test_refusals() -> None:
    one = subject("two layers")
    clean, corrupted = pair(one)
    with pytest.raises(InterpError, match="did you mean 'inputs'"):
        circuits.integrated_gradients(one, clean, corrupted, path="input")  # type: ignore[arg-type]
    with pytest.raises(InterpError, match="give one of them"):
        circuits.integrated_gradients(one, clean, corrupted, value="zero")
    with pytest.raises(InterpError, match="has no heads"):
        circuits.integrated_gradients(subject("deep"), kinds="heads")
