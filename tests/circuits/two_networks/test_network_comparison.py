"""The whole comparison, its verdicts, and the joint analyses of a report."""

from __future__ import annotations

import pytest

import circuits
from circuits.two_networks.disagreement import verdict
from interp.errors import UnknownName
from interp.plugins.joint import joint_analyses
from probes.similarity.cka import cka
from tests.circuits.two_networks.planted import LAYER, network, taught, with_units
from tests.models import subject as modular


def test_a_copy_is_alike_and_stitches() -> None:
    own = taught(network())
    copy = with_units(own, [3, 1, 0, 2, 7, 6, 5, 4], "copy")
    found = circuits.compare(own, copy, draws=5, n_random=2)
    assert found.rows["verdict"].tolist() == ["agree: alike, and stitches"] * 2
    assert found.rows["cka"].tolist() == pytest.approx([1, 1])
    assert found.rows["carried"].tolist() == pytest.approx([1, 1])
    assert "8 of 8 units also in the other" in found.headline
    assert list(found.parts) == ["similarity", "stitching", "interchange", "shared_features", "connectivity"]
    assert set(found.table["part"]) == {"stitching", "interchange", "shared_features", "connectivity"}


def test_only_some_parts() -> None:
    a, b = network(), network(1)
    found = circuits.compare(a, b, only="similarity", draws=5)
    side = [s.model.run_with_cache(s.require_task().inputs)[1][LAYER] for s in (a, b)]
    assert found.rows["cka"].iloc[0] == pytest.approx(cka(*side))
    assert found.rows["verdict"].tolist() == ["", ""]
    only = circuits.compare(a, b, only=["stitching"], n_random=1)
    assert "cka" not in only.rows
    assert "accuracy" in only.headline
    with pytest.raises(UnknownName, match="stitching"):
        circuits.compare(a, b, only="stiching")


def test_architectures_meet_at_their_last_hidden_layers() -> None:
    found = circuits.compare(modular("shared concat"), modular("two layers"), draws=3, n_random=1)
    assert found.rows["site_from"].tolist() == [LAYER, "blocks.1.mlp.hook_post"]
    assert len(found.parts["shared_features"].counts) == 2
    assert "<table" in found._repr_html_()


def test_layers_come_in_the_networks_order() -> None:
    found = circuits.compare(modular("two layers"), modular("layer norm"), only="similarity", draws=2)
    first = found.rows[found.rows["sender"] == "two layers"]["site_from"].tolist()
    block = ["hook_resid_mid", "mlp.hook_post", "hook_resid_post"]
    assert first == [f"blocks.{i}.{name}" for i in (0, 1) for name in block]


@pytest.mark.parametrize(
    ("cka", "beyond", "relative", "better", "said"),
    [
        (0.8, True, 0.9, True, "agree: alike, and stitches"),
        (0.8, True, 0.05, True, "disagree: alike, but does not stitch"),
        (0.8, False, 0.9, True, "disagree: not alike, but stitches"),
        (0.2, True, -0.3, False, "agree: not alike, and does not stitch"),
        (0.8, True, 0.3, True, "between: stitches in part"),
        (0.8, True, float("nan"), None, "no verdict"),
    ],
)
def test_verdicts(cka: float, beyond: bool, relative: float, better: bool | None, said: str) -> None:
    row = {"cka": cka, "cka_above": beyond, "relative": relative, "beyond_random": better}
    assert verdict(row).startswith(said)


def test_joint_analyses() -> None:
    networks = {f"n{i}": network(i) for i in range(3)}
    known, broken = joint_analyses()
    assert not broken
    stitched = known["stitching"](networks, n_random=1)
    assert len(stitched.tables["stitches"]) == 6
    row = circuits.stitch(networks["n0"], networks["n2"], direction="a_to_b", n_random=1).rows.iloc[0]
    rows = stitched.tables["stitches"].query("sender == 'n0' and receiver == 'n2'")
    assert rows["loss"].iloc[0] == pytest.approx(row["loss"], rel=1e-12)
    assert stitched.headline.startswith("Stitched accuracy")
    shared = known["shared_features"]({n: networks[n] for n in ("n0", "n1")}, draws=5, n_random=1)
    assert set(shared.tables["counts"]["kind"]) == {"units", "components", "frequencies"}
    assert "units also in the other" in shared.headline
