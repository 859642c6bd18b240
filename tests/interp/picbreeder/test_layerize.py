"""Layers: the same function as the graph, and the networks that were published."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.errors import InterpError
from interp.hooked.cppn.config import parse_arch
from interp.hooked.cppn.plane import coordinates
from interp.picbreeder import layered, read
from interp.picbreeder.layerize import assign_slots, computing_order
from tests.interp.picbreeder.genomes import HUE, OUTPUTS, SATURATION, VALUE, Sketch, fan, random_sketch, small

SEEDS = st.integers(0, 10_000)
REAL = ("skull", "butterfly")


def needed_slots(sketch: Sketch) -> list[dict[str, list[str]]]:
    """For every layer from 1 on the nodes in it by kind of slot, straight from the definition."""
    names = [row[1] for row in sketch.nodes]
    kinds = {row[1]: row[2] for row in sketch.nodes}
    depth = {name: sketch.depth(name) for name in names}
    outputs = {row[1] for row in OUTPUTS}
    end = max(depth[o] for o in outputs)
    layers = []
    for layer in range(1, end + 1):
        slots: dict[str, list[str]] = {}
        for name in names:
            readers = [depth[t] for s, t, _ in sketch.links if s == name and depth[t] <= end]
            later = name in outputs or any(reader > layer for reader in readers)
            if depth[name] == layer:
                slots.setdefault(kinds[name], []).append(name)
            elif depth[name] < layer and later:
                slots.setdefault("cache", []).append(name)
        layers.append(slots)
    return layers


@given(SEEDS)
def test_graph_and_layers_agree(seed: int) -> None:
    """Every node's map is that of each of its slots, and the outputs are the last layer's."""
    genome = random_sketch(seed).genome()
    model, maps = genome.layered(), genome.maps((3, 4))
    logits, cache = model.run_with_cache(coordinates(3, 4, dtype=torch.float64), names_filter=["*hook_post", "hook_l*"])
    for column, node in enumerate((HUE, SATURATION, VALUE)):
        torch.testing.assert_close(cache["hook_logits"][:, column], maps[node].flatten(), rtol=1e-8, atol=1e-8)
    assert logits.shape == (12, 3)
    for layer, slots in enumerate(assign_slots(genome)[1:]):
        for node, (kind, place) in slots.items():
            first = model.config.kinds.index(kind)
            drawn = cache[f"layers.{layer}.hook_post"][:, first + place]
            torch.testing.assert_close(drawn, maps[node].flatten(), rtol=1e-8, atol=1e-8)


@given(SEEDS)
def test_slots_and_architecture_by_definition(seed: int) -> None:
    """As many layers as the outputs need, as many slots of a kind as the fullest layer needs, by name."""
    sketch = random_sketch(seed)
    expected = needed_slots(sketch)
    found = assign_slots(sketch.genome())[1:]
    for wanted, slots in zip(expected, found, strict=True):
        by_kind: dict[str, list[str]] = {}
        for node, (kind, place) in slots.items():
            assert place == len(by_kind.setdefault(kind, []))
            by_kind[kind].append(node)
        assert {k: sorted(v) for k, v in by_kind.items()} == {k: sorted(v) for k, v in wanted.items()}
    kinds = sorted({kind for layer in expected for kind in layer})
    groups = tuple((kind, max(len(layer.get(kind, ())) for layer in expected)) for kind in kinds)
    assert parse_arch(layered(sketch.genome()).config.arch) == (len(expected), groups)


@given(SEEDS)
def test_copies_are_the_carried_values(seed: int) -> None:
    """One copy for every value carried through a layer, in a cache slot."""
    sketch = random_sketch(seed)
    copies = layered(sketch.genome()).copies()
    assert copies.sum(1).tolist() == [len(layer.get("cache", ())) for layer in needed_slots(sketch)]


@given(SEEDS)
def test_the_order_of_computing_puts_sources_first(seed: int) -> None:
    """Every node once, behind all that it reads."""
    sketch = random_sketch(seed)
    order = computing_order(sketch.genome())
    assert sorted(order) == sorted(row[1] for row in sketch.nodes)
    assert all(order.index(source) < order.index(target) for source, target, _ in sketch.links)


def test_by_hand() -> None:
    """The small genome: two layers, whose weights a person placed."""
    model = small().genome().layered()
    assert model.config.arch == "2;gaussian:1,identity:3,sin:1"
    first, second, last = (m.tolist() for m in model.matrices)
    # inputs y, x, d, b: what the graph calls x runs along a row, where the layered form calls it y
    assert first == [[0, 0, 0, 0, 2.0], [-1.5, 0, 0, 0, 0], [0] * 5, [0] * 5]
    assert second == [[0, 0, 1.25, -1.0, 0], [0] * 5, [0] * 5, [0] * 5, [0, 0.75, 0, 0.5, 0]]
    assert last == [[0] * 3, [1, 0, 0], [0, 1, 0], [0, 0, 1], [0] * 3]


def test_a_weight_of_1_is_no_copy() -> None:
    """An identity node that reads one value times 1 computes it; only a cache slot copies."""
    sketch = Sketch(small().nodes, [("0_2", VALUE, 1.0)])
    assert not layered(sketch.genome()).copies().any()


def test_a_genome_too_wide_is_refused_before_it_is_laid_out() -> None:
    """A chain whose every node is needed at its end has as many slots per layer as layers: their number is the square.

    10,000 nodes, which a file may hold, would take gigabytes before the refusal.
    """
    genome = fan(1000).genome()
    genome.depths  # noqa: B018  computed once
    tracemalloc.start()
    try:
        with pytest.raises(InterpError, match="too many to fit in memory"):
            layered(genome)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_genome_too_deep_is_refused() -> None:
    """A chain of more layers than a network may have."""
    sketch = fan(1001)
    chain = [link for link in sketch.links if link[1] != VALUE]
    with pytest.raises(InterpError, match="1,?002 layers"):
        layered(Sketch(sketch.nodes, chain).genome())


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_real_architecture_and_weights_are_the_published(data: Path, name: str) -> None:
    """Entry by entry."""
    model = read(data / "picbreeder" / f"{name}.zip").layered()
    published = np.load(data / "picbreeder" / f"picbreeder_{name}.npz")
    assert model.config.arch == str(published["arch"])
    assert len(model.matrices) == sum("kernel" in key for key in published.files)
    for i, weights in enumerate(model.matrices):
        expected = published[f"params/Dense_{i}/kernel"]
        np.testing.assert_allclose(weights.detach().numpy(), expected, rtol=0, atol=1e-6, err_msg=f"Dense_{i}")


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_real_graph_and_layers_agree(data: Path, name: str) -> None:
    """The same picture to rounding, at a size that is not square and off the published grid."""
    genome = read(data / "picbreeder" / f"{name}.zip")
    graph, layers = genome.draw((33, 47)).pixels, genome.layered().draw((33, 47)).pixels
    torch.testing.assert_close(graph, layers, rtol=0, atol=1e-9)
    assert graph.std() > 0.05


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "total", "nonzero", "ones", "copies"), [("skull", 5478, 147, 90, 87), ("butterfly", 8096, 281, 177, 174)]
)
def test_real_counts(data: Path, name: str, total: int, nonzero: int, ones: int, copies: int) -> None:
    """The published figures; the 1s of copies count the three that lead out."""
    model = read(data / "picbreeder" / f"{name}.zip").layered()
    weights = torch.cat([m.flatten() for m in model.matrices])
    assert (weights.numel(), int((weights != 0).sum())) == (total, nonzero)
    assert int(model.copies().sum()) == copies == ones - int((model.W_U == 1).sum())


@pytest.mark.real_data
def test_real_skull_file(data: Path) -> None:
    """23 nodes in the file and the two that ink implies; 59 links with theirs; its layers are mostly cache."""
    genome = read(data / "picbreeder" / "skull.zip")
    assert (len(genome.nodes), len(genome.links)) == (25, 59)
    assert dict(genome.layered().config.groups) == {"cache": 15, "gaussian": 4, "identity": 2, "sin": 1}
