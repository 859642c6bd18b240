"""Many pictures of one CPPN with changed weights, computing only what follows each change.

Changes of what one unit reads are grouped by unit: what precedes the unit is computed once for all of them, and after it only
curved units that it reaches (`circuits.weight_sweeps.curved_graph`). A change that reaches nothing, or whose inputs are all 0,
needs no rendering. Pixels are computed in pieces that stay in the cache, and pictures in blocks, so that no more than a
block is ever held.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from circuits.weight_sweeps.curved_graph import CURVES, Path, Unfolded
from circuits.weight_sweeps.directions import Direction
from interp.errors import InterpError
from interp.hooked import HookedCPPN
from interp.hooked.cppn.activation_functions import activate
from interp.hooked.cppn.colour import rgb_planes
from interp.hooked.cppn.model import product
from interp.hooked.cppn.plane import coordinates, require_edges

PIECE = 1 << 17  # pictures times pixels that are computed at a time
BLOCK_BYTES = 24 << 20  # of the pictures of a block
BASE_BYTES = 1 << 30  # of the activations of the unchanged network


@dataclass(frozen=True)
class Block:
    """Pictures of some directions.

    Attributes:
        directions: their places in the list that was given.
        pictures: ``[direction, step, 3, row, col]``; None where none of the steps changes the picture.
    """

    directions: tuple[int, ...]
    pictures: Tensor | None


class Renderer:
    """Draws a CPPN with changed weights.

    Args:
        cppn: left as it is.
        size: pixels along each edge.

    Attributes:
        base: the picture of the unchanged network ``[3, row, col]``.
        settled: number of directions of the last call of `pictures` that needed no rendering.

    Raises:
        InterpError: a size that no picture can have, or activations of the unchanged network of more than `BASE_BYTES`.
    """

    @torch.no_grad()
    def __init__(self, cppn: HookedCPPN, size: int = 64):
        require_edges(size, size)
        config, self.size, self.settled = cppn.config, size, 0
        needed = 2 * config.n_layers * config.width * size**2 * cppn.dtype.itemsize
        if needed > BASE_BYTES:
            raise InterpError(
                f"pictures of {size} x {size} of this network need {needed / 2**30:.1f} GiB for its activations; the limit is "
                f"{BASE_BYTES >> 30} GiB: take a smaller size"
            )
        self._memory = cppn.W_U.new_empty(0)
        self.weights = [W.detach() for W in cppn.matrices]
        self.names = [n for n, _ in cppn.named_parameters()]
        self.groups, self.kinds = config.groups, config.kinds
        self.unfolded = Unfolded(cppn)
        x = coordinates(size, size, dtype=cppn.dtype).to(cppn.device).T.contiguous()  # [4, pixel]
        self.values, self.sums = [x], []  # of every layer: what its units give, and what they read [slot, pixel]
        for W in self.weights[:-1]:
            z = W.T @ x
            x = activate(z, self.groups)
            self.sums.append(z)
            self.values.append(x)
        self.sums.append(self.weights[-1].T @ x)
        units = self.unfolded.units  # their values as in `CURVES`, in the unchanged network
        self.curved = [CURVES[self.kinds[slot]][0](self.sums[i][slot].clone()) for i, slot in units]
        self.base = torch.stack(_colour(self.sums[-1])).reshape(3, size, size)

    @torch.no_grad()  # as a decorator it is off again between the blocks, where the caller's own code runs
    def pictures(self, directions: Sequence[Direction], steps: Tensor) -> Iterator[Block]:
        """The pictures of all directions at all their steps, in blocks, in the order of the layers.

        Args:
            directions: of this network.
            steps: how far the weights move, ``[step]`` for all, or ``[direction, step]``.

        Yields:
            pictures of some directions each.

        Raises:
            InterpError: a direction of another network, or steps that are not one row per direction.
        """
        steps = torch.as_tensor(steps, dtype=self.base.dtype, device=self.base.device)
        steps = steps.expand(len(directions), -1) if steps.ndim == 1 else steps
        if steps.ndim != 2 or len(steps) != len(directions):
            raise InterpError(f"steps are [step] or [direction, step], got {list(steps.shape)} for {len(directions)}")
        self.settled = 0
        jobs: dict[tuple[int, int], list[int]] = defaultdict(list)
        for i, direction in enumerate(directions):
            jobs[self._layer(direction), -1 if direction.column is None else direction.column].append(i)
        for (layer, column), own in sorted(jobs.items()):
            if column < 0:
                yield from self._whole(max(layer, 0), directions, own, steps)
            else:
                yield from self._column(layer, column, directions, own, steps)

    def _layer(self, direction: Direction) -> int:
        """The layer in which a direction starts; -1 for the whole network."""
        if direction.parameter is None:
            total = sum(W.numel() for W in self.weights)
            if direction.vector.shape != (total,):
                raise InterpError(
                    f"a direction of {len(direction.vector)} weights does not fit a network of {total:,} weights"
                )
            return -1
        if direction.parameter not in self.names:
            raise InterpError(
                f"the direction {direction} does not belong to this network (matrices: {', '.join(self.names)})"
            )
        layer = self.names.index(direction.parameter)
        shape = tuple(self.weights[layer].shape)
        expected = shape if direction.column is None else shape[:1]
        if tuple(direction.vector.shape) != expected or (direction.column or 0) >= shape[1]:
            raise InterpError(f"the direction {direction} does not fit weights of {list(shape)}")
        return layer

    def _column(
        self, layer: int, column: int, directions: Sequence[Direction], own: list[int], steps: Tensor
    ) -> Iterator[Block]:
        """Changes of what one unit reads."""
        vectors = torch.stack([directions[i].vector for i in own]).to(self.base)
        feeds = self.values[layer].abs().amax(1) > 0
        live = (vectors[:, feeds] != 0).any(1)
        last = layer == len(self.weights) - 1
        path = None if last else self.unfolded.path(layer, column)
        if path is not None and path.settled:
            live = torch.zeros_like(live)
        dead = [i for i, alive in zip(own, live.tolist(), strict=True) if not alive]
        self.settled += len(dead)
        if dead:
            yield Block(tuple(dead), None)
        rendered = live.nonzero().squeeze(1).tolist()
        if not rendered:
            return
        rest = self.base
        if path is not None:
            first = CURVES[path.kind][0](self.sums[layer][column].clone())
            rest = path.rest(torch.stack([first, *(self.curved[k] for k in path.reached)]), self.sums)
        for part in _blocks(rendered, steps.shape[1], self.base):
            ids = [own[k] for k in part]
            out = self._pieces(
                steps[ids],
                lambda asked, piece, part=part: self._moved(layer, column, path, rest, vectors[part], asked, piece),
            )
            yield Block(tuple(ids), out)

    def _pieces(self, steps: Tensor, hsv: Callable[[Tensor, slice], Tensor]) -> Tensor:
        """Pictures from their hue, saturation and value in pieces of the plane.

        Args:
            steps: ``[direction, step]``.
            hsv: given steps and a piece of the plane. It is not asked for steps of 0, where the picture is the base.

        Returns:
            ``[direction, step, 3, row, col]``.
        """
        pixels = self.size**2
        out = self.base.new_empty(*steps.shape, 3, pixels)
        moving = (steps != 0).any(0)
        out[:, ~moving] = self.base.flatten(1)
        places = moving.nonzero().squeeze(1).tolist()
        asked = steps[:, moving]
        width = max(1, PIECE // max(1, asked.numel()))
        for start in range(0, pixels if places else 0, width):
            piece = slice(start, min(start + width, pixels))
            for channel, plane in enumerate(_colour(hsv(asked, piece))):
                for k, place in enumerate(places):
                    out[:, place, channel, piece] = plane.unflatten(0, asked.shape)[:, k]
        return out.reshape(*steps.shape, 3, self.size, self.size)

    def _moved(
        self, layer: int, column: int, path: Path | None, rest: Tensor, vectors: Tensor, steps: Tensor, piece: slice
    ) -> Tensor:
        """Hue, saturation and value ``[3, picture, pixel]`` where one unit reads something else."""
        z = self.sums[layer][column, piece]
        moved = steps.unsqueeze(-1) * (vectors @ self.values[layer][:, piece]).unsqueeze(1)
        moved = moved.flatten(0, 1)  # [picture, pixel]
        if path is None:  # the unit is an output
            hsv = self.sums[layer][:, piece].unsqueeze(1).repeat(1, len(moved), 1)
            hsv[column] += moved
            return hsv
        rows = self._scratch(path.stages[-1].last * moved.numel()).view(-1, *moved.shape)
        CURVES[path.kind][0](torch.add(moved, z, out=rows[0]))
        flat = rows.flatten(1)
        for block in path.blocks():
            start, stop = block[0].first, block[-1].last
            early = torch.cat([stage.arriving[:, :start] for stage in block])
            torch.mm(early, flat[:start], out=flat[start:stop])
            for stage in block:
                own, late = rows[stage.first : stage.last], stage.arriving[:, start:]
                if late.shape[1]:
                    flat[stage.first : stage.last].addmm_(late, flat[start : stage.first])
                own += rest[stage.first - 1 : stage.last - 1, piece].unsqueeze(1)
                for kind, first, last in stage.runs:
                    CURVES[kind][0](own[first:last])
        return rows[-3:]

    def _scratch(self, numbers: int) -> Tensor:
        """Memory for one piece, which the next one writes over: to ask the system for it anew costs as much as a layer."""
        if self._memory.numel() < numbers:
            self._memory = self.base.new_empty(numbers)
        return self._memory[:numbers]

    def _whole(self, layer: int, directions: Sequence[Direction], own: list[int], steps: Tensor) -> Iterator[Block]:
        """Changes of a whole matrix, or of all of them: everything from ``layer`` on is computed again."""
        names, x = dict(zip(self.names, self.weights, strict=True)), self.values[layer]
        for part in _blocks(own, steps.shape[1], self.base):
            changes = [directions[i].changes(names) for i in part]
            stacks = {name: torch.stack([c[name] for c in changes]) for name in changes[0]}
            out = self._pieces(
                steps[part],
                lambda asked, piece, s=stacks: self._through(self._moved_weights(layer, s, asked), x[:, piece]),
            )
            yield Block(tuple(part), out)

    def _moved_weights(self, layer: int, changes: dict[str, Tensor], steps: Tensor) -> list[Tensor]:
        """The weights from a layer on, ``[in, out]``, or ``[picture, in, out]`` where they move."""
        return [
            (W + steps[:, :, None, None] * changes[name].unsqueeze(1)).flatten(0, 1) if name in changes else W
            for name, W in zip(self.names[layer:], self.weights[layer:], strict=True)
        ]

    def _through(self, weights: Sequence[Tensor], x: Tensor) -> Tensor:
        """Hue, saturation and value ``[3, picture, pixel]`` of a stack of networks whose first layer differs."""
        for i, W in enumerate(weights):
            x = activate(x, self.groups) if i else x
            x = product(W, x) if W.ndim == 3 else W.mT @ x
        return x.transpose(0, 1)


def _colour(hsv: Tensor) -> list[Tensor]:
    """Red, green and blue of ``hsv [3, ...]``; where nothing has a colour, they are one plane."""
    h, s, v = hsv
    if not bool((s > 0).any()):
        return [v.abs().clamp(max=1)] * 3
    return rgb_planes(h, s, v)


def _blocks(own: list[int], k: int, base: Tensor) -> Iterator[list[int]]:
    size = max(1, BLOCK_BYTES // (base.numel() * base.element_size() * max(1, k)))
    for start in range(0, len(own), size):
        yield own[start : start + size]
