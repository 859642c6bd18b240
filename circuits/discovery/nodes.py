"""Nodes as elements: heads and neurons of any network, each replaced by a constant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import pairwise

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from typing_extensions import override

from circuits.discovery.graph import Graph
from circuits.engine.algebra import check_value, settle
from circuits.engine.budget import BATCH, DEFAULT_BYTES
from circuits.engine.components import Components, Kind, find_components
from circuits.engine.effects import measure
from circuits.engine.evaluation import Evaluation
from circuits.interventions.counterfactual import Counterfactual, paired
from circuits.interventions.kinds import Ablate
from circuits.interventions.layout import Features
from circuits.interventions.values import Mean, Settled, Value
from interp.activations.batches import placed
from interp.activations.capture import capture
from interp.activations.transform import transform_at
from interp.errors import InterpError, MissingCapability
from interp.hooked.foreign.several import tiled_inputs
from interp.sites import Site


@dataclass(frozen=True, eq=False, repr=False)
class Constant(Settled):
    """What replaces a node, already in the site's shape."""

    needs_all_positions = False


@dataclass(frozen=True)
class Nodes:
    """The nodes of one hook point.

    Attributes:
        groups: of the site's features, which belong to each node ``[node, size]``.
        constant: what replaces them; ``laid_out`` is the same with features last ``[1 or n, ..., feature]``: one value for all
            inputs, or one for each.
        elements: their places among all elements of the graph.
    """

    site: str
    features: Features
    groups: Tensor
    constant: Constant
    laid_out: Tensor
    elements: slice
    component: Components

    def masked(self, activation: Tensor, kept: Float[Tensor, "k nodes"], rows: slice) -> Tensor:
        """The activation of k tiles, with the nodes that are not kept replaced by their constant."""
        flat = self.features.last(activation).unflatten(0, (len(kept), -1))  # [k, n, ..., feature]
        size = flat.shape[-1]
        mask = kept.new_zeros(len(kept), size).index_copy(
            1, self.groups.flatten(), kept.repeat_interleave(self.groups.shape[1], 1)
        )
        mask = mask.reshape(len(kept), *[1] * (flat.ndim - 2), size)
        constant = self.laid_out if len(self.laid_out) == 1 else self.laid_out[rows]
        held = torch.lerp(constant.to(flat).expand_as(flat), flat, mask.expand_as(flat))
        return self.features.back(held.flatten(0, 1), activation.shape)

    def without(self, kept: Bool[Tensor, " nodes"]) -> list[Ablate]:
        """The intervention that ablates the nodes that are not kept; none where all are."""
        gone = (~kept).nonzero().flatten().tolist()
        if not gone:
            return []
        if "head" in self.features.axes:
            return [Ablate(Site(self.site, head=gone), self.constant)]
        whole = len(gone) == len(kept)
        return [Ablate(Site(self.site) if whole else Site(self.site, unit=gone), self.constant)]


def _tiled(activation: Tensor, k: int) -> Tensor:
    return activation.repeat(k, *[1] * (activation.ndim - 1))


def _noted(activation: Tensor, site: str, fired: set[str]) -> Tensor:
    fired.add(site)
    return activation


@dataclass(frozen=True, eq=False)
class _Start:
    """The activation of the first nodes, and of the site where their changes arrive.

    Attributes:
        first: of the nodes' site ``[n, ...]``.
        arrives: the site where changes arrive, and from which the network goes on.
        clean: its activation.
        matrix: maps changes to it; None where they arrive as they are.
    """

    first: Tensor
    arrives: str
    clean: Tensor
    matrix: Tensor | None

    def stream(self, rows: slice, masked: Callable[[Tensor], Tensor], k: int, features: Features) -> Tensor:
        """The activation ``[k n, ...]`` at the site of arrival, of k circuits for some inputs."""
        tiles = _tiled(self.first[rows], k)
        moves = features.last(masked(tiles)) - features.last(tiles)
        return _tiled(self.clean[rows], k) + (moves if self.matrix is None else moves @ self.matrix)


@dataclass(eq=False)
class NodeGraph(Graph):
    """Heads and neurons (or whole layers) of a network as elements."""

    evaluation: Evaluation
    nodes: list[Nodes]
    labels: Sequence[str] = field(init=False)
    places: Sequence[str] = field(init=False)
    max_bytes: int = DEFAULT_BYTES

    def __post_init__(self) -> None:
        self.labels = [label for n in self.nodes for label in n.component.labels]
        self.places = [n.site for n in self.nodes for _ in n.component.labels]

    @override
    def outputs(self, kept: Float[Tensor, "k elements"], rows: slice) -> Tensor:
        model, inputs = self.evaluation.model, self.evaluation.inputs[rows]
        masks = [(n.site, partial(n.masked, kept=kept[:, n.elements], rows=rows)) for n in self.nodes]
        start = self._start
        if start is None:
            with transform_at(model, masks):
                outputs = model(tiled_inputs(inputs, len(kept)))
        else:
            stream = start.stream(rows, masks[0][1], len(kept), self.nodes[0].features)
            with transform_at(model, masks[1:]):
                outputs = model.resume(start.arrives, stream)
        return outputs.unflatten(0, (len(kept), len(inputs)))

    @cached_property
    def _start(self) -> _Start | None:
        """What comes before the first node, the same for every circuit; None where the network cannot go on from there."""
        first, model = self.nodes[0].site, self.evaluation.model
        if (arrival := self.evaluation.arrival(first)) is None or model.axes_of(first)[0] != "batch":
            return None
        arrives, matrix = arrival
        acts = capture(model, self.evaluation.inputs, {first, arrives}, batch_size=BATCH)
        later: list[str] = [n.site for n in self.nodes[1:]]
        fired: set[str] = set()
        with transform_at(model, [(site, partial(_noted, site=site, fired=fired)) for site in later]):
            model.resume(arrives, acts[arrives][:1])
        if fired < set(later):
            return None  # the network would go on behind a node
        return _Start(acts[first], arrives, acts[arrives], None if matrix is None else matrix.detach())

    @property
    def each_input(self) -> bool:
        """Whether what replaces a node differs between inputs."""
        return any(len(n.laid_out) > 1 for n in self.nodes)

    def interventions(self, kept: Bool[Tensor, " elements"]) -> list[Ablate]:
        """Interventions that turn the network into the circuit, for `circuits.applied`."""
        return [i for nodes in self.nodes for i in nodes.without(kept[nodes.elements])]

    @override
    def effects(self, kept: Bool[Tensor, " elements"]) -> Float[Tensor, "elements metrics"]:
        """The metrics without each node of the circuit, by the engine of `circuits.ablate`."""
        if self.each_input:
            return super().effects(kept)
        held, sizes = self.interventions(kept), sum(self.evaluation.sizes)
        table = torch.full(
            (len(self), len(self.evaluation.metrics)), torch.nan, dtype=torch.float64, device=kept.device
        )
        for nodes in self.nodes:
            inside = kept[nodes.elements].nonzero().flatten()
            if not len(inside):
                continue
            groups = nodes.groups[inside.to(nodes.groups.device)]
            labels = [nodes.component.labels[i] for i in inside.tolist()]
            component = replace(nodes.component, groups=groups, labels=labels)
            found = measure(self.evaluation, component, nodes.constant, held=held, max_bytes=self.max_bytes)
            table[inside + nodes.elements.start] = found.sums.sum(1) / sizes
        return table


def node_graph(
    evaluation: Evaluation, kinds: Sequence[Kind], value: Value, max_bytes: int = DEFAULT_BYTES
) -> NodeGraph:
    """The graph of all components of some kinds that the network has.

    Args:
        evaluation: the network, the inputs and the metrics.
        kinds: of components.
        value: what replaces an ablated node: one constant for all inputs, or what it is for another input.
        max_bytes: working memory in addition to the captured activations.

    Returns:
        the graph.

    Raises:
        MissingCapability: a site that fires several times, such as a recurrent network's state.
        InterpError: the network has none; a value that is not one constant for all inputs.
    """
    present: list[Kind] = [kind for kind in kinds if evaluation.model.component_sites(kind)]
    if not present:
        raise InterpError(f"a {type(evaluation.model).__name__} of this config has no {' or '.join(kinds)} to search")
    components = [c for kind in present for c in find_components(evaluation, kind)]
    return graph_of(evaluation, components, value, max_bytes)


def graph_of(
    evaluation: Evaluation, components: Sequence[Components], value: Value, max_bytes: int = DEFAULT_BYTES
) -> NodeGraph:
    """The graph of components of whole hook points.

    Args:
        evaluation: the network, the inputs and the metrics.
        components: of different hook points.
        value: what replaces an ablated node: one constant for all inputs, or what it is for another input.
        max_bytes: working memory in addition to the captured activations.

    Returns:
        the graph, in the model's order.

    Raises:
        MissingCapability: a site that fires several times, such as a recurrent network's state.
        InterpError: two at one hook point; a value that is not one constant for all inputs.
    """
    check_value(value)
    value = paired(value, evaluation.inputs)
    if isinstance(value, Mean) and value.reference is None:
        value = replace(value, reference=evaluation.inputs)
    order = list(evaluation.model.hook_dict)
    components = sorted(components, key=lambda c: order.index(c.site.name))
    if len({c.site.name for c in components}) < len(components):
        raise InterpError("two kinds name the same hook point; choose one of them")
    acts = capture(evaluation.model, evaluation.inputs[:2], {c.site.name for c in components})
    starts = [0]
    for c in components:
        starts.append(starts[-1] + len(c.labels))
    found = []
    for component, (start, stop) in zip(components, pairwise(starts), strict=True):
        name = component.site.name
        axes = evaluation.model.axes_of(name)
        if acts[name].ndim > len(axes):
            raise MissingCapability(
                f"{name} fires several times in a forward pass, so its nodes cannot be ablated one at a time"
            )
        features, batch = Features(axes), axes.index("batch")
        if isinstance(value, Counterfactual) and batch == 0:
            each = capture(evaluation.model, placed(value.corrupted, evaluation.model), name, batch_size=BATCH)[name]
            groups = torch.as_tensor(component.groups, device=evaluation.inputs.device)
            constant = Constant(each, repr(value))
            found.append(Nodes(name, features, groups, constant, features.last(each), slice(start, stop), component))
            continue
        settled = settle(evaluation, value, component.site, None).of(acts[name], axes)
        if settled.ndim == len(axes) and settled.shape[batch] != 1:
            raise InterpError(
                f"{value} differs between inputs; everything outside a circuit is replaced by Mean, Zero, Fixed or Counterfactual"
            )
        one = settled.expand_as(acts[name].narrow(batch, 0, 1))
        groups = torch.as_tensor(component.groups, device=evaluation.inputs.device)
        features, constant = Features(axes), Constant(settled, repr(value))
        found.append(Nodes(name, features, groups, constant, features.last(one), slice(start, stop), component))
    return NodeGraph(evaluation, found, max_bytes)
