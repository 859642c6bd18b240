"""The joint analyses in a comparison: a copy in another order, networks that know nothing, pictures, inputs that do not agree."""

from __future__ import annotations

from dataclasses import replace

import pytest

import circuits
import interp
from interp import CPPNConfig, HookedCPPN, MissingCapability, Subject
from tests.circuits.two_networks.planted import network, taught, with_units

JOINT = ["similarity", "stitching", "shared_features", "interventions", "connectivity"]
FEW = {"similarity": {"draws": 9}, "interventions": {"draws": 9, "n_random": 2}}


def test_a_copy_in_another_order() -> None:
    """Alike, stitched, in agreement, and joined by a line once its units are matched."""
    own = replace(taught(network()), name="own")
    copy = replace(with_units(own, [3, 1, 0, 2, 7, 6, 5, 4], "copy"), name="copy")
    found = interp.compare([own, copy], only=[n for n in JOINT if n != "shared_features"], options=FEW)
    assert not found.failed
    assert not found.skipped
    together = found.together
    assert together["similarity"].metrics["highest"] == pytest.approx(1)
    assert together["stitching"].metrics["mean_relative"] == pytest.approx(1)
    assert together["interventions"].metrics["disagree"] == 0
    assert together["interventions"].metrics["agree"] == len(together["interventions"].tables["layers"])
    lines = together["connectivity"].tables["barriers"].set_index("matched")["barrier"]
    assert lines[True] == pytest.approx(0, abs=1e-6)
    assert lines[False] > 0.01


def test_three_networks_make_a_map() -> None:
    """With an embedding; the headline counts pairs above and below chance."""
    found = interp.compare({n: network(i) for i, n in enumerate("abc")}, only="similarity", options=FEW)
    result = found.together["similarity"]
    assert {"embedding", "map layers.0.hook_post"} <= set(result.figures)
    counts = result.metrics["above_chance"] + result.metrics["below_chance"]
    assert 0 <= counts <= result.metrics["pairs"] == 3
    assert f"{result.metrics['above_chance']} of 3 pairs lie above chance" in result.headline


def test_pictures_need_no_task() -> None:
    """They are compared on the plane's pixels."""
    config = CPPNConfig("2;gaussian:2,sin:2")
    pair = [Subject(n, HookedCPPN(config).init_weights(seed, 2.0)) for seed, n in enumerate("ab")]
    found = interp.compare(pair, only=["similarity", "stitching", "connectivity"], options=FEW)
    assert set(found.together) == {"similarity", "stitching", "connectivity"}
    assert list(found.together["similarity"].figures) == ["by layer"]


def test_inputs_that_do_not_agree() -> None:
    """Without being asked for, they are left out; asked for, the reason is said."""
    model = interp.HookedMLP(interp.MLPConfig((4,), 1, d_in=3)).init_weights(0)
    one, other = network(), interp.Subject("bits", model, interp.SparseParity(n=3, k=2, n_train=4).fit(model))
    found = interp.compare([one, other], only=["similarity", "stitching"])
    assert set(found.skipped) == {"similarity", "stitching"}
    assert "inputs do not agree" in found.skipped["similarity"]
    default = interp.compare([one, other])
    assert not set(JOINT) & {*default.failed, *default.skipped, *default.together}
    with pytest.raises(MissingCapability, match="inputs do not agree"):
        circuits.compare(one, other)
