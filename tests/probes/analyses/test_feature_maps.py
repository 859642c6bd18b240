"""The analysis `feature_maps`: counts by hand, the published counts of real networks, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import interp
from interp import InterpError, Subject
from interp.hooked import CPPNConfig, HookedCPPN
from probes import feature_maps as fm
from probes.analyses.feature_maps import feature_maps
from tests.interp.picbreeder.genomes import INPUTS, OUTPUTS, VALUE, Sketch, small
from tests.models import subject
from tests.probes.test_feature_maps import made

METRICS = ("active_units", "distinct_units", "copy_units", "total_units", "symmetric_share", "effective_rank")

FACTS = {  # active, of, distinct; the README of the data
    "picbreeder_skull": (97, 264, 20),
    "sgd_skull": (259, 264, 256),
    "picbreeder_butterfly": (190, 368, 32),
    "sgd_butterfly": (357, 368, 354),
}


def test_a_network_of_zeros() -> None:
    """Nothing active, no share, rank 0, and a report all the same."""
    result = feature_maps(Subject("zeros", HookedCPPN(CPPNConfig("2;gaussian:2,sin:1")).double()), size=8)
    assert [result.metrics[m] for m in METRICS] == [0, 0, 0, 6, None, 0]
    assert not result.tables["units"].isna().any().any()
    assert "nan" not in result.headline.lower()


def test_a_network_with_nan_is_refused() -> None:
    """No count is given of maps that are not numbers; the host says why, and goes on."""
    model = made(0)
    with torch.no_grad():
        model.layer(0).W[0, 0] = torch.nan
    with pytest.raises(InterpError, match="not a number"):
        feature_maps(Subject("nan", model), size=8)


def test_counts_by_hand() -> None:
    """x is carried past a hidden node: layer 1 has sin(2x) and the copy, layer 2 the sum; hue and saturation idle."""
    sketch = Sketch([*INPUTS, ("hidden", "1_1", "sin", ""), *OUTPUTS], [("0_2", "1_1", 2.0), ("1_1", VALUE, 1.0),
                                                                       ("0_2", VALUE, 1.0)])  # fmt: skip
    metrics = feature_maps(Subject("hand", sketch.genome().layered()), size=16).metrics
    assert metrics["active_copies"] == 1
    assert metrics["active_units"] == 3
    assert metrics["active_own_units"] == 2
    assert metrics["symmetric_share"] == 1  # functions of x alone do not change upside down


def test_arguments() -> None:
    with pytest.raises(InterpError, match="size"):
        fm.of(made(0), 1)
    with pytest.raises(InterpError, match="tolerance"):
        fm.of(made(0), 8, -0.1)
    with pytest.raises(InterpError):
        feature_maps(subject("plain"))
    everything = fm.of(small().genome().layered(), 8, 0.0)
    assert everything.active.sum() == (everything.deviation > 0).sum() > 0


@pytest.mark.real_data
@pytest.mark.parametrize("name", FACTS)
def test_real_counts(data: Path, name: str) -> None:
    """As published: active units over every fourth pixel of 256, distinct units of the whole network."""
    active, total, distinct = FACTS[name]
    found = feature_maps(interp.load(data / "picbreeder" / f"{name}.npz", device="cpu")).metrics
    assert set(METRICS) <= set(found)
    assert (found["active_units"], found["total_units"], found["distinct_units"]) == (active, total, distinct)
    assert 1 < found["effective_rank"] < found["active_own_units"]
    if name.startswith("sgd"):
        assert found["copy_units"] == 0
