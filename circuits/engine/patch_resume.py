"""Patching cells by resuming the model where their changes arrive, linearly: what lies before them never runs again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from circuits.engine.budget import inputs_at_once, slices
from circuits.engine.clean_corrupted import Pair
from circuits.engine.patch_cells import Cells
from circuits.interventions.layout import Features
from interp.activations.capture import Activations, capture
from interp.hooked.transformer.staggered import Departures, departs

CPU_PIECE = 8 << 20  # bytes that run again at once on a CPU: more leave its caches, and are mapped anew each time

Found = tuple[list[int], Tensor]  # numbers of cells, and the metric's mean with each of them patched


@dataclass(frozen=True)
class Written:
    """The cells of a site, and what patching them changes in the stream behind it.

    Attributes:
        cells: of the site.
        numbers: their rows in the table.
        stream: the site where changes arrive.
        base: the stream in the corrupted run ``[batch, ..., d]``.
        shape: of the site's activation.
        change: clean minus corrupted, of the site's features ``[batch, ..., feature]``.
        rows: what a feature writes into the stream ``[feature, d]``; None where the site is the stream itself.
    """

    cells: Cells
    numbers: range
    stream: str
    base: Tensor
    shape: torch.Size
    change: Tensor
    rows: Tensor | None

    def mask(self, part: Sequence[int]) -> Tensor:
        """Which features some cells contain.

        Args:
            part: numbers of cells.

        Returns:
            ``[k, batch, ..., feature]``; axes along which a cell has all or nothing have length 1.
        """
        axes = ("cell", *self.cells.axes)
        mask = self.cells.mask(part, self.shape, self.change.device)
        whole = (len(part), *self.shape)
        sizes = [w if a in ("cell", "head", "unit") else -1 for a, w in zip(axes, whole, strict=True)]
        return Features(axes).last(mask.expand(sizes)).movedim(1, 0)

    def added(self, change: Tensor) -> Tensor:
        """What a change of the features ``[..., feature]`` adds to the stream ``[..., d]``."""
        return change if self.rows is None else change @ self.rows

    @property
    def by_position(self) -> dict[int, list[int]]:
        """The cells of each position; the same choice of heads and units at every one."""
        place = self.cells.by.index("pos")
        found: dict[int, list[int]] = {}
        for cell, index in enumerate(self.cells.indices):
            found.setdefault(index[place], []).append(cell)
        return found


def from_the_site(pair: Pair, one: Written, max_bytes: int) -> Iterator[Found]:
    """Patch cells by running the network again from their site on, on the batch tiled by cells.

    Args:
        pair: the two runs.
        one: the cells of a site.
        max_bytes: of activations at once.

    Yields:
        cells, and the metric with each of them patched.
    """
    at_once = max(1, inputs_at_once(pair.evaluation, max_bytes) // len(pair.corrupted))
    for piece in slices(len(one.numbers), at_once):
        part = list(range(piece.start, piece.stop))
        x = one.base + one.added(one.change * one.mask(part))
        outputs = pair.evaluation.model.resume(one.stream, x.flatten(0, 1)).unflatten(0, x.shape[:2])
        yield [one.numbers[c] for c in part], pair.evaluation.judge(outputs).mean((1, 2))


def from_the_position(pair: Pair, sites: Sequence[Written], run: Activations, max_bytes: int) -> Iterator[Found]:
    """Patch cells of a causal transformer by running only their position and later ones again, all sites together.

    Args:
        pair: the two runs.
        sites: the cells of every site, each cell at one position.
        run: the corrupted run, with its outputs.
        max_bytes: of activations at once.

    Yields:
        cells, and the metric with each of them patched.
    """
    model, outputs = pair.evaluation.model, run.outputs
    assert departs(model)
    assert outputs is not None
    departures = Departures(model, run, outputs)
    cost = _Cost.of(pair, outputs, max_bytes)
    places = [one.by_position for one in sites]
    masks = [_at_one_position(one, next(iter(place.values()))) for one, place in zip(sites, places, strict=True)]
    for position in sorted({p for place in places for p in place}):
        # (site, cell, which of the masks) of every cell there, sites in the order of the network
        there = [(s, c, m) for s, place in enumerate(places) for m, c in enumerate(place.get(position, ()))]
        for piece in slices(len(there), cost.at_once(position, model.config.n_layers)):
            starts, numbers = [], []
            for s in sorted({s for s, _, _ in there[piece]}):
                one, own = sites[s], [(c, m) for t, c, m in there[piece] if t == s]
                change = one.change[:, position] * masks[s][own[0][1] : own[-1][1] + 1]
                starts.append((one.stream, one.base[:, position] + one.added(change)))
                numbers += [one.numbers[c] for c, _ in own]
            yield numbers, pair.evaluation.judge(departures.outputs(starts, position)).mean((1, 2))


def _at_one_position(one: Written, cells: list[int]) -> Tensor:
    """Which features the cells of one position contain there ``[k, 1, feature]``."""
    position = one.cells.indices[cells[0]][one.cells.by.index("pos")]
    return one.mask(cells)[:, :, position]


@dataclass(frozen=True)
class _Cost:
    """Bytes that running again from a position on needs.

    Attributes:
        limit: bytes that all runs may use.
        later: one block's activations, per position that runs again.
        heads: queries, keys and values of all positions in one block.
        outputs: of all positions.
    """

    limit: int
    later: int
    heads: int
    outputs: Tensor

    @classmethod
    def of(cls, pair: Pair, outputs: Tensor, max_bytes: int) -> _Cost:
        block = capture(pair.evaluation.model, pair.corrupted[:1], "blocks.0.*")
        heads = sum(block[f"blocks.0.attn.hook_{n}"].nbytes for n in "qkv")
        n, n_pos = outputs.shape[:2]
        return cls(max_bytes, n * sum(t.nbytes for t in block.values()) // n_pos, n * heads, outputs)

    def at_once(self, position: int, n_layers: int) -> int:
        """How many runs from a position on fit at once."""
        later = self.later * (self.outputs.shape[1] - position)
        fit = self.limit // (later + self.heads * n_layers + 2 * self.outputs.nbytes)
        if self.outputs.device.type == "cpu":  # small pieces stay in its caches
            fit = min(fit, CPU_PIECE // (later + self.heads))
        return max(1, fit)
