"""Gradients of a CPPN that draws an image: some pixels at a time through the whole network, forward and backward."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from interp.hooked import HookedCPPN, HookedModel
from interp.hooked.cppn.config import OUTPUTS, CPPNConfig
from interp.tasks import Task
from interp.tasks.losses import Regression
from interp.training.by_hand.parts import Parts
from interp.training.by_hand.pixels import ColourError
from interp.training.by_hand.slots import in_place

Parameters = Mapping[str, Tensor]
Pair = tuple[Tensor, Tensor]
PIXELS = 4096  # at once: more would leave the processor's caches, fewer take as long in Python as in arithmetic
LANES = 4  # parts of the image that may be computed side by side
APART = 16  # numbers between rows
COLOURS = "red", "green", "blue"
DTYPES = (torch.float32, torch.float64)


class CPPNGradients:
    """Gradients of `HookedCPPN`s, member after member.

    Args:
        model: the network; only its form matters.
        task: what it is trained on, with the squared error of colours.
        members: networks in the stack.
    """

    def __init__(self, model: HookedModel, task: Task, members: int):
        assert isinstance(model, HookedCPPN)
        self._config = model.config
        self._gradients: dict[str, Tensor] = {}
        self._parts = Parts()
        self._tiles: dict[tuple[int, int], _Tile] = {}  # by lane and number of pixels

    @staticmethod
    def applies(model: HookedModel, task: Task) -> bool:
        """Whether this computes the gradient of a network on a task: any CPPN without hooks that draws colours."""
        if type(model) is not HookedCPPN or type(task.criterion) is not Regression or task.width != len(COLOURS):
            return False
        return model.dtype in DTYPES and model.device.type == "cpu" and not model.watched_sites()

    @torch.no_grad()
    def __call__(
        self,
        parameters: Parameters,
        inputs: Tensor,
        labels: Tensor,
        weights: Tensor | None,
        noise: Tensor | None = None,
    ) -> Parameters:
        """See `ByHand`."""
        if not self._gradients:
            self._gradients = {name: torch.empty_like(p, requires_grad=False) for name, p in parameters.items()}
        n, found = labels.shape[-2], list(self._gradients.values())
        with self._parts.step():
            for member in range(len(found[0])):
                own = [(p.detach()[member], p.detach()[member].T) for p in parameters.values()]
                points, colours = (x if inputs.ndim == 2 else x[member] for x in (inputs, labels))
                share = None if weights is None else weights[member].to(points.dtype)
                for total, gradient in zip(found, self._member(own, points, colours, share), strict=True):
                    total[member] = gradient
            for total in found:
                total.mul_(2 / len(COLOURS) if weights is not None else 2 / (len(COLOURS) * n))
        return self._gradients

    def _member(self, own: list[Pair], points: Tensor, colours: Tensor, share: Tensor | None) -> list[Tensor]:
        """The sums over all pixels, of one network."""
        starts = range(0, len(points), PIXELS)
        # always the same lanes, so that the sums do not depend on the number of threads
        lanes = [part.tolist() for part in torch.tensor(starts).tensor_split(min(LANES, len(starts)))]
        found = [[torch.zeros_like(weight) for weight, _ in own] for _ in lanes]

        @torch.no_grad()  # which holds in one thread only
        def add(lane: int) -> None:
            for start in lanes[lane]:
                part = slice(start, start + PIXELS)
                x, target = points[part].T, colours[part].T
                tile = self._tile(lane, x)
                tile.add(own, x, target, None if share is None else share[part], found[lane])

        self._parts.run([partial(add, lane) for lane in range(len(lanes))])
        return [torch.stack(parts).sum(0) if len(lanes) > 1 else parts[0] for parts in zip(*found, strict=True)]

    def _tile(self, lane: int, x: Tensor) -> _Tile:
        key = lane, x.shape[1]
        if key not in self._tiles:
            self._tiles[key] = _Tile(self._config, key[1], x)
        return self._tiles[key]


class _Tile:
    """Memory for some pixels in every layer; slots along rows, pixels along the last axis.

    Args:
        config: of the network.
        n: pixels.
        like: gives dtype and device.
    """

    def __init__(self, config: CPPNConfig, n: int, like: Tensor):
        self._layers = [_rows(config.width, n, like) for _ in range(config.n_layers)]
        self._gradients = [_rows(config.width, n, like) for _ in "ab"]
        self._hsv, self._error = _rows(len(OUTPUTS), n, like), ColourError(like, n)
        stops = torch.tensor([0, *(k for _, k in config.groups)]).cumsum(0).tolist()
        spans = [slice(*at) for at in pairwise(stops)]
        functions = [in_place(name, like.new_empty(k, n)) for name, k in config.groups]
        curved = [(f, at) for f, at in zip(functions, spans, strict=True) if f is not None]
        # views made once, since making them takes as long as the arithmetic of a group
        self._curved = [[(f, z[at], torch.empty_like(z[at])) for f, at in curved] for z in self._layers]
        self._back = [
            [(self._gradients[i % 2][at], slope) for (_, at), (_, _, slope) in zip(curved, own, strict=True)]
            for i, own in enumerate(self._curved)
        ]

    def add(self, weights: list[Pair], x: Tensor, target: Tensor, factor: Tensor | None, into: list[Tensor]) -> None:
        """Add the gradients of the weights over these pixels.

        Args:
            weights: of every layer ``[in, out]`` and transposed.
            x: coordinates ``[4, n]``.
            target: colours ``[3, n]``.
            factor: see `ColourError`.
            into: what is added to, one for every layer.
        """
        inputs = [x, *self._layers]
        for i, layer in enumerate(self._layers):
            torch.mm(weights[i][1], inputs[i], out=layer)
            for function, z, slope in self._curved[i]:
                function(z, slope)
        torch.mm(weights[-1][1], inputs[-1], out=self._hsv)
        self._error.backward(self._hsv, target, factor)
        g = self._hsv
        for i in reversed(range(len(weights))):
            into[i].addmm_(inputs[i], g.T)
            if i:
                g = torch.mm(weights[i][0], g, out=self._gradients[(i - 1) % 2])
                for part, slope in self._back[i - 1]:
                    part.mul_(slope)


def _rows(count: int, n: int, like: Tensor) -> Tensor:
    """``[count, n]``; rows whose distance is a power of two would get in each other's way in the processor's cache."""
    return like.new_empty(count, n + APART)[:, :n]
