"""Pruning an image network (CPPN): units and links without an effect on its picture are removed, with the proof."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from circuits.bisection import largest
from circuits.weight_sweeps.directions import single_entries
from circuits.weight_sweeps.render import Renderer
from interp.errors import InterpError, require_range
from interp.hooked import CPPNConfig, HookedCPPN
from interp.hooked.cppn.config import format_arch


@dataclass(frozen=True)
class Pruned:
    """A smaller network, and the proof that it draws the same picture.

    Attributes:
        cppn: the smaller network.
        units, units_before: slots that are used, of all layers; copies among them.
        links, links_before: weights that are not 0.
        difference: the largest difference of the two pictures, over pixels and colours, from 0 to 1.
        mean_square: their mean squared difference.
    """

    cppn: HookedCPPN
    units: int
    units_before: int
    links: int
    links_before: int
    difference: float
    mean_square: float


def without_unused(cppn: HookedCPPN, size: int) -> Pruned:
    weights = [W.detach().clone() for W in cppn.matrices]
    zero = [(values == 0).all(1) for values in Renderer(cppn, size).values]  # of the inputs and every layer
    for W, nothing in zip(weights, zero, strict=True):
        W[nothing] = 0
    needed = torch.ones(3, dtype=torch.bool, device=cppn.device)
    for i in reversed(range(len(weights))):
        weights[i][:, ~needed] = 0
        needed = (weights[i] != 0).any(1)
    return _proved(cppn, compact(cppn.config, weights), size)


def drop_links(cppn: HookedCPPN, tolerance: float = 1e-4, size: int = 256) -> Pruned:
    """Remove, besides, as many links as the picture can do without, those that change it least first.

    Links are ordered by the mean squared change that the picture makes without each one alone; how many of them can go
    together is found by bisection, which supposes that the error grows with their number.

    Args:
        tolerance: mean squared difference that the smaller network's picture may have.
    """
    require_range("tolerance", tolerance, 0, 1)
    entries = single_entries(cppn)
    if not entries:
        raise InterpError("the network has no link, so there is none to remove")
    weights = dict(cppn.named_parameters())
    values = torch.stack([weights[e.parameter or ""].detach()[e.row, e.column] for e in entries])
    renderer = Renderer(cppn, 64)
    effects = torch.zeros(len(entries), dtype=torch.float64)
    for block in renderer.pictures(entries, -values.unsqueeze(1)):
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

    def enough(n: int) -> bool:
        error, _ = _difference(cppn, _network(cppn.config, without(n)), size)
        return error <= tolerance

    smaller = without_unused(_network(cppn.config, without(largest(len(entries), enough))), size).cppn
    return _proved(cppn, smaller, size)


def compact(config: CPPNConfig, weights: list[Tensor]) -> HookedCPPN:
    """The same function without the slots that nothing reads or that read nothing of use: as few as the fullest layer needs."""
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
        groups, offset = [(config.groups[0][0], 1)], 1  # a network of no unit draws black; keep one slot
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


def _proved(before: HookedCPPN, after: HookedCPPN, size: int) -> Pruned:
    error, difference = _difference(before, after, size)
    return Pruned(after, _units(after), _units(before), _links(after), _links(before), difference, error)


def _difference(before: HookedCPPN, after: HookedCPPN, size: int) -> tuple[float, float]:
    """Mean squared and largest difference of two networks' pictures."""
    change = after.draw(size).pixels.double() - before.draw(size).pixels.double()
    return float(change.square().mean()), float(change.abs().max())


def _units(cppn: HookedCPPN) -> int:
    """Slots that something reads, or that read something."""
    return int(sum(((W != 0).any(0) | (after != 0).any(1)).sum() for W, after in pairwise(cppn.matrices)))


def _links(cppn: HookedCPPN) -> int:
    return int(sum((W != 0).sum() for W in cppn.matrices))
