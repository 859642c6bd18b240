"""Moves of a multilayer perceptron: only what follows the changed units is computed, exactly where it is linear."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from circuits.weight_sweeps.directions import Direction
from circuits.weight_sweeps.output_change import OutputChange
from circuits.weight_sweeps.plain_moves import PlainMoves
from interp.activations.batches import placed
from interp.hooked.mlp.model import HookedMLP


class MLPMoves:
    """Moves of an MLP.

    A column of a layer is what one unit reads: after it only that unit changes, and the change of the outputs is a product of
    two vectors if no hidden layer follows.

    Args:
        model: left as it is.
        inputs: all examples.
        read: what the task reads of the model's outputs.

    Attributes:
        base: outputs of the unchanged network ``[n, width]``.
    """

    def __init__(self, model: HookedMLP, inputs: Tensor, read: Callable[[Tensor], Tensor]):
        self._given = (model, inputs, read)
        self._model, self._inputs = model, placed(inputs, model)
        self._layers = [model.layer(i) for i in range(len(model.layers))]
        with torch.no_grad():
            outputs, acts = model.run_with_cache(self._inputs)
        self.base = read(outputs)
        self._reads = [acts["hook_input"], *(acts[f"layers.{i}.hook_post"] for i in range(len(self._layers)))]
        self._pre = [acts[f"layers.{i}.hook_pre"] for i in range(len(self._layers))]
        self._out = read(model.W_U.detach())

    @cached_property
    def _plain(self) -> PlainMoves:
        return PlainMoves(*self._given)

    @torch.no_grad()
    def change(self, direction: Direction, step: float) -> OutputChange:
        """The change of all outputs after a step along a direction."""
        name, column = direction.parameter, direction.column
        if name is None or column is None or (name == "embed.W_E" and self._model.config.combine == "product"):
            return self._plain.change(direction, step)
        vector = direction.vector.to(self.base) * step
        if name == "embed.W_E":
            return self._after(0, *self._embedded(vector, column))
        if name == "unembed.W_U":
            return OutputChange.of_output(self._reads[-1] @ vector, column, self.base.shape[1])
        layer = int(name.split(".")[1])
        return self._unit(layer, column, self._reads[layer] @ vector)

    def _embedded(self, vector: Tensor, column: int) -> tuple[Tensor, Tensor]:
        """How much each operand's unit changes ``[n, operand]``, and what reads it ``[operand, unit]``."""
        config, embed = self._model.config, self._model.embed
        if embed.per_operand:
            operands = torch.arange(self._inputs.shape[1], device=vector.device)
            moved = vector.view(self._inputs.shape[1], -1)[operands, self._inputs]
        else:
            moved = vector[self._inputs]
        readers = self._layers[0].W if self._layers else self._out
        if config.combine == "sum":
            return moved.sum(1, keepdim=True), readers[column : column + 1]
        return moved, readers[column :: config.d_embed or 1]

    def _unit(self, layer: int, unit: int, moved: Tensor) -> OutputChange:
        """One unit's pre-activation moves by ``moved [n]``."""
        act, pre = self._layers[layer].act, self._pre[layer][:, unit]
        after = (act(pre + moved) - self._reads[layer + 1][:, unit]).unsqueeze(1)
        if layer + 1 == len(self._layers):
            return OutputChange(after, self._out[unit : unit + 1])
        return self._after(layer + 1, after, self._layers[layer + 1].W[unit : unit + 1])

    def _after(self, layer: int, moved: Tensor, readers: Tensor) -> OutputChange:
        """A layer's pre-activations move by ``moved [n, k] @ readers [k, unit]``."""
        if layer == len(self._layers):
            return OutputChange(moved, readers)
        for i in range(layer, len(self._layers)):
            pre = torch.addmm(self._pre[i], moved, readers)
            moved = self._layers[i].act(pre) - self._reads[i + 1]
            readers = self._layers[i + 1].W if i + 1 < len(self._layers) else self._out
        return OutputChange(moved @ readers)
