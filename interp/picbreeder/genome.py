"""A Picbreeder genome: nodes with activations, weighted links, and the picture that they draw."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from interp.errors import InterpError, UnknownName, unknown
from interp.hooked.cppn.parts import CPPN_ACTIVATIONS, INPUTS, OUTPUTS, Size, Span, plane, rgb
from interp.pictures import Picture

if TYPE_CHECKING:
    from interp.hooked.cppn.model import HookedCPPN

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
    """

    id: str
    kind: Literal["in", "hidden", "out"]
    activation: str
    role: str = ""
    label: str = ""


@dataclass(frozen=True)
class Link:
    """A weighted connection between two nodes, by their ids."""

    source: str
    target: str
    weight: float


@dataclass(frozen=True)
class Genome:
    """Nodes and links, in the order of the file.

    Attributes:
        name: what to call it.
        notes: what the file did not say and was implied, or says and was not used.

    Raises:
        InterpError: a link to a node that is not there, a cycle (its nodes are named), two nodes of one id, two inputs or
            outputs of one role, an output that is missing.
        UnknownName: an activation that is not known; the known ones are named.
    """

    name: str
    nodes: tuple[Node, ...]
    links: tuple[Link, ...]
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        _check_nodes(self.nodes)
        ids = {n.id: n for n in self.nodes}
        for link in self.links:
            for end, node in (("source", link.source), ("target", link.target)):
                if node not in ids:
                    raise InterpError(
                        f"a link from {link.source} to {link.target} has a {end} that is no node of the genome: {node}"
                    )
            if ids[link.target].kind == "in":
                raise InterpError(f"a link from {link.source} leads into {link.target}, which is an input")
        self.depths  # noqa: B018  a cycle is refused here

    @cached_property
    def by_id(self) -> dict[str, Node]:
        return {n.id: n for n in self.nodes}

    @cached_property
    def incoming(self) -> dict[str, dict[str, float]]:
        """By target: source and weight; parallel links are added up."""
        found: dict[str, dict[str, float]] = {n.id: {} for n in self.nodes}
        for link in self.links:
            own = found[link.target]
            own[link.source] = own.get(link.source, 0.0) + link.weight
        return found

    @cached_property
    def depths(self) -> dict[str, int]:
        """The layer of every node: inputs 0, others one more than the latest of their sources (at least 1)."""
        depths = {n.id: 0 for n in self.nodes if n.kind == "in" or not self.incoming[n.id]}
        depths |= {n.id: 1 for n in self.nodes if n.kind != "in" and n.id in depths}
        missing = {n.id: set(self.incoming[n.id]) for n in self.nodes if n.id not in depths}
        waiting_for: dict[str, list[str]] = {n.id: [] for n in self.nodes}
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
                    depths[target] = 1 + max(depths[s] for s in self.incoming[target])
                    ready.append(target)
        if missing:
            raise InterpError("the genome has a cycle, so no order to compute it in: " + " -> ".join(_cycle(missing)))
        return depths

    def output(self, role: str) -> Node:
        """The node that gives ``hue``, ``saturation`` or ``value``."""
        return next(n for n in self.nodes if n.kind == "out" and n.role == role)

    @torch.no_grad()
    def maps(
        self,
        size: Size = 256,
        x: Span = (-1.0, 1.0),
        y: Span = (-1.0, 1.0),
        dtype: torch.dtype = torch.float64,
    ) -> dict[str, Tensor]:
        """What every node draws ``[row, col]``, computed along the graph; arguments as in `HookedCPPN.draw`.

        The graph names the coordinates as Picbreeder does: its x runs along a row of the picture, its y down. The layered
        form names them the other way round.
        """
        points, rows, columns = plane(size, x, y, dtype)
        along, down, d, b = points.T.reshape(4, rows, columns)
        own = {"x": along, "y": down, "d": d, "b": b}
        values: dict[str, Tensor] = {}
        for node in sorted(self.nodes, key=lambda n: self.depths[n.id]):
            if node.kind == "in":
                values[node.id] = own[node.role]
                continue
            z = torch.zeros_like(b)
            for source, weight in self.incoming[node.id].items():
                z = z + weight * values[source]
            values[node.id] = CPPN_ACTIVATIONS[node.activation].function(z)
        return values

    def draw(
        self,
        size: Size = 256,
        x: Span = (-1.0, 1.0),
        y: Span = (-1.0, 1.0),
    ) -> Picture:
        """The picture, computed along the graph; arguments as in `HookedCPPN.draw`."""
        maps = self.maps(size, x, y)
        return Picture(rgb(torch.stack([maps[self.output(role).id] for role in OUTPUTS], -1)))

    def layered(self) -> HookedCPPN:
        """The same function as a network of layers; see `interp.picbreeder.layerize`."""
        from interp.picbreeder.layerize import layered

        return layered(self)

    def __repr__(self) -> str:
        return (
            f"Genome {self.name}: {len(self.nodes)} nodes, {len(self.links)} links, {max(self.depths.values())} layers"
        )


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


def _cycle(waiting: dict[str, set[str]]) -> list[str]:
    """A cycle among nodes that wait for each other, in the direction of the links, its first node repeated at the end."""
    path = [next(iter(waiting))]
    while True:
        node = next(s for s in waiting[path[-1]] if s in waiting)
        if node in path:
            return [node, *reversed(path[path.index(node) :])]
        path.append(node)
