"""A NEAT genome: a graph of nodes with bias, response, aggregation and activation, and what it computes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor
from typing_extensions import override

from interp.errors import InterpError, UnknownName, unknown
from interp.hooked.cppn.plane import Size, Span, plane
from interp.hooked.neat.activation_functions import NEAT_ACTIVATIONS
from interp.hooked.neat.aggregations import NEAT_AGGREGATIONS, aggregate
from interp.hooked.neat.model import HookedNEAT
from interp.neat.layerize import layered
from interp.picbreeder.graph import Graph, Link, cycle_of, layers_of
from interp.pictures import Picture, from_signed


@dataclass(frozen=True, repr=False)
class NEATGenome(Graph):
    """An evolved network as neat-python keeps it: a node is ``act(bias + response * agg(weight * source))``.

    Inputs are named ``-1, -2, ...`` and outputs ``0, 1, ...``, as in neat-python, https://neat-python.readthedocs.io.

    Attributes:
        name: what to call it.
        nodes: inputs (in the order in which they are given), outputs and hidden nodes.
        links: the enabled connections; `cycle` names a cycle, if there is one.
        notes: what the file did not state and was derived.
        disabled: connections that are switched off.
        fitness: as recorded, if it was.
    """

    disabled: tuple[Link, ...] = field(default=())
    fitness: float | None = None

    @override
    def _check_nodes(self) -> None:
        if twice := [name for name, n in Counter(n.id for n in self.nodes).items() if n > 1]:
            raise InterpError(f"two nodes have the key {twice[0]}; each needs its own")
        for node in self.nodes:
            if node.activation not in NEAT_ACTIVATIONS:
                raise UnknownName(f"node {node.id}: " + unknown("activation", node.activation[:60], NEAT_ACTIVATIONS))
            if node.aggregation not in NEAT_AGGREGATIONS:
                raise UnknownName(
                    f"node {node.id}: " + unknown("aggregation", node.aggregation[:60], NEAT_AGGREGATIONS)
                )
        if not self.outputs:
            raise InterpError("the genome has no output; in neat-python the outputs are the nodes 0, 1, ...")

    @override
    def _check_order(self) -> None:
        """A cycle is allowed: such a network is run step by step."""

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """The inputs' names, in order."""
        return tuple(n.id for n in self.nodes if n.kind == "in")

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """The outputs' names, in order."""
        return tuple(n.id for n in self.nodes if n.kind == "out")

    @cached_property
    def cycle(self) -> tuple[str, ...]:
        """The nodes of a cycle in the direction of its links, the first one repeated at the end; empty without a cycle."""
        missing = layers_of(self.nodes, self.incoming)[1]
        return tuple(cycle_of(missing)) if missing else ()

    @cached_property
    def depths(self) -> dict[str, int]:
        """The layer of every node, as in `Graph`; links that close a cycle do not count."""
        closing = _closing(self.incoming) if self.cycle else set()
        forward = {t: {s: w for s, w in own.items() if (s, t) not in closing} for t, own in self.incoming.items()}
        return layers_of(self.nodes, forward)[0]

    @property
    def draws(self) -> bool:
        """Whether its nodes are functions of a plane: two inputs and no cycle."""
        return len(self.inputs) == 2 and not self.cycle

    @torch.no_grad()
    def evaluate(self, inputs: Tensor | Sequence[Sequence[float]]) -> dict[str, Tensor]:
        """The value of every node, computed along the graph in float64.

        Args:
            inputs: ``[..., input]``.

        Returns:
            ``[...]`` by node id.

        Raises:
            InterpError: the genome has a cycle, or other inputs.
        """
        given = torch.as_tensor(inputs, dtype=torch.float64)
        if given.ndim == 0 or given.shape[-1] != len(self.inputs):
            raise InterpError(f"{self.name} takes inputs [..., {len(self.inputs)}], got {list(given.shape)}")
        if self.cycle:
            raise InterpError(
                f"{self.name} has the cycle {' -> '.join(self.cycle)}, so it has no value at once; genome.layered() runs it "
                "step by step"
            )
        values = dict(zip(self.inputs, given.unbind(-1), strict=True))
        for node in sorted((n for n in self.nodes if n.kind != "in"), key=lambda n: self.depths[n.id]):
            terms = [weight * values[source] for source, weight in self.incoming[node.id].items()]
            stacked = torch.stack(terms, -1) if terms else given.new_zeros((*given.shape[:-1], 0))
            z = node.bias + node.response * aggregate(node.aggregation, stacked)
            values[node.id] = NEAT_ACTIVATIONS[node.activation](z)
        return values

    def maps(self, size: Size = 256, x: Span = (-1.0, 1.0), y: Span = (-1.0, 1.0)) -> dict[str, Tensor]:
        """What every node draws over its two inputs: the first runs along a row, the second down.

        Args:
            size: pixels along each edge, or (rows, columns).
            x: the range of the first input.
            y: the range of the second input.

        Returns:
            The values of every node ``[row, col]``, by id.

        Raises:
            InterpError: not two inputs, or a cycle.
        """
        if len(self.inputs) != 2:
            raise InterpError(f"{self.name} has {len(self.inputs)} inputs, so it draws no picture; two are needed")
        points, rows, columns = plane(size, y, x, torch.float64)
        return {k: v.expand(len(points)).reshape(rows, columns) for k, v in self.evaluate(points[:, :2]).items()}

    def draw(
        self, size: Size = 256, x: Span = (-1.0, 1.0), y: Span = (-1.0, 1.0), output: str | None = None
    ) -> Picture:
        """An output over the two inputs, blue below 0 and red above; arguments as in `maps`.

        Args:
            size: pixels along each edge, or (rows, columns).
            x: the range of the first input.
            y: the range of the second input.
            output: which one, by its key; the first by default.

        Returns:
            The picture.

        Raises:
            UnknownName: no such output.
        """
        output = self.outputs[0] if output is None else str(output)
        if output not in self.outputs:
            raise UnknownName(unknown("output", output, self.outputs))
        return Picture(from_signed(self.maps(size, x, y)[output]))

    def layered(self) -> HookedNEAT:
        """The same function as a network of layers, in float64; one layer that is run step by step if there is a cycle."""
        return layered(self, recurrent=bool(self.cycle))

    def describe(self) -> str:
        """Nodes, connections and functions in a sentence."""
        own = [n for n in self.nodes if n.kind != "in"]
        kinds = ", ".join(f"{name} {n}" for name, n in Counter(n.activation for n in own).most_common())
        aggregations = Counter(n.aggregation for n in own)
        text = (
            f"{len(own)} nodes (outputs: {len(self.outputs)}) and {len(self.inputs)} inputs, {len(self.links)} enabled "
            f"connections and {len(self.disabled)} disabled; activations: {kinds}"
        )
        if set(aggregations) != {"sum"}:
            text += "; aggregations: " + ", ".join(f"{name} {n}" for name, n in aggregations.most_common())
        text += f"; fitness {self.fitness:.6g}" if self.fitness is not None else ""
        return text + (f"; recurrent, with the cycle {' -> '.join(self.cycle)}" if self.cycle else "")

    def __repr__(self) -> str:
        return f"NEATGenome {self.name}: {self.describe()}"


def _closing(incoming: dict[str, dict[str, float]]) -> set[tuple[str, str]]:
    """Links (source, target) without which there is no cycle: those to a node that the search has not left yet."""
    closing, state = set(), {}
    for start in incoming:
        path = [(start, iter(incoming[start]))] if start not in state else []
        state.setdefault(start, "open")
        while path:
            node, sources = path[-1]
            source = next(sources, None)
            if source is None:
                state[node] = "done"
                path.pop()
            elif state.get(source) == "open":
                closing.add((source, node))
            elif source not in state:
                state[source] = "open"
                path.append((source, iter(incoming[source])))
    return closing
