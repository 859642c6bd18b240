"""The shape of a NEAT network: nodes in layers, each with its activation and aggregation, and links between them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from interp.errors import InterpError, UnknownName, unknown
from interp.hooked.config import Config
from interp.hooked.neat.activation_functions import NEAT_ACTIVATIONS
from interp.hooked.neat.aggregations import NEAT_AGGREGATIONS

MAX_WEIGHTS = 20_000_000  # of the matrices of all layers
MAX_LAYERS = 2000
NodeShape = tuple[str, str, str]


@dataclass(frozen=True)
class NEATConfig(Config):
    """Shape of a `HookedNEAT`.

    Args:
        inputs: names of the inputs, in order.
        outputs: names of the nodes that are outputs, in order.
        layers: for every layer its nodes as (name, activation, aggregation).
        links: pairs (source, target), in the order in which an aggregation meets them.
        recurrent: a node may read every node as it was one step earlier; all nodes are one layer.

    Raises:
        InterpError: fields of other types, a name that occurs twice, a link that runs backwards, too many weights.
        UnknownName: an activation or aggregation that neat-python has not.
    """

    kind: ClassVar[str] = "neat"

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    layers: tuple[tuple[NodeShape, ...], ...]
    links: tuple[tuple[str, str], ...]
    recurrent: bool = False

    def __post_init__(self) -> None:
        names = {"inputs": _texts(self.inputs), "outputs": _texts(self.outputs)}
        layers = tuple(tuple(_texts(node, 3) for node in _listed(layer)) for layer in _listed(self.layers))
        links = tuple(_texts(link, 2) for link in _listed(self.links))
        for field, value in {**names, "layers": layers, "links": links}.items():
            object.__setattr__(self, field, value)  # lists, as JSON gives them, become tuples
        if not self.outputs or not all(layers) or len(layers) > MAX_LAYERS or (self.recurrent and len(layers) != 1):
            raise InterpError(
                f"a NEATConfig has outputs and up to {MAX_LAYERS} layers of nodes (one if it is recurrent)"
            )
        _check_nodes(self)
        if sum(n_in * n for n_in, n in self.widths) > MAX_WEIGHTS:
            raise InterpError("the genome would become matrices of too many weights to fit in memory")
        _check_links(self)

    @cached_property
    def widths(self) -> list[tuple[int, int]]:
        """For every layer the number of values that it may read, and of its nodes."""
        sizes, read = [], len(self.inputs)
        for layer in self.layers:
            sizes.append((read + len(layer) * self.recurrent, len(layer)))
            read += len(layer)
        return sizes

    @cached_property
    def index(self) -> dict[str, int]:
        """The place of every input and node among the values: inputs, then the nodes of every layer."""
        names = [*self.inputs, *(name for layer in self.layers for name, _, _ in layer)]
        return {name: i for i, name in enumerate(names)}

    @cached_property
    def sources(self) -> dict[str, list[int]]:
        """The places of every node's sources, in the order of the links."""
        found: dict[str, list[int]] = {name: [] for layer in self.layers for name, _, _ in layer}
        for source, target in self.links:
            found[target].append(self.index[source])
        return found


def _listed(value: Any) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise InterpError(f"a NEATConfig's layers and links are tuples, got {type(value).__name__}")
    return tuple(value)


def _texts(value: Any, n: int | None = None) -> tuple[Any, ...]:
    if (
        not isinstance(value, (list, tuple))
        or not all(isinstance(v, str) for v in value)
        or n not in (None, len(value))
    ):
        raise InterpError(f"a NEATConfig names its inputs, nodes and links by texts, got {str(value)[:60]!r}")
    return tuple(value)


def _check_nodes(config: NEATConfig) -> None:
    nodes = [node for layer in config.layers for node in layer]
    if len(config.index) < len(config.inputs) + len(nodes):
        raise InterpError("a NEATConfig names two inputs or nodes alike")
    for name, activation, aggregation in nodes:
        for kind, given, known in (
            ("activation", activation, NEAT_ACTIVATIONS),
            ("aggregation", aggregation, NEAT_AGGREGATIONS),
        ):
            if given not in known:
                raise UnknownName(f"node {name[:40]}: " + unknown(kind, given[:60], known))
    for name in config.outputs:
        if config.index.get(name, 0) < len(config.inputs):
            raise InterpError(f"the output {name[:40]} is not a node of the NEATConfig")


def _check_links(config: NEATConfig) -> None:
    first, start = {}, len(config.inputs)  # of every node: the first place that it may not read
    for layer in config.layers:
        end = start + len(layer) if config.recurrent else start
        first |= {name: end for name, _, _ in layer}
        start += len(layer)
    for source, target in config.links:
        if source not in config.index or target not in first or config.index[source] >= first[target]:
            raise InterpError(f"the link from {source[:40]} to {target[:40]} leads to no later node")
    if len(set(config.links)) < len(config.links):
        raise InterpError("a NEATConfig has two links between the same nodes")
