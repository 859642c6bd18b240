"""`ablate_pairs`: the plain loop over pairs as twin, and planted backups and series."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from circuits import Ablate, Experiment, Mean, Patch, Zero, ablate, ablate_pairs, applied
from circuits.interventions.values import Value
from interp import InterpError, Site, Subject, capture
from interp.errors import UnknownName
from tests.circuits.discovery.test_discover import planted
from tests.circuits.networks import subject as network
from tests.models import subject


def loss_without(one: Subject, *sites: Site, value: Value) -> float:
    """The loss of one whole forward pass with everything ablated that is named."""
    task = one.require_task()
    with torch.no_grad(), applied(one.model, [Ablate(s, value) for s in sites], strict=False):
        return float(task.losses(task.read(one.model(task.inputs))).mean())


def sites_of(one: Subject) -> dict[str, Site]:
    """Heads and neurons by their names."""
    found = {}
    for name in one.model.hook_dict:
        layer = name.split(".")[1] if "." in name else ""
        if name.endswith("hook_z"):
            found |= {f"L{layer}H{i}": Site(name, head=i) for i in range(3)}
        elif name.endswith("hook_post"):
            width = one.model.run_with_cache(one.require_task().inputs[:1])[1][name].shape[-1]
            found |= {f"L{layer}N{i}": Site(name, unit=i) for i in range(width)}
    return found


@pytest.mark.parametrize(
    ("name", "value"), [("two layers", Mean(("batch", "pos"))), ("layer norm", Zero()), ("deep", Mean())]
)
def test_every_pair_equals_the_loop(name: str, value: Value) -> None:
    """Heads and neurons, within a layer and across layers: one forward pass per pair, with constants of the clean run."""
    one = subject(name)
    reference = Mean(value.over, one.require_task().inputs) if isinstance(value, Mean) else value
    sites = sites_of(one)
    found = ablate_pairs(one, value=value)
    assert found["component"].tolist() == [f"{a} + {b}" for a, b in combinations(sites, 2)]
    clean = loss_without(one, value=value)
    single = {k: loss_without(one, s, value=reference) - clean for k, s in sites.items()}
    sample = found.iloc[::7]
    both = [
        loss_without(one, sites[a], sites[b], value=reference) for a, b in zip(sample["a"], sample["b"], strict=True)
    ]
    np.testing.assert_allclose(sample["changed"], both, rtol=1e-8)
    alone = sample["a"].map(single) + sample["b"].map(single)
    np.testing.assert_allclose(sample["interaction"], np.array(both) - clean - alone, atol=1e-9)


def test_pairs_that_are_what_they_are_for_another_input() -> None:
    """Against whole passes with both heads patched in from the permuted inputs."""
    one = subject("two layers")
    inputs, site = one.require_task().inputs, "blocks.0.attn.hook_z"
    other = inputs[torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))]
    pairs = ablate_pairs(one, "heads", value="resample")
    patched = Patch(Site(site, head=[0, 2]), capture(one.model, other, site)[site])
    with torch.no_grad(), applied(one, [patched]):
        task = one.require_task()
        expected = float(task.losses(task.read(one.model(inputs))).mean())
    assert pairs.set_index("component")["changed"]["L0H0 + L0H2"] == pytest.approx(expected, rel=1e-9)


def test_a_wrapped_module() -> None:
    """Units of hook points that are named; within one site and across two."""
    one = network("conv")
    found = ablate_pairs(one, site="[46].hook_out", value="zero", top=4)
    assert len(found) == 6
    row = found.iloc[0]
    both = [Site(row[f"site_{x}"], unit=int(row[x].split("[")[1][:-1])) for x in "ab"]
    assert row["changed"] == pytest.approx(loss_without(one, *both, value=Zero()), rel=1e-9)


def test_a_backup_and_a_series() -> None:
    """A unit and its equal copy, in a metric where lower is worse: either does alone, both together are needed.

    Behind them unit 5: what it takes away it takes of what they write, so it counts for less without them.
    """
    one = planted()
    with torch.no_grad():
        first, last = one.model.layer(0), one.model.unembed  # type: ignore[attr-defined]
        first.W[:, 3], first.b[3], last.W_U[3] = first.W[:, 2], first.b[2], last.W_U[2]
        last.W_U[5] *= 2
    found = ablate_pairs(one, names=["L0N2", "L0N3", "L0N5"], metric="accuracy", value="zero").set_index("component")
    assert found.loc["L0N2 + L0N3", ["change_a", "change_b", "change", "interaction"]].tolist() == [0, 0, -0.5, -0.5]
    assert "negative where they are redundant" in found.attrs["sign"]
    loss = ablate_pairs(one, names=["L0N2", "L0N3"], value="zero")
    assert loss["interaction"].iloc[0] > 0
    assert "positive where they are redundant" in loss.attrs["sign"]


def test_series_share_what_they_take() -> None:
    """Two layers in a row: without the first the second has nothing left to do, and the loss cannot get worse."""
    one = subject("two layers")
    with torch.no_grad():
        one.model.blocks[1].mlp.W_out.zero_()  # type: ignore[union-attr]
        one.model.blocks[1].mlp.b_out.zero_()  # type: ignore[union-attr]
    # the second MLP writes nothing: it interacts with nothing
    idle = ablate_pairs(one, "mlp", value="zero")
    assert idle["component"].tolist() == ["L0 mlp + L1 mlp"]
    assert idle["interaction"].abs().max() < 1e-12


def test_the_table_the_figure_and_the_record() -> None:
    """Single effects are those of `ablate`; the matrix is symmetric; it is kept as other experiments are."""
    one = subject("plain")
    found = ablate_pairs(one, "heads", metric="logit_diff")
    single = ablate(one, "heads", metric="logit_diff").set_index("component")["logit_diff_change"]
    np.testing.assert_allclose(found["change_a"], single[found["a"]], atol=1e-12)
    matrix = found.matrix()
    assert matrix.shape == (3, 3)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert matrix.loc["L0H0", "L0H2"] == found.set_index("component").loc["L0H0 + L0H2", "interaction"]
    assert list(found.figure().data[0].x) == ["L0H0", "L0H1", "L0H2"]
    assert {"component", "site", "index", "metric", "clean", "changed", "change"} <= set(found.table.columns)
    outcome = Experiment("ablate_pairs", kind="heads").run(one)
    assert outcome.difference(outcome.experiment.run(one)) == 0
    top = ablate_pairs(one, "heads", top=2)
    assert set(top.iloc[0][["a", "b"]]) == set(
        ablate(one, "heads")["loss_change"].abs().nlargest(2).index.map("L0H{}".format)
    )


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many, too few, unknown, or with values that differ between inputs; each with the way on."""
    one = subject("plain")
    with pytest.raises(UnknownName, match="did you mean 'L0H1'"):
        ablate_pairs(one, names=["L0H1", "L0H11"])
    with pytest.raises(InterpError, match="at least two components, got 1"):
        ablate_pairs(one, names="L0H1")
    with pytest.raises(InterpError, match="kind='heads' instead of site"):
        ablate_pairs(one, site="*hook_z")
    monkeypatch.setattr("circuits.discovery.interactions.MOST", 12)
    with pytest.raises(InterpError, match=r"13 components have 78 pairs: give top=64.*top=13 for all"):
        ablate_pairs(one)
    assert len(ablate_pairs(one, top=13)) == 78
