"""From a NEAT graph to layers: every layer reads the inputs and all nodes of earlier layers."""

from __future__ import annotations

from dataclasses import replace

import torch

from interp.hooked.neat.config import NEATConfig
from interp.hooked.neat.model import HookedNEAT
from interp.picbreeder.graph import Graph, Node


def layered(genome: Graph, recurrent: bool) -> HookedNEAT:
    """The genome as a `HookedNEAT` in float64.

    Args:
        genome: the graph to lay out.
        recurrent: all nodes in one layer, run step by step.

    Returns:
        A network with the same function as the graph.
    """
    nodes = [n for n in genome.nodes if n.kind != "in"]
    layers: dict[int, list[str]] = {}
    for node in nodes:
        layers.setdefault(1 if recurrent else genome.depths[node.id], []).append(node.id)
    by_id = genome.by_id
    if recurrent:
        by_id = by_id | {n.id: _silent(n) for n in nodes if not genome.incoming[n.id]}
    shapes = tuple(
        tuple((name, by_id[name].activation, by_id[name].aggregation) for name in layers[depth])
        for depth in sorted(layers)
    )
    config = NEATConfig(
        inputs=tuple(n.id for n in genome.nodes if n.kind == "in"),
        outputs=tuple(n.id for n in nodes if n.kind == "out"),
        layers=shapes,
        links=tuple((link.source, link.target) for link in genome.links),
        recurrent=recurrent,
    )
    weights = {}
    for i, ((n_in, n), layer) in enumerate(zip(config.widths, shapes, strict=True)):
        W = torch.zeros(n_in, n, dtype=torch.float64)
        for column, (name, _, _) in enumerate(layer):
            for source, weight in genome.incoming[name].items():
                W[config.index[source], column] = weight
        own = [by_id[name] for name, _, _ in layer]
        weights[f"layers.{i}.W"] = W
        weights[f"layers.{i}.b"] = torch.tensor([n.bias for n in own], dtype=torch.float64)
        weights[f"layers.{i}.response.w"] = torch.tensor([n.response for n in own], dtype=torch.float64)
    return HookedNEAT.from_weights(config, weights)


def _silent(node: Node) -> Node:
    """A node that stays at 0, as one without connections does in neat-python's ``RecurrentNetwork``."""
    return replace(node, activation="identity", aggregation="sum", bias=0.0)
