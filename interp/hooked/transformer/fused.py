"""Fused forward pass for layers without hooks: the same sums in fewer products and fewer passes over memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from interp.hooked.transformer.components import Block, Unembed
from interp.hooked.transformer.config import TransformerConfig
from interp.hooked.transformer.readout_block import add_heads, add_mlp, attend, hidden, plus


class Transformer(Protocol):
    """What the fused pass needs of a `HookedTransformer`."""

    config: TransformerConfig
    ln_final: nn.Module
    unembed: Unembed

    @property
    def W_E(self) -> Tensor:
        """Token embeddings ``[d_vocab, d_model]``."""
        ...

    @property
    def W_U(self) -> Tensor:
        """The unembedding ``[d_model, d_vocab_out]``."""
        ...

    def block(self, layer: int) -> Block:
        """The block of a layer."""
        ...


@dataclass(frozen=True)
class Readout:
    """From the residual stream after the last attention to the outputs.

    Attributes:
        model: the transformer.
        through: the last MLP's output weights times the unembedding ``[d_mlp, out]``, if only the unembedding follows and
            this product is the smaller one; else None.
        bias: what goes with ``through``, ``[out]``; None without biases.
    """

    model: Transformer
    through: Tensor | None = None
    bias: Tensor | None = None

    @classmethod
    def of(cls, model: Transformer) -> Readout:
        """The readout of a model with its present weights."""
        block, unembed = model.block(model.config.n_layers - 1), model.unembed
        if not block.has_mlp or model.config.normalization or model.config.d_vocab_out >= model.config.d_model:
            return cls(model)
        bias = block.mlp.b_out @ unembed.W_U if block.mlp.bias else 0
        bias = bias + unembed.b_U if unembed.bias else bias
        return cls(model, block.mlp.W_out @ unembed.W_U, bias if isinstance(bias, Tensor) else None)

    def outputs(self, mid: Tensor) -> Tensor:
        """``[..., d_model]`` to ``[..., out]``."""
        block = self.model.block(self.model.config.n_layers - 1)
        if self.through is None:
            final = block.after_mid(mid) if block.has_mlp else mid
            return self.model.unembed(self.model.ln_final(final))
        found = plus(self.bias, mid, self.model.W_U)
        found.flatten(0, -2).addmm_(hidden(block, mid).flatten(0, -2), self.through)  # in place: no copy of it first
        return found


class UnhookedBlocks:
    """The blocks from a layer on, without their hook points; every position is computed, without dropout.

    Args:
        model: the transformer.
        first: the first layer that `after_attention` will be given.
        n_pos: positions of the streams.
    """

    def __init__(self, model: Transformer, first: int, n_pos: int):
        self.model, self.readout = model, Readout.of(model)
        self._projections = {i: model.block(i).attention.projection() for i in range(first + 1, model.config.n_layers)}
        ahead = model.W_E.new_zeros(n_pos, n_pos)  # added to scores
        self._ahead = ahead.fill_(-math.inf).triu(1) if model.config.causal else ahead

    def after_attention(self, layer: int, mid: Tensor) -> Tensor:
        """Outputs ``[batch, pos, out]`` of residual streams ``[batch, pos, d_model]`` after a layer's attention."""
        for i in range(layer, self.model.config.n_layers - 1):
            mid = self._attention(i + 1, add_mlp(self.model.block(i), mid))
        return self.readout.outputs(mid)

    def _attention(self, layer: int, stream: Tensor) -> Tensor:
        block, (weight, bias) = self.model.block(layer), self._projections[layer]
        heads, _, size = block.attention.W_Q.shape
        flat = plus(bias, block.ln1(stream), weight).unflatten(-1, (3, heads, size))  # [batch, pos, 3, head, d_head]
        q, k, v = flat.movedim(1, 3).movedim(1, 0)  # each [batch, head, pos, d_head]
        return add_heads(block, stream, attend(q, k, v, self._ahead))
