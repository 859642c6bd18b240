"""Weights of all layers in one tensor, by TransformerLens's names."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

PLACES = {"W_E": "embed", "W_pos": "pos_embed", "W_U": "unembed", "b_U": "unembed"}
OF_MLP = ("W_in", "W_gate", "W_out", "b_in", "b_out")


def weight_named(model: Any, name: str) -> Tensor:
    """A weight of a transformer, stacked over layers where every layer has one.

    Args:
        model: the transformer.
        name: TransformerLens's.

    Returns:
        the weight; zeros for a bias that the model was built without.

    Raises:
        AttributeError: a weight that the model lacks.
    """
    config = model.config
    if name in PLACES:
        module = getattr(model, PLACES[name])
        found = getattr(module, name, None) if name == "b_U" else getattr(module, name)
        return model.W_U.new_zeros(config.d_vocab_out) if found is None else found
    parts = [getattr(block, "mlp" if name in OF_MLP else "attn") for block in model.blocks]
    if not name.startswith("b_") or all(hasattr(part, name) for part in parts):
        return torch.stack([getattr(part, name) for part in parts])
    shapes = {"b_O": (config.d_model,), "b_in": (config.d_mlp,), "b_out": (config.d_model,)}
    return model.W_U.new_zeros(len(parts), *shapes.get(name, (config.n_heads, config.d_head)))
