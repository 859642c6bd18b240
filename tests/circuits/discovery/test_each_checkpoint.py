"""`circuits_over_training`: the circuit of each checkpoint, and overlaps worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import interp
from circuits import NothingToDo, Zero, circuits_over_training, discover, necessity
from interp import InterpError
from interp.errors import MissingCapability, UnknownName
from tests.circuits.discovery.test_discover import planted, series


def test_the_circuit_of_every_checkpoint(tmp_path: Path) -> None:
    """Unit 2 alone until the weights behind unit 5 matter, both from step 20 on; the same as `discover` on each."""
    one = series(tmp_path)
    seen: list[tuple[int, int]] = []
    found = circuits_over_training(one, value=Zero(), progress=lambda *x: seen.append(x))
    assert seen[-1] == (4, 4)
    assert [c.components for c in found.circuits if c] == [["L0N2"]] * 2 + [["L0N2", "L0N5"]] * 2
    assert found.rows[["step", "size", "elements"]].to_numpy().tolist() == [
        [0, 1, 8],
        [10, 1, 8],
        [20, 2, 8],
        [30, 2, 8],
    ]
    assert found.overlap().loc[0].tolist() == [1, 1, 0.5, 0.5]
    assert found.overlap("containment").loc[0].tolist() == [1, 1, 1, 1]
    assert found.overlap("containment").loc[30].tolist() == [0.5, 0.5, 1, 1]
    # of 8 units, random ones and twos share 2 / 8 of a unit, random twos 4 / 8
    assert found.overlap_by_chance("containment").loc[30].tolist() == [0.125, 0.125, 0.25, 0.25]
    assert found.rows["by_chance"].tolist() == pytest.approx([0.25 / 2.75] * 2 + [0.5 / 3.5] * 2)
    assert found.membership.loc["L0N5"].tolist() == [False, False, True, True]
    last = discover(planted(), value=Zero(), n_random=0)
    assert found.rows.iloc[-1]["minimality"] == last.minimality
    np.testing.assert_array_equal(found.figure().data[0].z, found.overlap())
    assert found.table.groupby("step").size().to_dict() == {0: 1, 10: 1, 20: 2, 30: 2}
    assert found.summary["in all circuits"] == 1


def test_edges_and_their_necessity(tmp_path: Path) -> None:
    """Single weights: those of unit 5 join at step 20, and are worth something from there on only."""
    one = series(tmp_path)
    found = circuits_over_training(one, of="edges", every=2, value=Zero())
    assert found.steps == [0, 20, 30]
    assert found.rows["size"].tolist() == [3, 6, 6]
    circuit = found.circuits[-1]
    assert circuit is not None
    worth = necessity(one, circuit, value=Zero())
    assert worth.query("component == 'L0N5 > out1'")["worth"].tolist() == [0.0, 0.0, 0.25, 0.25]


def test_checkpoints_without_a_circuit(tmp_path: Path) -> None:
    """Before anything is computed there is no circuit; a run without any is refused."""
    for step, scale in ((0, 0.0), (5, 1.0)):
        one = planted()
        with torch.no_grad():
            one.model.unembed.W_U.mul_(scale)  # type: ignore[attr-defined]
        interp.save(one.model, tmp_path / f"step_{step}.safetensors", step=step, task=one.task)
    run = interp.load(tmp_path)
    found = circuits_over_training(run, value=Zero())
    assert found.rows["size"].tolist() == [0, 2]
    assert found.rows["faithfulness"].isna().tolist() == [True, False]
    assert found.overlap().isna().to_numpy().tolist() == [[True, True], [True, False]]
    with pytest.raises(NothingToDo):
        circuits_over_training(run, metric=lambda outputs: outputs[:, 0] * 0)


def test_refusals(tmp_path: Path) -> None:
    """An unknown measure, no run, and no step to take."""
    run = series(tmp_path)
    found = circuits_over_training(run, every=3, value=Zero())
    with pytest.raises(UnknownName, match="did you mean 'jaccard'"):
        found.overlap("jacard")  # type: ignore[arg-type]
    with pytest.raises(MissingCapability, match="checkpoint"):
        circuits_over_training(planted())
    with pytest.raises(InterpError, match="every"):
        circuits_over_training(run, every=0)
