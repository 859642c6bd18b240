"""Which moves fit a network."""

from __future__ import annotations

import torch
from torch import Tensor

from circuits.weight_sweeps.mlp_moves import MLPMoves
from circuits.weight_sweeps.plain_moves import Moves, PlainMoves
from circuits.weight_sweeps.transformer_moves import TransformerMoves
from interp.hooked import HookedMLP, HookedTransformer
from interp.hooked.base import HookedModel
from interp.subject import at_readout
from interp.tasks import Task


@torch.no_grad()
def moves_of(model: HookedModel, task: Task, inputs: Tensor) -> Moves:
    """How a network's outputs change when its weights move, the fastest way that gives the same numbers.

    Args:
        model: in the dtype in which it is measured.
        task: says what is read of its outputs.
        inputs: all examples.

    Returns:
        the moves, with the outputs of the unchanged network.
    """
    reader = at_readout(model, task)
    if isinstance(reader, HookedMLP):
        return MLPMoves(reader, inputs, task.read)
    if isinstance(reader, HookedTransformer) and reader.config.readout is not None and not reader.config.post_norm:
        return TransformerMoves(reader, inputs, task.read)
    return PlainMoves(reader, inputs, task.read)
