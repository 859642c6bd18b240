"""`factor_circuits`: dense projections of whole forward passes as twin, and a unit that is switched on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import interp
from circuits import Ablate, Mean, applied, factor_circuits
from interp import Examples, Subject
from interp.errors import MissingCapability, UnknownName
from tests.circuits.discovery.test_interactions import sites_of
from tests.models import P, make, subject


def power(outputs: Tensor, k: int) -> float:
    """Power of the logits ``[a, b, c]`` in frequency k of a, of b and of c, by projections as dense matrices."""
    angle = 2 * torch.pi * k / P * torch.arange(P, dtype=torch.float64)
    waves = torch.stack([angle.cos(), angle.sin()])
    project = 2 / P * waves.T @ waves
    logits = outputs.unflatten(0, (P, P)) - outputs.unflatten(0, (P, P)).mean(-1, keepdim=True)
    return float(torch.einsum("abc,ax,by,cz->xyz", logits, project, project, project).square().sum())


def logits_of(one: Subject, *changes: Ablate) -> Tensor:
    task = one.require_task()
    with torch.no_grad(), applied(one.model, changes, strict=False):
        return task.read(one.model(task.inputs))


@pytest.mark.parametrize("name", ["two layers", "layer norm", "deep"])
def test_every_drop_equals_the_dense_definition(name: str) -> None:
    """Heads and neurons, by algebra and by runs: what each mean ablation takes of a frequency's power in the logits."""
    one = subject(name)
    found = factor_circuits(one, factors=[1, 3])
    clean, sites = logits_of(one), sites_of(one)
    variance = (clean - clean.mean(1, keepdim=True) - (clean - clean.mean(1, keepdim=True)).mean(0)).square().sum()
    for k in (1, 3):
        own = found.effects[found.effects["factor"] == str(k)].set_index("component")
        assert set(own.index) == set(sites)
        np.testing.assert_allclose(own["power_share"], power(clean, k) / variance, rtol=1e-8)
        for component in [*sites][::3]:
            changed = power(logits_of(one, Ablate(sites[component], Mean())), k)
            assert own.loc[component, "drop"] == pytest.approx(1 - changed / power(clean, k), abs=1e-8)
    np.testing.assert_allclose(found.effects["worth"], found.effects["power_share"] * found.effects["drop"])


def test_a_unit_that_is_switched_on(tmp_path: Path) -> None:
    """What it writes is 0, then a tenth, then whole: it serves its factors from the last step; the others from the first."""
    for step, scale in ((0, 0.0), (7, 0.1), (9, 1.0)):
        model = make("plain")
        with torch.no_grad():
            model.blocks[0].mlp.W_out[4] *= 30 * scale  # type: ignore[union-attr]
        task = interp.ModularArithmetic(P, "add", train_fraction=0.4, seed=0).fit(model)
        interp.save(model, tmp_path / f"step_{step}.safetensors", step=step, task=task)
    run = interp.load(tmp_path)
    found = factor_circuits(run, factors="2", kinds="neurons")
    since = found.since.set_index("component")["step"]
    assert since["L0N4"] == 9
    assert found.effects.query("component == 'L0N4'")["worth"].iloc[0] == 0
    assert found.matrix().shape == (10, 1)
    assert found.figure().data[0].x == ("0", "7", "9")
    assert set(found.table["step"]) == {0, 7, 9}
    assert set(found.since["site"]) == {"blocks.0.mlp.hook_post"}
    few = factor_circuits(run, factors=[2], kinds="neurons", every=5)
    assert few.effects["step"].unique().tolist() == [0, 9]


def test_refusals_and_a_task_without_factors() -> None:
    """Unknown factors and networks without keys are refused; a task without factors has principal components."""
    one = subject("plain")
    with pytest.raises(UnknownName, match="frequency"):
        factor_circuits(one, factors=[12])
    with pytest.raises(MissingCapability, match="name those to follow, factors="):
        factor_circuits(one)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randint(0, P, (20, 2), generator=generator)
    task = Examples(inputs, torch.randint(0, P, (20,), generator=generator), n_answers=P)
    found = factor_circuits(Subject("examples", make("deep"), task), factors=["PC 1"])
    assert found.kind == "principal component"
    assert len(found.effects) == 9 + 8 + 6
    assert len(found.since) > 0
    assert found.since["step"].isna().all()  # one network does not say since when
    assert "components" in found.summary["principal component PC 1"]
    assert len(found.figure().data[0].z) == len(found.since)
