"""The nodes of a network that attribution scores: components of hook points, whole or position by position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.discovery.receivers import PARTS
from circuits.engine.components import Components, Kind, find_components, widths
from circuits.engine.effects import measure
from circuits.engine.evaluation import Evaluation
from circuits.interventions.layout import Features
from circuits.interventions.values import Value
from interp.activations.capture import capture
from interp.errors import InterpError, MissingCapability, UnknownName, unknown
from interp.sites import Site

NodeKind = Literal["queries", "keys", "values", "heads", "neurons", "attention", "mlp"]
POINTS = {part: f"attn.hook_{letter.lower()}" for part, letter in PARTS.items()}


@dataclass(frozen=True)
class NodeCells:
    """The nodes of one hook point.

    Attributes:
        component: their features.
        features: how the hook point's activation is laid out.
        positions: the positions that are told apart, as the network counts them; None where they are taken together.
        kind: of node; empty for units of a hook point that was named.
    """

    component: Components
    features: Features
    positions: tuple[int, ...] | None
    kind: str = ""

    @property
    def site(self) -> str:
        """The hook point."""
        return self.component.site.name

    def sums(self, terms: Tensor) -> Float[Tensor, "n cells"]:
        """What belongs to each node, summed, example by example.

        Args:
            terms: of the hook point's shape.

        Returns:
            a number per example and cell, in the order of `rows`.
        """
        flat = self.features.last(terms)
        groups = torch.as_tensor(self.component.groups, device=flat.device)
        plain = groups.shape[1] == 1 and len(groups) == flat.shape[-1]
        return self.cells(flat if plain else flat[..., groups].sum(-1))

    def cells(self, own: Float[Tensor, "n ... nodes"]) -> Float[Tensor, "n cells"]:
        """Numbers of every node at every position, which are told apart or summed."""
        if self.positions is None:
            return own.flatten(1, -2).sum(1) if own.ndim > 2 else own
        return own.flatten(1)

    def rows(self) -> list[dict[str, Any]]:
        """``component``, ``site`` and, where positions are told apart, ``pos`` of every cell."""
        if self.positions is None:
            return [{"component": label, "site": self.site} for label in self.component.labels]
        return [
            {"component": label, "site": self.site, "pos": pos}
            for pos in self.positions
            for label in self.component.labels
        ]

    def ablated(self, evaluation: Evaluation, value: Value, max_bytes: int) -> Float[Tensor, "cells parts"]:
        """The first metric's mean in each part of the inputs with each cell replaced by a value, by a run of its own."""
        sites = [self.component.site]
        if self.positions is not None:
            sites = [replace(self.component.site, pos=i) for i in range(len(self.positions))]
        sizes = evaluation.parts.sum(0)
        found = [
            measure(evaluation, replace(self.component, site=s), value, max_bytes=max_bytes).sums[..., 0] / sizes
            for s in sites
        ]
        return torch.cat(found)


def node_cells(
    evaluation: Evaluation,
    kinds: NodeKind | Sequence[NodeKind],
    *,
    site: str | Site | None = None,
    by_position: bool = False,
) -> list[NodeCells]:
    """The nodes of some kinds.

    Args:
        evaluation: the network.
        kinds: of node; those that the network does not have are left out.
        site: hook points whose units are the nodes instead.
        by_position: tell positions apart.

    Returns:
        them, hook point by hook point, in the model's order.

    Raises:
        UnknownName: no such kind; the nearest are named.
        MissingCapability: a hook point that fires several times in a forward pass.
        InterpError: the network has none of these nodes.
    """
    found: list[tuple[Components, str]] = []
    if site is not None:
        found = [(c, "") for c in find_components(evaluation, site=site)]
    else:
        for kind in (kinds,) if isinstance(kinds, str) else tuple(kinds):
            if kind not in get_args(NodeKind):
                raise UnknownName(unknown("kind of node", kind, get_args(NodeKind)))
            found += [(c, kind) for c in _of_kind(evaluation, kind)]
    if not found:
        wanted = kinds if isinstance(kinds, str) else " or ".join(kinds)
        raise InterpError(
            f"a {type(evaluation.model).__name__} of this config has no {wanted}; "
            "name hook points with site=..., whose units are scored one by one"
        )
    order, model = list(evaluation.model.hook_dict), evaluation.model
    found.sort(key=lambda own: order.index(own[0].site.name))
    one = capture(model, evaluation.inputs[:1], {c.site.name for c, _ in found})
    cells = []
    for component, kind in found:
        axes, shape = model.axes_of(component.site.name), one[component.site.name].shape
        if len(shape) > len(axes):
            raise MissingCapability(
                f"{component.site.name} fires several times in a forward pass, so its nodes have no gradient of their own"
            )
        positions = None
        if by_position and "pos" in axes:
            n, first = shape[axes.index("pos")], 0
            if n < evaluation.inputs.shape[1]:  # the last block, at its readout only
                first = int(getattr(model.config, "readout", 0)) % evaluation.inputs.shape[1]
            positions = tuple(range(first, first + n))
        cells.append(NodeCells(component, Features(axes), positions, kind))
    return cells


def _of_kind(evaluation: Evaluation, kind: NodeKind) -> list[Components]:
    if kind in POINTS:
        names = [n for n in evaluation.model.hook_dict if n.endswith(POINTS[kind])]
        return [_part(evaluation, kind, layer, name) for layer, name in enumerate(names)]
    own: Kind = kind  # pyright: ignore[reportAssignmentType]
    return find_components(evaluation, own) if evaluation.model.component_sites(kind) else []


def _part(evaluation: Evaluation, part: str, layer: int, name: str) -> Components:
    """Queries, keys or values of every head of a layer."""
    width, size = widths(evaluation, name, "heads")
    groups = [list(range(i, i + size)) for i in range(0, width, size)]
    return Components(Site(name), None, groups, [f"L{layer}H{head} {part}" for head in range(len(groups))])
