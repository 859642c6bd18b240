"""Barriers at every step of two runs, and of one run against its end."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

import circuits
import interp
from interp import InterpError, Subject
from interp.errors import MissingCapability
from tests import models


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Subject, Subject]:
    run = interp.train(
        "modular:p=7,train_fraction=0.7", "mlp:d_embed=8,hidden=16", members=interp.seeds(2), steps=60, checkpoints="every:20",
        out=tmp_path_factory.mktemp("runs") / "run"
    )  # fmt: skip
    return run.subject(member=0), run.subject(member=1)


def test_equals_the_line_at_every_step(pair: tuple[Subject, Subject], tmp_path: Path) -> None:
    a, b = pair
    assert a.series is not None
    assert b.series is not None
    found = circuits.barriers_over_training(a, b, points=5, part="train", starts=2)
    assert found.barriers["step"].unique().tolist() == a.series.steps
    for step in (a.series.steps[0], a.series.steps[-1]):
        ends = [replace(s, model=s.series.at(step), series=None) for s in pair if s.series is not None]
        line = circuits.linear_connectivity(*ends, points=5, part="train", starts=2)
        own = found.barriers.query(f"step == {step}").drop(columns="step").reset_index(drop=True)
        assert own.equals(line.barriers)
    assert (
        found.barriers.query("matched")["distance"].to_numpy() < found.barriers.query("not matched")["distance"]
    ).all()
    assert "Barrier between" in found._repr_html_()
    assert found.save(tmp_path / "a.csv").exists()
    assert found.summary["steps"] == len(a.series.steps)
    assert len(found.figure().data) == 2
    assert math.isclose(found.table["change"].iloc[0], found.barriers["barrier"].iloc[0])


def test_one_run_against_its_end(pair: tuple[Subject, Subject]) -> None:
    found = circuits.barriers_over_training(pair[0], every=2, points=5, match=False).barriers
    assert found["step"].tolist() == [0, 40, 60]
    assert found["barrier"].iloc[-1] == 0 == found["distance"].iloc[-1]
    assert found["distance"].iloc[0] > found["distance"].iloc[1] > 0
    assert found["loss_b"].nunique() == 1


def test_chosen_steps(pair: tuple[Subject, Subject]) -> None:
    found = circuits.barriers_over_training(*pair, steps=[20, 60], points=3, match=False)
    assert found.barriers["step"].tolist() == [20, 60]
    with pytest.raises(InterpError, match="nearest is at 20"):
        circuits.barriers_over_training(*pair, steps=[21])
    with pytest.raises(InterpError, match="empty"):
        circuits.barriers_over_training(*pair, steps=[])


def test_what_is_missing(pair: tuple[Subject, Subject]) -> None:
    a, b = pair
    with pytest.raises(MissingCapability, match="several checkpoints"):
        circuits.barriers_over_training(models.subject("deep"))
    assert a.series is not None
    assert b.series is not None
    first, second = (
        replace(s, series=interp.CheckpointSeries(s.series.entries[part], s.series._open))
        for s, part in ((a, slice(0, 2)), (b, slice(2, 4))) if s.series is not None
    )  # fmt: skip
    with pytest.raises(InterpError, match="no step in common"):
        circuits.barriers_over_training(first, second)
