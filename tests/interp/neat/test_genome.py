"""The graph of a NEAT genome: against neat-python's rule, written out in Python's floats."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import interp
from interp.errors import InterpError, UnknownName
from interp.neat import NEATGenome
from interp.picbreeder import Link, Node
from interp.pictures import from_signed
from tests.interp.neat.pickles import Rows, pickled, random_rows, small

SEEDS = st.integers(0, 10_000)


def graph(rows: Rows) -> NEATGenome:
    """The genome, through its pickle."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "winner.pkl"
        path.write_bytes(pickled(rows))
        genome = interp.load(path, device="cpu").genome
    assert isinstance(genome, NEATGenome)
    return genome


def points(n: int, rows: Rows) -> list[list[float]]:
    dice = random.Random(n)
    return [[dice.gauss(0, 1) for _ in range(rows.n_inputs)] for _ in range(n)]


@given(SEEDS)
def test_every_node_equals_neat_pythons_rule(seed: int) -> None:
    """Graph and layers, every node and output, to 1e-10."""
    rows = random_rows(seed)
    genome, given_inputs = graph(rows), points(6, rows)
    values, model = genome.evaluate(given_inputs), genome.layered()
    outputs, cache = model.run_with_cache(torch.tensor(given_inputs, dtype=torch.float64))
    columns = {n: cache[f"layers.{i}.hook_post"][:, j] for i, layer in enumerate(model.config.layers)
               for j, (n, _, _) in enumerate(layer)}  # fmt: skip
    for key in rows.nodes:
        wanted = [rows.value(key, row) for row in given_inputs]
        for found in (values[str(key)].expand(6), columns[str(key)]):
            np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-10, atol=1e-10, err_msg=str(key))
    wanted = [[rows.value(i, row) for i in range(rows.n_outputs)] for row in given_inputs]
    np.testing.assert_allclose(outputs.detach().numpy(), wanted, rtol=1e-10, atol=1e-10)


@given(SEEDS)
def test_a_recurrent_genome_equals_neat_pythons_rule(seed: int) -> None:
    """Step by step, every node reading the step before; its cycle is one of links."""
    rows = random_rows(seed, recurrent=True)
    genome = graph(rows)
    links = {(link.source, link.target) for link in genome.links}
    assert all(pair in links for pair in zip(genome.cycle, genome.cycle[1:], strict=False))
    if not genome.cycle:
        return
    assert genome.cycle[0] == genome.cycle[-1]
    steps = points(5, rows)
    found = genome.layered()(torch.tensor([steps], dtype=torch.float64))[0]
    np.testing.assert_allclose(found.detach().numpy(), rows.steps(steps), rtol=1e-9, atol=1e-9)
    with pytest.raises(InterpError, match="has the cycle"):
        genome.evaluate(steps)
    depths = genome.depths
    assert set(depths) == {n.id for n in genome.nodes}


def test_what_a_pickle_says_is_kept() -> None:
    """Keys, numbers, order, which connections are off, and the fitness."""
    genome = graph(small())
    assert [(n.id, n.kind) for n in genome.nodes] == [("-1", "in"), ("-2", "in"), ("0", "out"), ("1", "hidden")]
    assert (genome.by_id["1"].bias, genome.by_id["1"].response, genome.by_id["1"].activation) == (-0.25, 2.0, "gauss")
    assert genome.links == (Link("-1", "1", 1.0), Link("-2", "1", -0.5), Link("1", "0", 2.0))
    assert genome.disabled == (Link("-1", "0", 0.5),)
    assert (genome.fitness, genome.notes, genome.cycle) == (3.5, (), ())
    assert "2 nodes (outputs: 1) and 2 inputs, 3 enabled connections and 1 disabled" in repr(genome)


def test_a_picture_over_two_inputs() -> None:
    """The first input runs along a row, the second down; other counts of inputs draw nothing."""
    rows = small()
    genome = graph(rows)
    maps = genome.maps((3, 5))
    for key in (-1, -2, 0, 1):
        wanted = [[rows.value(key, [x, y]) for x in np.linspace(-1, 1, 5)] for y in np.linspace(-1, 1, 3)]
        np.testing.assert_allclose(maps[str(key)].numpy(), wanted, rtol=0, atol=1e-10)
    assert torch.equal(genome.draw((3, 5)).pixels, from_signed(maps["0"]))
    with pytest.raises(UnknownName, match="unknown output '1'"):
        genome.draw(4, output="1")
    zoomed = genome.maps((2, 3), x=(0.0, 1.0), y=(-1.0, 0.0))["0"]
    np.testing.assert_allclose(zoomed.numpy(), maps["0"][:2, 2:].numpy(), rtol=0, atol=1e-12)
    rows.n_inputs = 3
    assert not graph(rows).draws
    with pytest.raises(InterpError, match="has 3 inputs, so it draws no picture"):
        graph(rows).draw(4)


@pytest.mark.parametrize(
    ("nodes", "links", "message"),
    [
        ((Node("0", "hidden", "sin"),), (), "has no output"),
        ((Node("0", "out", "sin"), Node("0", "hidden", "sin")), (), "two nodes have the key 0"),
        ((Node("0", "out", "sine"),), (), "node 0: unknown activation 'sine'.*sin"),
        ((Node("0", "out", "sin", aggregation="total"),), (), "unknown aggregation 'total'"),
        ((Node("0", "out", "sin"),), (Link("5", "0", 1.0),), "source 5 .*is not a node"),
        ((Node("-1", "in", "identity"), Node("0", "out", "sin")), (Link("0", "-1", 1.0),), "which is an input"),
    ],
)
def test_graphs_that_are_none(nodes: tuple[Node, ...], links: tuple[Link, ...], message: str) -> None:
    with pytest.raises(InterpError, match=message):
        NEATGenome("made", nodes, links)


@pytest.mark.parametrize("given_inputs", [[[1.0]], [[1.0, 2.0, 3.0]], 1.0])
def test_inputs_of_another_count(given_inputs: object) -> None:
    with pytest.raises(InterpError, match=r"takes inputs \[..., 2\]"):
        graph(small()).evaluate(given_inputs)  # pyright: ignore[reportArgumentType]
