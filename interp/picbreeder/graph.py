"""The graph of a Picbreeder genome: nodes with activations, weighted links, and the layer of each node."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from interp.errors import InterpError, UnknownName, unknown
from interp.hooked.cppn.activation_functions import CPPN_ACTIVATIONS
from interp.hooked.cppn.config import INPUTS, OUTPUTS

NODE_ACTIVATIONS = tuple(name for name in CPPN_ACTIVATIONS if name != "cache")  # a cache belongs to the layered form


@dataclass(frozen=True)
class Node:
    """One node of a genome.

    Attributes:
        id: branch and number, as ``branch_number``; both together identify a node.
        kind: ``"in"``, ``"hidden"`` or ``"out"``.
        activation: a name of `CPPN_ACTIVATIONS`.
        role: which input (y, x, d, b) or output (hue, saturation, value) it is; empty for a hidden node.
        label: the file's own name for it, such as ``ink``.
        bias: added to what the node aggregates; 0 in Picbreeder's genomes.
        response: factor on what the node aggregates; 1 in Picbreeder's genomes.
        aggregation: of the weighted sources; ``"sum"`` in Picbreeder's genomes.
    """

    id: str
    kind: Literal["in", "hidden", "out"]
    activation: str
    role: str = ""
    label: str = ""
    bias: float = 0.0
    response: float = 1.0
    aggregation: str = "sum"


@dataclass(frozen=True)
class Link:
    """A weighted connection between two nodes, by their ids."""

    source: str
    target: str
    weight: float


@dataclass(frozen=True)
class Graph:
    """Nodes and links, in the order of the file, checked when they are given.

    Attributes:
        name: what to call it.
        nodes: inputs, hidden nodes and outputs.
        links: weighted connections between them, without a cycle.
        notes: what the file did not state and was implied, or states and was not used.

    Raises:
        InterpError: a link to a missing node, a cycle (its nodes are named), two nodes with one id, two inputs or outputs
            with one role, a missing output.
        UnknownName: an unknown activation; the known ones are named.
    """

    name: str
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        self._check_nodes()
        ids = {n.id: n for n in self.nodes}
        for link in self.links:
            for end, node in (("source", link.source), ("target", link.target)):
                if node not in ids:
                    raise InterpError(
                        f"the {end} {node} of the link from {link.source} to {link.target} is not a node of the genome"
                    )
            if ids[link.target].kind == "in":
                raise InterpError(f"the link from {link.source} leads into {link.target}, which is an input")
        self._check_order()

    def _check_nodes(self) -> None:
        """What the nodes of a picture must be; other graphs have other rules."""
        _check_nodes(self.nodes)

    def _check_order(self) -> None:
        self.depths  # noqa: B018  computed now, so that a cycle is refused here

    @cached_property
    def by_id(self) -> dict[str, Node]:
        """The nodes by their ids."""
        return {n.id: n for n in self.nodes}

    @cached_property
    def incoming(self) -> dict[str, dict[str, float]]:
        """Weight by source, for every target; parallel links are added up."""
        found: dict[str, dict[str, float]] = {n.id: {} for n in self.nodes}
        for link in self.links:
            own = found[link.target]
            own[link.source] = own.get(link.source, 0.0) + link.weight
        return found

    @cached_property
    def depths(self) -> dict[str, int]:
        """The layer of every node: 0 for inputs, otherwise one more than that of its latest source (at least 1)."""
        depths, missing = layers_of(self.nodes, self.incoming)
        if missing:
            raise InterpError(
                f"the genome has a cycle, so it cannot be computed in any order: {' -> '.join(cycle_of(missing))}"
            )
        return depths

    def output(self, role: str) -> Node:
        """The node that gives ``hue``, ``saturation`` or ``value``."""
        return next(n for n in self.nodes if n.kind == "out" and n.role == role)


def layers_of(
    nodes: Sequence[Node], incoming: Mapping[str, Mapping[str, float]]
) -> tuple[dict[str, int], dict[str, set[str]]]:
    """The layer of every node, as `Graph.depths` counts them.

    Args:
        nodes: of a graph.
        incoming: the sources of every node.

    Returns:
        The layers, and for every node on or behind a cycle the sources that it still waits for.
    """
    depths = {n.id: 0 for n in nodes if n.kind == "in" or not incoming[n.id]}
    depths |= {n.id: 1 for n in nodes if n.kind != "in" and n.id in depths}
    missing = {n.id: set(incoming[n.id]) for n in nodes if n.id not in depths}
    waiting_for: dict[str, list[str]] = {n.id: [] for n in nodes}
    for target, sources in missing.items():
        for source in sources:
            waiting_for[source].append(target)
    ready = list(depths)
    while ready:
        source = ready.pop()
        for target in waiting_for[source]:
            missing[target].discard(source)
            if not missing[target]:
                del missing[target]
                depths[target] = 1 + max(depths[s] for s in incoming[target])
                ready.append(target)
    return depths, missing


def _check_nodes(nodes: Iterable[Node]) -> None:
    seen: dict[str, Node] = {}
    roles: dict[tuple[str, str], Node] = {}
    for node in nodes:
        if node.id in seen:
            raise InterpError(f"two nodes have the id {node.id} (branch_number); each node needs its own")
        seen[node.id] = node
        if node.activation not in NODE_ACTIVATIONS:
            raise UnknownName(f"node {node.id}: " + unknown("activation", node.activation[:60], NODE_ACTIVATIONS))
        if node.kind == "hidden":
            continue
        allowed = INPUTS if node.kind == "in" else OUTPUTS
        if node.role not in allowed:
            raise UnknownName(f"node {node.id}: " + unknown(f"{node.kind}put", node.role[:60], allowed))
        other = roles.setdefault((node.kind, node.role), node)
        if other is not node:
            raise InterpError(
                f"two {node.kind}puts are {node.label or node.role}: nodes {other.id} and {node.id}; a picture needs one of each"
            )
    missing = [role for role in OUTPUTS if ("out", role) not in roles]
    if missing:
        raise InterpError(
            f"the genome has no output for {', '.join(missing)}; a picture needs ink, or hue, saturation and brightness"
        )


def cycle_of(waiting: Mapping[str, Collection[str]]) -> list[str]:
    """A cycle among nodes that wait for each other.

    Args:
        waiting: the sources that every node waits for.

    Returns:
        Its nodes in the direction of the links, the first one repeated at the end.
    """
    path = [next(iter(waiting))]
    while True:
        node = min(s for s in waiting[path[-1]] if s in waiting)  # a set has no order
        if node in path:
            return [node, *reversed(path[path.index(node) :])]
        path.append(node)
