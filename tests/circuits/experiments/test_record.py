"""Experiments as data: every kind comes back from its file, runs again to the same numbers, and a file runs nothing."""

from __future__ import annotations

import contextlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from circuits import (
    Ablate,
    Add,
    Experiment,
    Fixed,
    Freeze,
    Keep,
    LogitDiff,
    Mean,
    Outcome,
    Patch,
    Remove,
    Resample,
    Scale,
    Zero,
    ablate,
    applied,
    intervene,
)  # fmt: skip
from circuits.experiments.record import KEY
from circuits.interventions.storage import decode, encode
from interp import InterpError, Site
from interp.errors import UnknownName, UnreadableFile
from probes.basis import Basis
from tests.models import subject

ONE = subject("two layers")
INPUTS = ONE.require_task().inputs
BASIS = Basis.random(3, 12, seed=0)
RUNS = (INPUTS[:5], INPUTS[9:14])
EXPERIMENTS = [
    Experiment("ablate", kind="heads", value=Mean(reference="train"), metric="logit_diff", dtype=torch.float64),
    Experiment("ablate", basis=BASIS, site=Site("blocks.0.hook_resid_pre", pos=-1), value=Resample(3), n_random=16),
    Experiment("patch", clean=RUNS[0], corrupted=RUNS[1], sites=["blocks.*.hook_resid_pre"], metric="loss"),
    Experiment("attribute", clean=RUNS[0], corrupted=RUNS[1], sites="blocks.0.attn.hook_z", metric=LogitDiff()),
    Experiment(
        "path_patch", clean=RUNS[0], corrupted=RUNS[1], sender=Site("blocks.0.attn.hook_z", head=1),
        receivers=[Site("blocks.1.attn.hook_q", head=slice(0, 2))],
    ),
    Experiment("discover", metric="loss", faithfulness=0.8, n_random=2),
    Experiment("intervene", interventions=[
        Remove("blocks.0.hook_resid_pre", BASIS, Mean()), Scale(Site("blocks.1.mlp.hook_post", unit=[0, 3]), 0.5),
        Add("blocks.1.hook_resid_pre", torch.ones(12), 2.0),
    ]),
]  # fmt: skip


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.what)
def test_kept_and_run_again(experiment: Experiment, tmp_path: Path) -> None:
    """The table bit for bit, the experiment by its text, and the same numbers once more."""
    outcome = experiment.run(ONE)
    again = Outcome.load(outcome.save(tmp_path / "experiment.safetensors"))
    assert again.table.to_dict("list").__repr__() == outcome.table.to_dict("list").__repr__()
    assert repr(again.experiment) == repr(experiment)
    assert again.summary == outcome.summary
    assert again.subject == {"name": "two layers", "step": None, "sha256": ONE.provenance.sha256}
    assert again.difference(again.experiment.run(ONE)) < 1e-12
    other = subject("two layers", seed=5)
    assert again.difference(again.experiment.run(other)) > 1e-3


@pytest.mark.parametrize("value", [
    Site("hook_embed", pos=slice(1, None), unit=(1, 2)), Keep(Site("a", head=[0]), BASIS, Fixed(torch.ones(2, 3))),
    Ablate("*.hook_post", Mean(("batch", "pos"), reference=torch.ones(2, 3).long())), Patch("a", torch.ones(1)),
    Freeze("a", torch.zeros(2)), Zero(), LogitDiff(torch.tensor([1]), torch.tensor([0])), [1, 2.5, None, "a", True],
], ids=repr)  # fmt: skip
def test_values_come_back(value: Any) -> None:
    tensors: dict[str, torch.Tensor] = {}
    stored = json.loads(json.dumps(encode(value, tensors)))
    assert repr(decode(stored, tensors)) == repr(value)


def test_intervene_is_a_plain_run() -> None:
    """Two interventions together, in their order; alone, what `ablate` says."""
    task, both = ONE.require_task(), EXPERIMENTS[-1].arguments["interventions"]
    with torch.no_grad(), applied(ONE, both):
        logits = task.read(ONE.model(INPUTS))
    found = intervene(ONE, both).set_index("metric")["changed"]
    assert found["loss"] == pytest.approx(float(task.losses(logits).mean()), rel=1e-12)
    assert found["accuracy"] == float(task.correct(logits).double().mean())
    alone = intervene(ONE, Ablate(Site("blocks.0.attn.hook_z", head=2), Mean()), metric="kl")
    row = ablate(ONE, "heads", metric="kl").query("component == 'L0H2'")
    assert alone["change"].iloc[0] == pytest.approx(row["kl_change"].iloc[0], rel=1e-9)


def test_refusals() -> None:
    with pytest.raises(UnknownName, match="ablate"):
        Experiment("ablat", kind="heads")
    with pytest.raises(InterpError, match="cannot store"):
        Experiment("ablate", metric=lambda out: out[:, 0])
    with pytest.raises(InterpError, match="unexpected keyword argument 'kid'"):
        Experiment("ablate", kid="heads").run(ONE)
    outcome = EXPERIMENTS[0].run(ONE)
    with pytest.raises(InterpError, match="different rows or columns"):
        outcome.difference(EXPERIMENTS[1].run(ONE))


@pytest.mark.parametrize("change", [
    lambda h: h.update(format=9), lambda h: h.update(what="system"), lambda h: h.pop("columns"),
    lambda h: h["arguments"].update(value={"kind": "Popen", "args": "x"}), lambda h: h["arguments"].update(value={"tensor": "x"}),
    lambda h: h["arguments"].update(value={"kind": "Zero", "extra": 1}), lambda h: h["arguments"].update(value={"slice": 3}),
])  # fmt: skip
def test_damaged_files(change: Any, tmp_path: Path) -> None:
    """One clear error, whatever is wrong in the header."""
    path = EXPERIMENTS[0].run(ONE).save(tmp_path / "one.safetensors")
    with safe_open(path, "pt") as file:
        header = json.loads(file.metadata()[KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    change(header)
    save_file(tensors, path, metadata={KEY: json.dumps(header)})
    with pytest.raises(UnreadableFile, match="one.safetensors"):
        Outcome.load(path)


STORED = [
    None,
    3,
    True,
    1.5,
    float("nan"),
    10**400,
    "x",
    [],
    [[1]],
    {},
    {"a": {}},
    {"kind": []},
    {"kind": "Zero"},
    {"list": 3},
]


def walked(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all values in plain containers."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, one in inner for place in walked(one, (*at, key)))]


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.what)
def test_mutations(experiment: Experiment, tmp_path: Path) -> None:
    """Any value of the header replaced by one of another kind: the file is refused, or prints, compares and runs."""
    small = (
        experiment
        if experiment.what != "discover"
        else Experiment("discover", metric="loss", faithfulness=0.1, n_random=1)
    )
    path = small.run(ONE).save(tmp_path / "one.safetensors")
    with safe_open(path, "pt") as file:
        header = file.metadata()[KEY]
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    draw, refused, places = random.Random(7), 0, walked(json.loads(header))[1:]
    for _ in range(120):
        changed, place = (
            json.loads(header),
            draw.choice([p for p in places if p[0] not in ("columns", "summary")] + places[:9]),
        )
        holder = changed
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = draw.choice(STORED)
        save_file(tensors, path, metadata={KEY: json.dumps(changed)})
        try:
            outcome = Outcome.load(path)
        except InterpError:
            refused += 1
            continue
        assert repr(outcome)
        assert outcome.table.to_dict("list")
        if place[0] == "arguments":
            with contextlib.suppress(InterpError):  # a value of the right kind that the network does not have
                outcome.experiment.run(ONE)
    assert refused > 30


def test_arguments_of_the_wrong_kind() -> None:
    """They are refused when the experiment is made, with what they must be."""
    with pytest.raises(InterpError, match="ablate: value must be Value or a text or Tensor or a finite number, got"):
        Experiment("ablate", kind="heads", value=[1])
    with pytest.raises(InterpError, match="ablate: n_random must be a whole number, got 1.5"):
        Experiment("ablate", kind="heads", n_random=1.5)
    with pytest.raises(InterpError, match="patch: clean must be Tensor"):
        Experiment("patch", clean=3, corrupted=INPUTS[:2], sites="*")


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="missing"):
        Outcome.load(tmp_path / "missing.safetensors")
    (tmp_path / "text").write_text("no safetensors")
    with pytest.raises(UnreadableFile, match="cannot be read"):
        Outcome.load(tmp_path / "text")
    save_file({"a": torch.ones(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(UnreadableFile, match="holds no experiment"):
        Outcome.load(tmp_path / "weights.safetensors")
