"""``interp train`` offers the tasks of other packages as it offers ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

import interp
from interp._util.registry import Plugin, load_group
from interp.tasks import TASKS
from interp.tasks.registry import GROUP
from interp.training.recipes import recipe_for
from tests.interp.cli.console import Refused, Run


@dataclass(frozen=True)
class Majority(interp.Task):
    """Whether most of a vector's signs are positive."""

    name: ClassVar[str] = "majority"
    summary: ClassVar[str] = "whether most signs are positive"
    LOSSES: ClassVar[tuple[str, ...]] = ("cross_entropy",)
    HELP: ClassVar[dict[str, str]] = {**interp.Task.HELP, "n": "signs per vector", "flip_rate": "share of wrong labels"}
    recipes: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "mlp": {
            "source": "a network of three units", "model": {"hidden": (3,)}, "optimizer": {"name": "sgd", "lr": 0.5},
            "plan": {"steps": 7, "metrics": "every:7"},
        },
    }  # fmt: skip

    n: int
    flip_rate: float = 0.0
    seed: int = 0
    loss: str = "cross_entropy"

    def make_inputs(self) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randint(0, 2, (20, self.n), generator=generator).float() * 2 - 1

    def make_labels(self) -> Tensor:
        return (self.inputs.sum(-1) > 0).long()

    def make_split(self) -> tuple[Tensor, Tensor]:
        return torch.arange(15), torch.arange(15, 20)

    @property
    def n_outputs(self) -> int:
        return 2


@pytest.fixture(autouse=True)
def majority(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task is registered, and beside it one that does not load."""
    monkeypatch.setitem(TASKS._added, "majority", Majority)
    group = {**load_group(GROUP), "broken": Plugin("broken", "a-package", error="No module named 'gone'")}
    monkeypatch.setattr("interp._util.registry.load_group", lambda name: group if name == GROUP else load_group(name))


def test_help(run: Run) -> None:
    """Its summary among the others; its fields, its recipe and an example in its own help."""
    assert "majority" in run("train", "--help").out
    ran = run("train", "majority", "--help")
    assert (ran.code, ran.err) == (0, "")
    for words in (
        "Whether most signs are positive. By default a network of three units.", "--flip-rate", "signs per vector",
        "mlp:hidden=3", "Example: interp train majority --n VALUE --seeds 5 --out runs/majority",
    ):  # fmt: skip
        assert words in ran.out, words


def test_training(run: Run, work: Path) -> None:
    """By its recipe, over values of its own options, into a run that is loaded with its task."""
    ran = run("train", "majority", "--n", 3, "--flip-rate", "0,0.5", "--device", "cpu", "--out", "made")
    assert (ran.code, ran.err) == (0, "")
    stored = json.loads(Path("made/run.json").read_text())
    assert (stored["steps"], stored["optimizer"]["name"], stored["model"]["hidden"]) == (7, "sgd", [3])
    assert [m["flip_rate"] for m in stored["members"]] == [0, 0.5]
    assert interp.load("made", member=1, device="cpu").task == Majority(3, flip_rate=0.5)
    assert recipe_for(Majority).source == "a network of three units"


def test_refusals(refused: Refused) -> None:
    """A required option that is missing, a nearby name, and a task that is installed but does not load."""
    assert "--n" in refused("train", "majority", "--out", "new")
    assert "did you mean 'majority'" in refused("train", "majorty", "--out", "new")
    said = refused("train", "broken", "--out", "new")
    assert "a-package" in said
    assert "No module named 'gone'" in said
