"""Maps of similarity through the front door: values, nulls, checkpoints, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import interp
import probes
from interp.errors import InterpError, MissingCapability, UnknownName
from interp.training.members import seed_of
from probes.input_rows import input_rows
from probes.similarity import MEASURES
from probes.similarity.cka import cka
from probes.similarity_maps.random_networks import start_of
from tests.conftest import DEMO

INPUTS = torch.randn(120, 4, generator=torch.Generator().manual_seed(0))


def mlp(seed: int, hidden: tuple[int, ...] = (16,)) -> interp.HookedMLP:
    return interp.HookedMLP(interp.MLPConfig(hidden, 3, d_in=4)).init_weights(seed=seed)


@pytest.fixture(scope="module")
def run() -> interp.Run:
    """Three members of their own initial scale, with checkpoints."""
    members = [{"seed": s, "init_scale": 1 + s} for s in range(3)]
    return interp.train("addition:p=5", "mlp:hidden=16,d_embed=3", steps=40, checkpoints="every:5", members=members,
                        embedding_scale=2, lr=0.01, device="cpu")  # fmt: skip


def test_random_networks_are_as_alike_as_the_null_says() -> None:
    """Of 96 pairs of independent random networks 1 to 12 lie outside the interval: 5% of them, within binomial bounds."""
    outside = 0
    for seed in range(8):
        networks = {str(i): mlp(1000 * seed + i, (8,)) for i in range(24)}
        found = probes.similarity_map(networks, inputs=INPUTS, seed=seed).table
        pairs = found[[int(b) == int(a) + 1 and int(a) % 2 == 0 for a, b in zip(found["a"], found["b"], strict=True)]]
        assert len(pairs) == 12
        outside += int(pairs["beyond"].sum())
    assert 1 <= outside <= 12


def test_a_permuted_copy_is_the_same() -> None:
    """Values are those of the plain function; a copy with its units in another order is beyond chance, at 1."""
    one, other = mlp(0), mlp(1)
    copy, order = mlp(0), torch.randperm(16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for name, parameter in copy.named_parameters():
            if name.startswith("layers.0"):
                parameter.copy_(parameter[..., order])
    found = probes.similarity_map({"one": one, "copy": copy, "other": other}, inputs=INPUTS)
    values = found.values["layers.0.hook_post"]
    assert values.loc["one", "copy"] == pytest.approx(1, abs=1e-6)
    rows = [input_rows(interp.Subject("x", m), INPUTS)["layers.0.hook_post"] for m in (one, other)]
    assert values.loc["one", "other"] == pytest.approx(cka(*rows), abs=1e-5)
    row = found.table.iloc[0]
    assert (row["a"], row["b"], bool(row["beyond"])) == ("one", "copy", True)
    assert row["low"] <= row["null"] <= row["high"] < 1
    assert found.extreme()["b"] == "copy"


def test_members_of_a_run(run: interp.Run, tmp_path: Path) -> None:
    """A run, its folder and its subjects give one map; at a step, too; a file has the table."""
    found = probes.similarity_map(run, draws=3)
    assert len(found.values["layers.0.hook_post"]) == 3
    assert "init_scale=1" in found.table["a"][0]
    again = probes.similarity_map(run.path, draws=3)
    assert again.table.equals(found.table)
    early = probes.similarity_map(run, step=0, null=None)
    listed = probes.similarity_map({str(i): run.subject(i, step=0) for i in range(3)}, null=None)
    assert early.table["value"].tolist() == listed.table["value"].tolist() != found.table["value"].tolist()
    stored = json.loads(found.save(tmp_path / "map.json").read_text())
    assert stored["table"][0]["value"] == found.table["value"][0]
    assert "plotly" in found.save(tmp_path / "map.html").read_text()
    assert found.save(tmp_path / "map.csv").read_text().startswith("a,b,site,value,null")
    with pytest.raises(InterpError, match="must end in"):
        found.save(tmp_path / "map.txt")


def test_random_networks_start_as_training_does(run: interp.Run) -> None:
    """With the member's own seed they are the run's first checkpoint, bit for bit: scheme, scales and all."""
    for member in range(3):
        subject = run.subject(member)
        start = start_of(subject)
        assert start is not None
        drawn = start.redraw(start.template(subject), seed_of(run.plan.members[member], "init"))
        first = dict(run.subject(member, step=0).model.named_parameters())
        assert all(torch.equal(p, first[name]) for name, p in drawn.model.named_parameters())


def test_checkpoints_of_a_run(run: interp.Run) -> None:
    """Rows are steps; values those of two checkpoints loaded by hand."""
    subject = run.subject(1)
    found = probes.similarity_over_training(subject, every=2, draws=3)
    assert found.steps == (0, 10, 20, 30, 40)
    rows = [input_rows(run.subject(1, step=step))["layers.0.hook_post"] for step in (10, 40)]
    assert found.values["layers.0.hook_post"].loc[10, 40] == pytest.approx(cka(*rows), abs=1e-5)
    assert found.consecutive()["value"][3] == found.values["layers.0.hook_post"].loc[30, 40]
    assert set(found.figures()) == {"map", "embedding", "consecutive"}
    assert probes.similarity_over_training(subject, steps=[40, 5], null=None).steps == (5, 40)
    with pytest.raises(InterpError, match="no checkpoint at step 7"):
        probes.similarity_over_training(subject, steps=[7, 5])
    with pytest.raises(InterpError, match="of one network, got 3"):
        probes.similarity_over_training(run)
    with pytest.raises(MissingCapability, match="several checkpoints"):
        probes.similarity_over_training(mlp(0))


def test_the_demo_changes_where_it_groks() -> None:
    """Its phases part within the steps in which test accuracy rises, 2,400 to 3,600."""
    found = probes.similarity_over_training(interp.load(DEMO), n_inputs=256, null=None)
    (change,) = found.changes["blocks.0.mlp.hook_post"]
    assert 2400 <= change.step <= 3600


def test_layers() -> None:
    """Those that all share; the last of each where none is shared; any by name; all of all in one map."""
    small, deep = mlp(0), mlp(1, (8, 6))
    shared = probes.similarity_map({"a": small, "b": deep}, inputs=INPUTS, null=None)
    assert shared.sites == ["layers.0.hook_post"]
    named = {"a": "layers.0.hook_post", "b": "layers.1.hook_post"}
    by_name = probes.similarity_map({"a": small, "b": deep}, inputs=INPUTS, sites=named, draws=2)
    across = probes.similarity_map({"a": small, "b": deep}, inputs=INPUTS, across_layers=True, draws=2)
    assert across.sites == ["all layers"]
    assert list(across.at()[1].index) == ["a: layers.0.hook_post", "b: layers.0.hook_post", "b: layers.1.hook_post"]
    assert by_name.table["value"][0] == pytest.approx(across.at()[1].iloc[0, 2], abs=1e-6)
    with pytest.raises(InterpError, match="one entry for each; not in both: b"):
        probes.similarity_map({"a": small, "b": deep}, inputs=INPUTS, sites={"a": "layers.0.hook_post"})


@pytest.mark.parametrize("name", ["procrustes", "mutual_knn", "pwcca"])
def test_other_measures(name: str) -> None:
    """Pair by pair, as the plain functions; the most alike have the least distance."""
    networks = {str(i): mlp(i) for i in range(3)} | {"0 again": mlp(0)}
    found = probes.similarity_map(networks, measure=name, inputs=INPUTS, null="inputs", draws=3)
    rows = [
        input_rows(interp.Subject("x", m), INPUTS, dtype=torch.float32)["layers.0.hook_post"] for m in networks.values()
    ]
    assert found.table["value"][0] == pytest.approx(MEASURES[name].function(rows[0], rows[1]), abs=1e-6)
    assert {found.extreme()["a"], found.extreme()["b"]} == {"0", "0 again"}
    assert len(found.embedding()) == 4


def test_nulls() -> None:
    """By name; rotations only where they change something, random networks only where they can be drawn."""
    networks = {"a": mlp(0), "b": mlp(1)}
    inputs = probes.similarity_map(networks, inputs=INPUTS, null="inputs", draws=9).table.iloc[0]
    assert abs(inputs["null"]) < 0.05 < inputs["value"]
    turned = probes.similarity_map(networks, inputs=INPUTS, measure="unit_matching", null="rotation", draws=2)
    assert turned.null == "2 random rotations of the features"
    with pytest.raises(InterpError, match="not a null for it"):
        probes.similarity_map(networks, inputs=INPUTS, null="rotation")
    with pytest.raises(UnknownName, match="unknown null 'input'"):
        probes.similarity_map(networks, inputs=INPUTS, null="input")
    with pytest.raises(InterpError, match="at least two networks"):
        probes.similarity_map({"a": mlp(0)}, inputs=INPUTS)
    wrapped = {n: interp.wrap(torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU()), INPUTS) for n in "ab"}
    found = probes.similarity_map(wrapped, inputs=INPUTS, draws=2)
    assert found.null == "2 permutations of the inputs"
    assert "not known" in found.notes[0]
    with pytest.raises(MissingCapability, match="take null='inputs'"):
        probes.similarity_map(wrapped, inputs=INPUTS, null="random")
