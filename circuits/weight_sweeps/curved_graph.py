"""A CPPN as a graph of its curved units: how a change of one unit spreads, without the linear slots between.

Slots of kind ``cache`` and ``identity`` only add a matrix product, so that every curved unit is a function of all
earlier ones: with T the transfer through linear slots alone, z' = z + T^T (h' - h). Only curved units that a change reaches,
and that the picture depends on, have to be computed again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from interp.hooked import HookedCPPN
from interp.hooked.cppn.activation_functions import LINEAR


def _gaussian_(z: Tensor) -> Tensor:
    return torch.addcmul(z.new_zeros(()), z, z, value=-1, out=z).exp_()


# in place, and up to a factor and a constant: 2 exp(-z^2) - 1 is taken as exp(-z^2), with the factor beside it
CURVES: dict[str, tuple[Callable[[Tensor], Tensor], float]] = {
    "cos": (torch.cos_, 1.0),
    "gaussian": (_gaussian_, 2.0),
    "relu": (torch.relu_, 1.0),
    "sigmoid": (torch.sigmoid_, 2.0),
    "sin": (torch.sin_, 1.0),
    "tanh": (torch.tanh_, 1.0),
    **{kind: (lambda z: z, 1.0) for kind in LINEAR},
}


BLOCK_ROWS = 16  # a product with fewer rows leaves the processor waiting


@dataclass(frozen=True)
class Stage:
    """Curved units of one layer that a change reaches, or the three outputs.

    Attributes:
        layer: their layer.
        slots: their places in it.
        runs: neighbours of one kind: the kind, and where they begin and end.
        arriving: ``[unit, source]``: how much of each earlier row of the path arrives at each.
        first: place of their first row in the path.
        block: place of the first row of their block.
    """

    layer: int
    slots: tuple[int, ...]
    runs: tuple[tuple[str, int, int], ...]
    arriving: Tensor
    first: int
    block: int

    @property
    def last(self) -> int:
        """Place behind their last row."""
        return self.first + len(self.slots)


@dataclass(frozen=True)
class Path:
    """What is computed again when one unit changes: the unit itself as the first row, then stage by stage.

    Attributes:
        kind: of the changed unit.
        reached: places, among all curved units, of the rows between the first and the outputs.
        stages: in their order; the last are hue, saturation and value, which no curve follows.
        settled: the picture does not depend on the unit.
    """

    kind: str
    reached: tuple[int, ...]
    stages: tuple[Stage, ...]
    settled: bool

    def rest(self, base: Tensor, sums: Sequence[Tensor]) -> Tensor:
        """What all rows but the first read from units outside the path, whatever the change.

        Args:
            base: the path's rows without the outputs, in the unchanged network.
            sums: of every layer, what its units read in the unchanged network.

        Returns:
            ``[row, pixel]``.
        """
        rest = torch.cat([sums[stage.layer][list(stage.slots)] for stage in self.stages])
        arriving = base.new_zeros(len(rest), len(base))
        for stage in self.stages:
            arriving[stage.first - 1 : stage.last - 1, : stage.first] = stage.arriving
        return torch.addmm(rest, arriving, base, alpha=-1)

    def blocks(self) -> list[tuple[Stage, ...]]:
        """Stages whose earlier rows are added up in one product, which is faster than one for each."""
        return [tuple(members) for _, members in groupby(self.stages, key=lambda s: s.block)]


class Unfolded:
    """The transfers of a CPPN.

    Attributes:
        units: layer and slot of every curved unit, in order.
        transfer: ``[curved, curved + 3]``, from each curved unit's value (as in `CURVES`, without factor and constant) to
            the input of each later one, and to hue, saturation and value.
    """

    def __init__(self, cppn: HookedCPPN):
        weights = [W.detach().double().cpu() for W in cppn.matrices]
        self.kinds, self._like = cppn.config.kinds, cppn.W_U
        self.n_layers = cppn.config.n_layers
        self.curved = torch.tensor([kind not in LINEAR for kind in self.kinds])
        self.units = [(i, j) for i in range(len(weights) - 1) for j in self.curved.nonzero().squeeze(1).tolist()]
        self._from = _transfers(weights, self.curved)
        self.transfer = torch.stack([self._row(i, j) for i, j in self.units]) if self.units else torch.zeros(0, 3)
        reaches = self.transfer[:, len(self.units) :].ne(0).any(1)
        for k in range(len(self.units) - 1, -1, -1):  # later units first
            reaches[k] |= bool((self.transfer[k, : len(self.units)].ne(0) & reaches).any())
        self.reaches = reaches

    def _row(self, layer: int, slot: int) -> Tensor:
        """What a unit sends to every curved unit and to the outputs ``[curved + 3]``."""
        return self._from[layer][slot] * CURVES[self.kinds[slot]][1]

    def path(self, layer: int, slot: int) -> Path:
        """Which units are computed again when one unit's value changes.

        Args:
            layer: of the changed unit.
            slot: its place in the layer.

        Returns:
            the units, stage by stage.
        """
        n, own = len(self.units), self._row(layer, slot)
        reached: list[int] = []
        hit = own[:n].ne(0) & self.reaches
        for k in range(n):
            if hit[k]:
                reached.append(k)
                hit |= self.transfer[k, :n].ne(0) & self.reaches
        sources = torch.stack([own, *(self.transfer[k] for k in reached)]).to(self._like)  # [row, curved + 3]
        stages, first, block = [], 1, 1
        for _, members in groupby(reached, key=lambda k: self.units[k][0]):
            rows = list(members)
            kinds = [self.kinds[self.units[k][1]] for k in rows]
            if first + len(rows) - block > BLOCK_ROWS:
                block = first
            slots = tuple(self.units[k][1] for k in rows)
            arriving = sources[:first, rows].T.contiguous()
            stages.append(Stage(self.units[rows[0]][0], slots, _runs(kinds), arriving, first, block))
            first += len(rows)
        outputs = sources[:, n:].T.contiguous()
        stages.append(Stage(self.n_layers, (0, 1, 2), (), outputs, first, block))
        return Path(self.kinds[slot], tuple(reached), tuple(stages), not bool(outputs.any()))


def _transfers(weights: list[Tensor], curved: Tensor) -> list[Tensor]:
    """By layer: from every slot's value to all curved units (0 for earlier ones) and the outputs ``[slot, curved + 3]``."""
    n_layers, n = len(weights) - 1, int(curved.sum())
    found: list[Tensor] = []
    for layer in reversed(range(n_layers)):
        W = weights[layer + 1]
        rows = W.new_zeros(W.shape[0], n_layers * n + 3)
        if layer == n_layers - 1:
            rows[:, n_layers * n :] = W
        else:
            rows += W[:, ~curved] @ found[-1][~curved]
            rows[:, (layer + 1) * n : (layer + 2) * n] = W[:, curved]
        found.append(rows)
    return found[::-1]


def _runs(kinds: list[str]) -> tuple[tuple[str, int, int], ...]:
    found, start = [], 0
    for kind, members in groupby(kinds):
        stop = start + len(list(members))
        found.append((kind, start, stop))
        start = stop
    return tuple(found)
