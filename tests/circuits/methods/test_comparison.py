"""`circuits.benchmark`: what each method finds of circuits that are known, and on a network of one's own."""

from __future__ import annotations

from typing import Any

import pytest

import circuits
from circuits.methods.comparison import METHODS
from circuits.methods.edge_scores import EdgeScores
from interp import InterpError
from interp.errors import UnknownName
from tests.circuits.methods.test_methods import pair
from tests.models import subject


def test_known_circuits() -> None:
    """Edge patching, ACDC and discover find both without a mistake; the gradient of EAP points elsewhere in `reverse`."""
    known = [circuits.known.reverse(), circuits.known.histogram()]
    methods = ["edge patching", "EAP", "ACDC", "discover"]
    found = circuits.benchmark(known, methods=methods, n_random=2, faithfulness=0.999, stability=False)
    own = found.scores.set_index(["network", "method"])
    for network in ("reverse", "histogram"):
        for method in ("edge patching", "ACDC", "discover"):
            assert own.loc[(network, method), ["precision", "recall"]].to_list() == [1.0, 1.0]
            assert own.loc[(network, method), "CMD"] < own.loc[(network, "random"), "CMD"]
    assert own.loc[("reverse", "EAP"), "precision"] < 0.5
    wrong = found.missed.query("network == 'reverse' and method == 'EAP'")
    n, precision = own.loc[("reverse", "EAP"), "edges"], own.loc[("reverse", "EAP"), "precision"]
    assert len(wrong.query("what == 'spurious'")) == round(n * (1 - precision))
    assert found.by_method["method"].to_list() == ["edge patching", "EAP", "ACDC", "discover", "random"]
    assert [trace.name for trace in found.figure().data] == ["precision", "recall", "CPR", "CMD"]


def test_a_network_and_a_method_of_ones_own() -> None:
    """Two rankings of the same edges, one turned around: its curve is below, and both start and end alike."""
    one = subject("two layers")
    clean, corrupted = pair(one)

    def turned(*args: Any, **how: Any) -> EdgeScores:
        found = circuits.edge_effects(*args, **how)
        size = found.edges["score"].abs()
        return EdgeScores(**{**vars(found), "edges": found.edges.assign(score=size.max() + 1 - size)})

    methods = {"edge patching": METHODS["edge patching"], "turned": turned}
    found = circuits.benchmark(one, clean, corrupted, methods=methods, n_random=0, shares=[0.0, 0.3, 0.6, 1.0])
    first, last = found.curves[one.name]
    for curve in (first, last):
        assert curve.points["faithfulness"].to_list()[::3] == pytest.approx([0, 1], abs=1e-9)
    assert first.cmd < last.cmd
    assert found.scores["precision"].isna().all()
    assert len(found.figure().data) == 2
    assert "Benchmark of 2 methods on 1 networks" in repr(found)


def test_a_method_that_cannot_be_run_is_a_note() -> None:
    """EAP with KL has no gradient at the clean run; the table says so."""
    one = subject("two layers")
    clean, corrupted = pair(one)
    found = circuits.benchmark(one, clean, corrupted, methods=["EAP", "EAP-IG"], metric="kl", n_random=0)
    assert found.scores["note"].str.contains("gradient of kl").to_list() == [True, False]
    named = circuits.benchmark(
        one, clean, corrupted, methods=["eap", circuits.edge_effects], n_random=0, stability=False
    )
    assert named.scores["method"].to_list() == ["EAP", "edge patching"]
    with pytest.raises(UnknownName, match="did you mean 'EAP'"):
        circuits.benchmark(one, clean, corrupted, methods="EAPP")
    with pytest.raises(InterpError, match="of its own"):
        circuits.benchmark(circuits.known.reverse(), clean, corrupted)


@pytest.mark.slow
def test_all_methods_on_all_known_circuits() -> None:
    """The table of docs/how_to/circuit_methods.md: no search by true effects keeps a wrong edge, and all beat chance."""
    found = circuits.benchmark(circuits.known.all_circuits(), faithfulness=0.999)
    means = found.by_method.set_index("method")
    assert (means.loc[["ACDC", "discover"], "precision"] == 1.0).all()
    assert means.loc["discover", "edges"] == means["edges"].min()
    assert (means.drop(index="random")["CMD"] < means.loc["random", "CMD"] / 2).all()
    assert (
        means.loc["EAP", "precision"]
        < means.loc["EAP-IG", "precision"]
        < means.loc["EAP-IG (activations)", "precision"]
    )
