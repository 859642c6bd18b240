"""Moves of any network: the whole network runs again for each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.func import functional_call

from circuits.weight_sweeps.directions import Direction
from circuits.weight_sweeps.output_change import OutputChange
from interp.activations.batches import batches, placed
from interp.hooked.base import HookedModel

BATCH = 4096  # examples run at once


@runtime_checkable
class Moves(Protocol):
    """How the outputs of one network change when its weights move."""

    base: Tensor

    def change(self, direction: Direction, step: float) -> OutputChange:
        """The change of all outputs after a step along a direction."""
        ...


class PlainMoves:
    """Moves of any network.

    Args:
        model: left as it is.
        inputs: all examples.
        read: what the task reads of the model's outputs.

    Attributes:
        base: outputs of the unchanged network ``[n, width]``.
    """

    def __init__(self, model: HookedModel, inputs: Tensor, read: Callable[[Tensor], Tensor]):
        self._model, self._inputs, self._read = model, inputs, read
        self._weights = {name: p.detach() for name, p in model.named_parameters()}
        self.base = self._run(self._weights)

    def change(self, direction: Direction, step: float) -> OutputChange:
        """The change of all outputs after a step along a direction."""
        moved = {name: self._weights[name] + step * c for name, c in direction.changes(self._weights).items()}
        return OutputChange(self._run({**self._weights, **moved}) - self.base)

    @torch.no_grad()
    def _run(self, weights: dict[str, Tensor]) -> Tensor:
        parts = (placed(part, self._model) for part in batches(self._inputs, BATCH))
        return torch.cat([self._read(functional_call(self._model, weights, (part,))) for part in parts])
