"""Results of methods in words and figures: their headline numbers, and no claim that these do not bear out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import circuits
from circuits.methods.alignment import Alignment
from circuits.methods.faithfulness import Faithfulness, draw
from circuits.methods.node_scores import NodeScores
from circuits.methods.scrubbed import Scrubbed
from interp.sites import Site
from probes.basis import Basis
from tests.models import subject


def nodes(effects: list[float]) -> NodeScores:
    frame = pd.DataFrame({"component": [f"L0H{i}" for i in range(len(effects))], "site": "z", "effect": effects})
    return NodeScores(frame.assign(pos=2), "EAP", "loss", 0.5, "zero", 3, 1)


def alignment(own: float, nothing: float, random: float) -> Alignment:
    found = {"held out": own, "train": 1.0, "whole site": 0.5, "nothing": nothing, "random": random}
    table = pd.DataFrame({"interchange": list(found), "accuracy": list(found.values())})
    return Alignment(Basis.random(1, 6, seed=0), Site("hook"), table, (0.9, 0.8, 0.7))


def test_results_say_their_headline_numbers() -> None:
    """One or two sentences instead of the fields; of a list of losses none."""
    curve = Faithfulness(pd.DataFrame({"share": [0.0, 1.0], "size": [0, 4], "faithfulness": [0.5, 1.0]}), "EAP")
    draws = pd.DataFrame({"scrubbed": [0.75], "random": [0.5]})
    for result, expected in (
        (nodes([0.1, -0.3]), ["NodeScores of 2 nodes by EAP", "L0H1 @ 2 -0.3, L0H0 @ 2 0.1", "3 forward"]),
        (curve, ["CPR 0.7500", "CMD 0.2500"]),
        (Scrubbed(draws, "logit_diff", 1.0, {"L0H1": None}), ["L0H1", "recovers 0.5000 of the logit_diff"]),
        (alignment(1.0, 0.25, 0.4), ["1 of 6 dimensions", "carry the variable in 100%", "random subspaces up to 40%"]),
    ):
        text = repr(result)
        assert all(words in text for words in expected), text
        assert "\n" not in text
        assert len(text) < 300
    assert "0.9" not in repr(alignment(1.0, 0.25, 0.4))
    best = circuits.optimal_ablation(subject("two layers"), steps=1)
    assert repr(best).startswith("OptimalAblation of ")
    assert "tensor" not in repr(best)


def test_edges_compared_name_the_first_that_are_wrong() -> None:
    known = circuits.known.induction()
    text = repr(known.compare([*sorted(known.edges)[1:], "embed > L0H2 keys"]))
    assert f"missed: {min(known.edges)}; spurious: embed > L0H2 keys" in text


@pytest.mark.parametrize(
    ("own", "nothing", "random", "carries"),
    [(1.0, 0.2, 0.3, True), (1.0, 1.0, 0.3, False), (0.6, 0.2, 0.6, False), (0.0, 0.0, 0.0, False)],
)
def test_a_subspace_carries_a_variable_only_above_nothing_and_random_ones(
    own: float, nothing: float, random: float, carries: bool
) -> None:
    found = alignment(own, nothing, random)
    title = found.figure().layout.title.text  # pyright: ignore[reportAttributeAccessIssue]
    assert ("carry" in title) == carries
    assert f"{nothing:.0%} without interchange" in title
    assert ("carry" in repr(found)) == carries


def test_a_figure_of_scores_leaves_out_zeros_and_ranks_by_size() -> None:
    bars = nodes([0.1, 0.0, -0.3, 0.0]).figure().data[0]
    assert list(bars.y) == ["L0H2 @ 2", "L0H0 @ 2"]  # pyright: ignore[reportAttributeAccessIssue]
    one = subject("two layers")
    inputs = one.require_task().inputs
    edges = circuits.eap(one, inputs[:6], inputs[6:12])
    drawn = edges.figure().data[0].x  # pyright: ignore[reportAttributeAccessIssue]
    assert 0 not in drawn
    assert sorted(map(abs, drawn), reverse=True) == list(map(abs, drawn))
    assert torch.isclose(torch.tensor(drawn[0]).abs(), torch.tensor(edges.edges["score"]).abs().max())


def test_equal_curves_of_methods_are_all_to_be_seen() -> None:
    """Each has a colour, dash and marker of its own, and the markers stand within each other."""
    points = pd.DataFrame({"share": [0.0, 1.0], "size": [0, 4], "faithfulness": [0.0, 1.0]})
    data: Any = draw([Faithfulness(points, name) for name in "abcd"]).data
    assert len({(d.line.color, d.line.dash, d.marker.symbol) for d in data}) == 4
    assert all(d.marker.symbol.endswith("-open") for d in data)
    assert np.all(np.diff([d.marker.size for d in data]) < 0)


def test_measured_effects_of_edges_are_changes_and_a_page_has_no_minus_zero(tmp_path: Path) -> None:
    """The largest first; the divergence of the network from itself is 0."""
    known = circuits.known.induction()
    found = circuits.edge_effects(known.subject, known.clean, known.corrupted, metric="kl")
    table = found.table
    assert found.clean == 0
    assert table["change"].abs().is_monotonic_decreasing
    assert table["changed"].to_list() == (table["clean"] + table["change"]).to_list()
    page = found.save(tmp_path / "edges.html").read_text(encoding="utf8")
    cells = re.findall(r"<td>([^<]*)</td>", page)
    assert table["component"].iloc[0].replace(">", "&gt;") == cells[0]
    assert not [cell for cell in cells if re.fullmatch(r"-0(\.0*)?", cell)]
