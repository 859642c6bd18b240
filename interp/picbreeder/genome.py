"""A Picbreeder genome: a graph, the picture that it draws, and the same function as layers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor

from interp.hooked.cppn.activation_functions import CPPN_ACTIVATIONS
from interp.hooked.cppn.colour import rgb
from interp.hooked.cppn.config import OUTPUTS
from interp.hooked.cppn.model import HookedCPPN
from interp.hooked.cppn.plane import Size, Span, plane
from interp.picbreeder.graph import Graph
from interp.picbreeder.layerize import layered
from interp.pictures import Picture


@dataclass(frozen=True, repr=False)
class Genome(Graph):
    """An evolved network: the graph of a Picbreeder file, and what it draws.

    Picbreeder: Secretan et al. 2011, Picbreeder: A Case Study in Collaborative Evolutionary Exploration of Design Space,
    https://doi.org/10.1162/EVCO_a_00030.
    """

    @torch.no_grad()
    def maps(
        self,
        size: Size = 256,
        x: Span = (-1.0, 1.0),
        y: Span = (-1.0, 1.0),
        dtype: torch.dtype = torch.float64,
    ) -> dict[str, Tensor]:
        """What every node draws, computed along the graph.

        The graph names the coordinates as Picbreeder does: its x runs along a row of the picture, its y down. The layered
        form names them the other way round.

        Args:
            size: pixels along each edge, or (rows, columns).
            x: the range of x, as in `HookedCPPN.draw`.
            y: the range of y, as in `HookedCPPN.draw`.
            dtype: of the computation.

        Returns:
            The values of every node ``[row, col]``, by id.
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

    def draw(self, size: Size = 256, x: Span = (-1.0, 1.0), y: Span = (-1.0, 1.0)) -> Picture:
        """The picture, computed along the graph; arguments as in `maps`."""
        maps = self.maps(size, x, y)
        return Picture(rgb(torch.stack([maps[self.output(role).id] for role in OUTPUTS], -1)))

    def layered(self) -> HookedCPPN:
        """The same function as a network of layers; see `interp.picbreeder.layerize`."""
        return layered(self)

    @property
    def draws(self) -> bool:
        """Whether its nodes are functions of a plane: always."""
        return True

    def describe(self) -> str:
        """Nodes, links, functions and colours in a sentence."""
        own = [n for n in self.nodes if n.kind != "in"]
        kinds = ", ".join(f"{name} {n}" for name, n in Counter(n.activation for n in own).most_common())
        grey = not any(self.incoming[self.output("saturation").id].values())
        return (
            f"{len(self.nodes)} nodes, {len(self.links)} links, {max(self.depths.values())} layers, "
            f"{'grey' if grey else 'colour'}; activations: {kinds}"
        )

    def __repr__(self) -> str:
        return (
            f"Genome {self.name}: {len(self.nodes)} nodes, {len(self.links)} links, {max(self.depths.values())} layers"
        )
