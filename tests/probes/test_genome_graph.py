"""Where the nodes of a genome's graph stand."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interp.picbreeder import Genome
from probes.genome_graph import GAP, positions
from tests.interp.picbreeder.genomes import INPUTS, OUTPUTS, VALUE, Sketch, fan, random_sketch, small


def wide(n: int) -> Genome:
    """One layer of n hidden nodes that all want to stand above x, and one above them."""
    names = [f"1_{i}" for i in range(n)]
    links = [*(("0_2", name, 1.0) for name in names), *((name, VALUE, 1.0) for name in names)]
    return Sketch([*INPUTS, *(("hidden", name, "sin", "") for name in names), *OUTPUTS], links).genome()


def check_positions(graph: Genome) -> None:
    places, layers = positions(graph), defaultdict(list)
    assert set(places) == {n.id for n in graph.nodes}
    for node, (x, y) in places.items():
        assert y == graph.depths[node]
        layers[y].append(x)
    for xs in layers.values():
        gaps = [b - a for a, b in pairwise(sorted(xs))]
        assert all(gap >= GAP - 1e-9 for gap in gaps), gaps
    assert max(abs(x) for x, _ in places.values()) <= GAP * len(graph.nodes)


@given(st.integers(0, 400))
def test_nodes_stand_in_their_layer_and_apart(seed: int) -> None:
    """Height is the longest path's length; nodes of a layer keep the gap, and none is far out."""
    check_positions(random_sketch(seed).genome())


@pytest.mark.parametrize("graph", [wide(1), wide(40), fan(30).genome(), small().genome()], ids=repr)
def test_crowded_and_deep_graphs(graph: Genome) -> None:
    """Forty nodes that want one place, and a chain of thirty layers."""
    check_positions(graph)


def test_a_lone_child_stands_above_its_sources() -> None:
    """Where there is room, at the mean of its sources; nodes that share a wish are centred on it."""
    graph = Sketch([*INPUTS, ("hidden", "1_1", "sin", ""), *OUTPUTS],
                   [("0_0", "1_1", 1.0), ("0_1", "1_1", 1.0), ("1_1", VALUE, 1.0)]).genome()  # fmt: skip
    places = positions(graph)
    lone = {"0_4": [], "0_5": [], "1_1": ["0_0", "0_1"]}
    own = [n for n in lone if graph.depths[n] == 1]
    wishes = [np.mean([places[s][0] for s in lone[n]]) if lone[n] else 0.0 for n in own]
    assert np.mean([places[n][0] for n in own]) == pytest.approx(np.mean(wishes))
    assert places[VALUE][0] == pytest.approx(places["1_1"][0])


def test_crossing_is_avoided_by_the_order_of_sources() -> None:
    """Of two children the one of the left source stands left."""
    places = positions(small().genome())
    assert (places["0_2"][0] < places["0_3"][0]) == (places["1_1"][0] < places["1_2"][0])
