"""From a graph to layers: the same function as a network whose layers all have the same slots.

A node's layer is one more than that of its latest input. Values needed later are carried forward by ``cache`` slots. Every
layer has the same slots, grouped by activation in alphabetical order, each group as large as the fullest layer needs.

Kumar et al. 2025, Questioning Representational Optimism in Deep Learning: The Fractured Entangled Representation Hypothesis,
https://arxiv.org/abs/2505.11581
"""

from __future__ import annotations

from collections import Counter

import torch

from interp.errors import InterpError
from interp.hooked.cppn.config import INPUTS, MAX_LAYERS, OUTPUTS, CPPNConfig, format_arch
from interp.hooked.cppn.model import HookedCPPN
from interp.picbreeder.graph import Graph

MAX_WEIGHTS = 20_000_000  # of a layered network
MAX_SLOTS = 100_000  # that hold a value


def layered(genome: Graph) -> HookedCPPN:
    """The genome as a `HookedCPPN`, in float64; its slots are in the order of `computing_order`.

    Args:
        genome: the graph to lay out.

    Returns:
        A network with the same function as the graph.

    Raises:
        InterpError: the layers would be too many or too wide to fit in memory.
    """
    slots = assign_slots(genome)
    needed: dict[str, int] = {}
    for layer in slots[1:]:
        for kind, n in Counter(kind for kind, _ in layer.values()).items():
            needed[kind] = max(needed.get(kind, 0), n)
    groups, n_layers, width = sorted(needed.items()), len(slots) - 1, sum(needed.values())
    if width * width * n_layers > MAX_WEIGHTS:
        raise InterpError(f"the genome would become {n_layers} layers of {width:,} slots, too many to fit in memory")
    starts, offset = {}, 0
    for kind, n in groups:
        starts[kind] = offset
        offset += n
    places = [{i: INPUTS.index(_layered_role(genome.by_id[i].role)) for i in slots[0]}]
    places += [{i: starts[kind] + index for i, (kind, index) in layer.items()} for layer in slots[1:]]
    weights = {
        f"layers.{i}.W": torch.zeros(4 if i == 0 else width, width, dtype=torch.float64) for i in range(n_layers)
    }
    for i in range(n_layers):
        for node, (kind, _) in slots[i + 1].items():
            sources = {node: 1.0} if kind == "cache" else genome.incoming[node]
            for source, weight in sources.items():
                weights[f"layers.{i}.W"][places[i][source], places[i + 1][node]] = weight
    out = torch.zeros(width, 3, dtype=torch.float64)
    for column, role in enumerate(OUTPUTS):
        out[places[-1][genome.output(role).id], column] = 1
    return HookedCPPN.from_weights(CPPNConfig(format_arch(n_layers, groups)), {**weights, "unembed.W_U": out})


def assign_slots(genome: Graph) -> list[dict[str, tuple[str, int]]]:
    """The nodes of every layer, the inputs first, each with the kind of its slot and its index among that kind.

    Args:
        genome: the graph to lay out.

    Returns:
        One dict a layer: node id to (kind of slot, index).

    Raises:
        InterpError: too many layers or slots to fit in memory.
    """
    depths = genome.depths
    n_layers = max(depths[genome.output(role).id] for role in OUTPUTS)
    last_use = {n.id: 0 for n in genome.nodes}
    for target, sources in genome.incoming.items():
        if depths[target] <= n_layers:
            for source in sources:
                last_use[source] = max(last_use[source], depths[target] - 1)
    for role in OUTPUTS:
        last_use[genome.output(role).id] = n_layers
    n_slots = sum(max(last - depths[node], 0) + 1 for node, last in last_use.items())
    if n_layers > MAX_LAYERS or n_slots > MAX_SLOTS:
        raise InterpError(
            f"the genome would become {n_layers:,} layers with {n_slots:,} slots in use, too many to fit in memory"
        )
    order = [genome.by_id[i] for i in computing_order(genome)]
    layers = []
    for depth in range(n_layers + 1):
        layer: dict[str, tuple[str, int]] = {}
        counts: dict[str, int] = {}
        for node in order:
            born = depths[node.id]
            if born != depth and not born < depth <= last_use[node.id]:
                continue
            kind = node.activation if born == depth else "cache"
            layer[node.id] = kind, counts.get(kind, 0)
            counts[kind] = counts.get(kind, 0) + 1
        layers.append(layer)
    return layers


def computing_order(genome: Graph) -> list[str]:
    """The nodes in an order in which they can be computed, the order of the slots in the published networks.

    The inputs as in the layered form, then the outputs and every other node in the order of the file, each after its
    sources, and these in the order of the links.

    Args:
        genome: the graph to lay out.

    Returns:
        The ids of all nodes.
    """
    inputs = sorted((n for n in genome.nodes if n.kind == "in"), key=lambda n: INPUTS.index(_layered_role(n.role)))
    order = {n.id: None for n in inputs}  # a dict keeps its order, and knows its members
    for node in sorted(genome.nodes, key=lambda n: n.kind != "out"):
        path = [(node.id, iter(genome.incoming[node.id]))]
        while path and node.id not in order:
            current, sources = path[-1]
            source = next((s for s in sources if s not in order), None)
            if source is None:
                order[current] = None
                path.pop()
            else:
                path.append((source, iter(genome.incoming[source])))
    return list(order)


def _layered_role(role: str) -> str:
    """The layered form calls the graph's x y, and its y x."""
    return {"x": "y", "y": "x"}.get(role, role)
