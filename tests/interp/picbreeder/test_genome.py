"""The graph: against a naive evaluation per pixel, and what it refuses."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import InterpError, UnknownName
from interp.picbreeder import Genome, Link, Node
from interp.picbreeder.graph import NODE_ACTIVATIONS
from tests.interp.picbreeder.genomes import (
    FUNCTIONS,
    HUE,
    INPUTS,
    OUTPUTS,
    SATURATION,
    VALUE,
    Sketch,
    colour,
    random_sketch,
    small,
)  # fmt: skip

SEEDS = st.integers(0, 10_000)


@given(SEEDS)
def test_every_map_equals_a_naive_evaluation(seed: int) -> None:
    """Every node, every pixel of a picture that is not square; x runs along a row."""
    sketch = random_sketch(seed)
    maps = sketch.genome().maps((3, 4))
    for node, expected in sketch.maps(3, 4).items():
        np.testing.assert_allclose(maps[node].numpy(), expected, rtol=1e-9, atol=1e-9, err_msg=node)


@given(SEEDS)
def test_depths_are_longest_paths(seed: int) -> None:
    """Inputs at 0, every other node one behind its latest source."""
    sketch = random_sketch(seed)
    assert sketch.genome().depths == {row[1]: sketch.depth(row[1]) for row in sketch.nodes}


def test_colours_of_a_picture() -> None:
    """Hue, saturation and value of each pixel, by colorsys."""
    sketch = small()
    maps = sketch.maps(5, 3)
    shown = np.asarray(sketch.genome().draw((5, 3)))
    assert shown.shape == (5, 3, 3)
    for row, column in np.ndindex(5, 3):
        expected = colour(*(maps[node][row, column] for node in (HUE, SATURATION, VALUE)))
        assert shown[row, column] == pytest.approx(expected, abs=1e-12)


def test_x_runs_along_a_row() -> None:
    """Worked by hand: brightness is x, so rows are alike, and black in the middle."""
    genome = Sketch([*INPUTS, *OUTPUTS], [("0_2", VALUE, 1.0)]).genome()
    grey = np.asarray(genome.draw((2, 5)))
    assert grey[..., 0].tolist() == [[1.0, 0.5, 0.0, 0.5, 1.0]] * 2
    assert (grey == grey[..., :1]).all()


def test_the_node_table_has_every_activation() -> None:
    """The naive twin knows all that a genome may hold, so that none goes untested."""
    assert sorted(NODE_ACTIVATIONS) == sorted(FUNCTIONS)


def test_parallel_links_add_up() -> None:
    """Two links between the same nodes are one of the summed weight."""
    twice = Sketch([*INPUTS, *OUTPUTS], [("0_2", VALUE, 0.5), ("0_2", VALUE, -0.125), ("0_0", HUE, 1.0)])
    once = Sketch(twice.nodes, [("0_2", VALUE, 0.375), ("0_0", HUE, 1.0)])
    assert len(twice.genome().links) == 3
    assert twice.genome().incoming[VALUE] == {"0_2": 0.375}
    assert torch.equal(twice.genome().draw(8).pixels, once.genome().draw(8).pixels)
    assert not torch.equal(once.genome().draw(8).pixels, Sketch(twice.nodes, twice.links[:1]).genome().draw(8).pixels)


def test_ink_implies_hue_and_saturation() -> None:
    """Brightness alone: grey, whatever the value; the implied nodes are there, and are said to be."""
    genome = Sketch([*INPUTS, ("out", "0_4", "sin", "ink")], [("0_2", "0_4", 2.0), ("0_3", "0_4", 1.0)]).genome()
    assert [genome.output(role).label for role in ("hue", "saturation", "value")] == ["hue", "saturation", "ink"]
    maps = genome.maps(6)
    for role in ("hue", "saturation"):
        assert maps[genome.output(role).id].abs().max() == 0
    pixels = genome.draw(6).pixels
    assert torch.equal(pixels, maps["0_4"].abs().unsqueeze(-1).expand(6, 6, 3))
    assert any("ink" in note for note in genome.notes)


def test_given_hue_is_not_said_to_be_0() -> None:
    """A file with ink and a hue of its own keeps that hue, and no note denies it."""
    nodes = [*INPUTS, ("out", "0_4", "identity", "ink"), ("out", "0_9", "sin", "hue")]
    genome = Sketch(nodes, [("0_2", "0_4", 1.0), ("0_2", "0_9", 1.0)]).genome()
    assert genome.maps(4)["0_9"].abs().max() > 0.5
    assert not [note for note in genome.notes if "hue and saturation 0" in note]


@pytest.mark.parametrize("seed", range(5))
def test_a_rectangle_is_a_crop(seed: int) -> None:
    """Zooming onto part of the plane gives those pixels of the larger picture."""
    genome = random_sketch(seed).genome()
    whole, part = genome.maps(9), genome.maps((4, 6), x=(-0.5, 0.25), y=(-0.75, 0.5))
    for node in whole:
        torch.testing.assert_close(part[node], whole[node][2:6, 1:7], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "arguments", [{"size": 0}, {"size": -1}, {"size": (3, -2)}, {"x": (1.0, 1.0)}, {"y": (float("nan"), 1.0)}]
)
def test_draw_refuses_what_the_layered_form_refuses(arguments: dict[str, Any]) -> None:
    """Arguments are those of `HookedCPPN.draw`, and so are the refusals."""
    genome = small().genome()
    for drawn in (genome.layered(), genome):
        with pytest.raises(InterpError, match="pixels along each edge|has no extent"):
            drawn.draw(**{"size": 4, **arguments})


def test_a_cycle_is_named_in_the_direction_of_its_links() -> None:
    """A node that only waits for the cycle is not part of it."""
    hidden = [("hidden", f"1_{i}", "sin", "") for i in range(5)]
    links = [("0_2", "1_0", 1.0), ("1_0", "1_1", 1.0), ("1_1", "1_2", 1.0), ("1_2", "1_0", 1.0), ("1_2", VALUE, 1.0)]
    with pytest.raises(InterpError, match="cycle") as raised:
        Sketch([*INPUTS, ("hidden", "1_4", "sin", ""), *hidden[:4], *OUTPUTS], [*links, ("1_2", "1_4", 1.0)]).genome()
    named = str(raised.value).split(": ")[-1].split(" -> ")
    assert named[0] == named[-1]
    assert sorted(named[1:]) == ["1_0", "1_1", "1_2"]
    assert all((a, b, 1.0) in links for a, b in itertools.pairwise(named))


def test_a_node_that_feeds_itself_is_a_cycle() -> None:
    with pytest.raises(InterpError, match="1_1 -> 1_1"):
        Sketch(small().nodes, [*small().links, ("1_1", "1_1", 0.5)]).genome()


OUTS = tuple(Node(f"o_{role}", "out", "identity", role) for role in ("hue", "saturation", "value"))
X = Node("i_x", "in", "identity", "x")


@pytest.mark.parametrize(
    ("nodes", "links", "error", "message"),
    [
        ((X, *OUTS), (Link("i_z", "o_hue", 1.0),), InterpError, "source i_z .*not a node of the genome"),
        ((X, *OUTS), (Link("i_x", "o_z", 1.0),), InterpError, "target o_z .*not a node of the genome"),
        ((X, *OUTS), (Link("o_hue", "i_x", 1.0),), InterpError, "leads into i_x, which is an input"),
        ((X, X, *OUTS), (), InterpError, "two nodes have the id i_x"),
        ((X, Node("i_2", "in", "identity", "x"), *OUTS), (), InterpError, "two inputs are x: nodes i_x and i_2"),
        ((X, *OUTS[:2]), (), InterpError, "no output for value"),
        ((X,), (), InterpError, "no output for hue, saturation, value"),
        ((), (), InterpError, "no output"),
        ((X, *OUTS, Node("h", "hidden", "sine")), (), UnknownName, "node h: .*did you mean 'sin'"),
        ((X, *OUTS, Node("h", "hidden", "cache")), (), UnknownName, "unknown activation 'cache'"),
        ((X, *OUTS, Node("i_q", "in", "identity", "q")), (), UnknownName, r"node i_q: .*known: b, d, x, y"),
    ],
)
def test_refusals(nodes: tuple[Node, ...], links: tuple[Link, ...], error: type[Exception], message: str) -> None:
    """Built in Python, a genome is checked as one from a file."""
    with pytest.raises(error, match=message):
        Genome("g", nodes, links)


def test_the_output_alone_is_enough() -> None:
    """Without inputs or links every output is its activation of 0: a black picture."""
    assert Genome("g", OUTS, ()).draw(3).pixels.abs().max() == 0
