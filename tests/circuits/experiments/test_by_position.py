"""`ablate` at one position at a time: the plain loop, and single calls, as twins."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from circuits import Ablate, Mean, Resample, Zero, ablate
from circuits.interventions.values import Value
from interp import InterpError, Site
from probes.basis import Basis
from tests.circuits.experiments.test_ablation import assert_equal, loop
from tests.models import subject


@pytest.mark.parametrize("value", [Zero(), Mean(("batch", "pos")), Resample(1)], ids=str)
@pytest.mark.parametrize("name", ["plain", "two layers", "layer norm"])
def test_components_by_position_equal_the_loop(name: str, value: Value) -> None:
    """Every head and neuron at every position; in the last layer only the position that is read matters."""
    one = subject(name)
    layers = range(one.model.config.n_layers)  # type: ignore[attr-defined]
    for kind, point, axis, n in (("heads", "attn.hook_z", "head", 3), ("neurons", "mlp.hook_post", "unit", 10)):
        found = ablate(one, kind, value=value, by_position=True)  # type: ignore[arg-type]
        cells = [(f"blocks.{i}.{point}", p, u) for i in layers for p in range(3) for u in range(n)]
        twins = [Ablate(Site(site, pos=p, **{axis: u}), value) for site, p, u in cells]
        assert_equal(found, loop(one, twins))
        assert found["pos"].tolist() == [p for _, p, _ in cells]
        single = ablate(one, kind, value=value, site=Site(f"blocks.{layers[-1]}.{point}", pos=1))  # type: ignore[arg-type]
        assert single["loss_change"].abs().max() < 1e-12
        np.testing.assert_allclose(single["loss"], found[(found["site"] == cells[-1][0]) & (found["pos"] == 1)]["loss"])


def test_positions_of_the_site_only_and_random_directions_at_each() -> None:
    """``site`` selects positions, from the end too; a basis, and random ones of its size, at each of them."""
    one = subject("two layers")
    site = Site("blocks.0.hook_resid_mid", pos=[0, -1])
    found = ablate(one, basis=Basis.neurons(12), site=site, by_position=True, n_random=2)
    assert found.query("not baseline").groupby("pos").size().to_dict() == {0: 12, 2: 12}
    assert found.query("baseline").groupby("pos").size().to_dict() == {0: 2, 2: 2}
    alone = ablate(one, basis=Basis.neurons(12), site=Site(site.name, pos=-1))
    np.testing.assert_allclose(found.query("pos == 2 and not baseline")["loss"], alone["loss"])


def test_over_a_loader() -> None:
    """The same table, batch by batch."""
    one = subject("two layers")
    task = one.require_task()
    batches = list(zip(task.inputs.split(20), task.labels.split(20), strict=True))
    whole, streamed = (ablate(one, "heads", by_position=True, inputs=given) for given in (None, batches))
    columns = ["component", "pos", "loss", "accuracy"]
    pd.testing.assert_frame_equal(whole.rows[columns], streamed.rows[columns])


def test_the_figure_and_what_is_refused() -> None:
    """A heat map, component by position; networks without positions, and positions that do not exist."""
    one = subject("two layers")
    found = ablate(one, "heads", by_position=True)
    (drawn,) = found.figure().data
    assert list(drawn.y) == ["L0H0", "L0H1", "L0H2", "L1H0", "L1H1", "L1H2"]
    grid = found.pivot(index="component", columns="pos", values="loss_change")
    np.testing.assert_array_equal(np.asarray(drawn.z), grid.to_numpy())
    with pytest.raises(InterpError, match="no axis 'pos'"):
        ablate(subject("deep"), by_position=True)
    with pytest.raises(InterpError, match="pos 3 is outside an axis of 3"):
        ablate(one, "heads", site=Site("blocks.1.attn.hook_z", pos=3))
    assert torch.is_tensor(one.require_task().inputs)  # the subject is as it was
