"""Pruning an image network (CPPN): units and links without an effect on its picture are removed, with the proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor

from circuits.bisection import largest
from circuits.compression.proof import before_and_after, shares_left, sizes_in_words
from circuits.findings import Findings
from circuits.weight_sweeps.directions import single_entries
from circuits.weight_sweeps.image_network import as_cppn
from circuits.weight_sweeps.render import Renderer
from interp._util.renamed import renamed
from interp.errors import InterpError, require_range
from interp.hooked import CPPNConfig, HookedCPPN
from interp.hooked.cppn.config import format_arch
from interp.subject import Subject

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True, repr=False)
class Pruned(Findings):
    """A smaller image network, and the proof that it draws the same picture.

    Attributes:
        cppn: the smaller network.
        units: slots in use, of all layers; copies among them.
        units_before: of the whole network.
        links: weights that are not 0.
        links_before: of the whole network.
        difference: the largest difference of the two pictures, over pixels and colours, from 0 to 1.
        mean_square: their mean squared difference.
        mask: by the whole network's parameters, False where it has no link left: what `interp.train` takes as ``mask``.
    """

    cppn: HookedCPPN
    units: int
    units_before: int
    links: int
    links_before: int
    difference: float
    mean_square: float
    mask: Mapping[str, Tensor]

    @property
    def table(self) -> pd.DataFrame:
        """A row per number: ``component, site, index, metric, clean, changed, change``."""
        return before_and_after(
            {"units": self.units_before, "links": self.links_before}, {"units": self.units, "links": self.links}
        )

    @property
    def summary(self) -> dict[str, Any]:
        """Sizes and the difference of the pictures."""
        return sizes_in_words(self.table) | {"difference": self.difference, "mean_square": self.mean_square}

    def figure(self) -> go.Figure:
        """What is left of units and links, as shares."""
        return shares_left(self.table, ("units", "links"))


def without_unused(cppn: HookedCPPN, size: int) -> Pruned:
    """An image network without the units and links that its picture does not depend on.

    Args:
        cppn: an image network.
        size: pixels along each edge at which units count as unused, and pictures are compared.

    Returns:
        the smaller network and its difference from the whole one.
    """
    weights = [W.detach().clone() for W in cppn.matrices]
    zero = [(values == 0).all(1) for values in Renderer(cppn, size).values]  # of the inputs and every layer
    for W, nothing in zip(weights, zero, strict=True):
        W[nothing] = 0
    needed = torch.ones(3, dtype=torch.bool, device=cppn.device)
    for i in reversed(range(len(weights))):
        weights[i][:, ~needed] = 0
        needed = (weights[i] != 0).any(1)
    return _proved(cppn, compact(cppn.config, weights), weights, size)


@renamed(tolerance="max_error")
def drop_links(cppn: HookedCPPN | Subject, max_error: float = 1e-4, size: int = 256) -> Pruned:
    """Remove as many links of an image network as its picture can do without, those that change it least first.

    Links are ordered by the mean squared change of the picture without each of them; how many can go together is found by
    bisection, which assumes that the error grows with their number. Units and links without an effect are removed as well, as
    by `circuits.prune`.

    Args:
        cppn: an image network, or a Subject of one.
        max_error: largest mean squared error of the smaller network's picture, with colours from 0 to 1.
        size: pixels along each edge at which the error is measured.

    Returns:
        `Pruned`: the smaller network, its size, and the difference of the pictures.

    Raises:
        InterpError: another kind of network, an error outside 0 to 1, or a network without links.

    >>> import interp
    >>> cppn = interp.HookedCPPN(interp.CPPNConfig("1;sin:3")).init_weights(seed=0)
    >>> found = drop_links(cppn, max_error=0.01, size=32)
    >>> found.links < found.links_before, found.mean_square <= 0.01
    (True, True)
    """
    cppn = as_cppn(cppn)
    require_range("max_error", max_error, 0, 1)
    entries = single_entries(cppn)
    if not entries:
        raise InterpError("the network has no link (all weights are 0), so there is none to remove")
    weights = dict(cppn.named_parameters())
    values = torch.stack([weights[e.parameter or ""].detach()[e.row, e.column] for e in entries])
    renderer = Renderer(cppn.cast(torch.float32), 64)  # for the order alone; errors are measured in the network's dtype
    effects = torch.zeros(len(entries), dtype=torch.float64)
    for block in renderer.pictures(entries, -values.unsqueeze(1).to(renderer.base)):
        if block.pictures is not None:
            change = (block.pictures[:, 0] - renderer.base).square().mean((1, 2, 3))
            effects[list(block.directions)] = change.double().cpu()
    order = effects.argsort(stable=True).tolist()

    def without(n: int) -> list[Tensor]:
        table = {name: W.detach().clone() for name, W in weights.items()}
        for place in order[:n]:
            entry = entries[place]
            table[entry.parameter or ""][entry.row, entry.column] = 0
        return list(table.values())

    whole = _pixels(cppn, size)

    def enough(n: int) -> bool:
        error, _ = _difference(whole, _network(cppn.config, without(n)), size)
        return error <= max_error

    smaller = without_unused(_network(cppn.config, without(largest(len(entries), enough))), size)
    return replace(_proved(cppn, smaller.cppn, [], size), mask=smaller.mask)


def compact(config: CPPNConfig, weights: list[Tensor]) -> HookedCPPN:
    """The same function without unused slots: as few of each activation function as the fullest layer needs.

    Args:
        config: of the network.
        weights: its matrices, first to last; a slot that no weight reads from is unused.

    Returns:
        the smaller network.
    """
    used = [(W != 0).any(1).cpu() for W in weights[1:]]  # of every layer: read by something
    groups, places = [], [{} for _ in used]
    first = offset = 0
    for kind, n in config.groups:
        counts = []
        for layer, alive in enumerate(used):
            own = [j for j in range(first, first + n) if alive[j]]
            places[layer] |= {j: offset + k for k, j in enumerate(own)}
            counts.append(len(own))
        groups.append((kind, max(counts)))
        first, offset = first + n, offset + max(counts)
    if not offset:
        groups, offset = [(config.groups[0][0], 1)], 1  # a network without units draws black; keep one slot
    smaller = CPPNConfig(format_arch(config.n_layers, groups))
    made = []
    for i, W in enumerate(weights):
        last = i == len(weights) - 1
        table = W.new_zeros(W.shape[0] if i == 0 else offset, W.shape[1] if last else offset)
        sources = {j: j for j in range(W.shape[0])} if i == 0 else places[i - 1]
        targets = {j: j for j in range(W.shape[1])} if last else places[i]
        if sources and targets:
            rows, columns = torch.tensor(list(sources)), torch.tensor(list(targets))
            table[torch.tensor(list(sources.values()))[:, None], torch.tensor(list(targets.values()))] = W[
                rows[:, None], columns
            ]
        made.append(table)
    return _network(smaller, made)


def _network(config: CPPNConfig, weights: list[Tensor]) -> HookedCPPN:
    names = [*(f"layers.{i}.W" for i in range(config.n_layers)), "unembed.W_U"]
    return HookedCPPN.from_weights(config, dict(zip(names, weights, strict=True))).to(weights[0].device)


def _proved(before: HookedCPPN, after: HookedCPPN, left: list[Tensor], size: int) -> Pruned:
    """The proof; ``left`` are the whole network's matrices, with 0 where a link is gone."""
    error, difference = _difference(_pixels(before, size), after, size)
    mask = {name: W != 0 for (name, _), W in zip(before.named_parameters(), left, strict=False)}
    return Pruned(after, _units(after), _units(before), _links(after), _links(before), difference, error, mask)


def _pixels(cppn: HookedCPPN, size: int) -> Tensor:
    return cppn.draw(size).pixels.double()


def _difference(before: Tensor, after: HookedCPPN, size: int) -> tuple[float, float]:
    """Mean squared and largest difference between a picture and that of a network."""
    change = _pixels(after, size) - before
    return float(change.square().mean()), float(change.abs().max())


def _units(cppn: HookedCPPN) -> int:
    """Number of slots with a weight that is not 0, in or out."""
    return int(sum(((W != 0).any(0) | (after != 0).any(1)).sum() for W, after in pairwise(cppn.matrices)))


def _links(cppn: HookedCPPN) -> int:
    return int(sum((W != 0).sum() for W in cppn.matrices))
