"""The rest of a transformer that nobody watches: the same sums in fewer products and fewer passes over memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from interp.hooked.transformer.readout_block import attend, behind_heads, behind_mlp, hidden, plus

if TYPE_CHECKING:
    from interp.hooked.transformer.model import HookedTransformer


@dataclass(frozen=True)
class Readout:
    """From the stream behind the last attention to the outputs.

    Attributes:
        through: what the last MLP's neurons write into the outputs ``[d_mlp, out]``, and ``bias [out]``, where nothing but
            the unembedding follows and this is the smaller product; else None.
    """

    model: HookedTransformer
    through: Tensor | None = None
    bias: Tensor | None = None

    @classmethod
    def of(cls, model: HookedTransformer) -> Readout:
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
        return plus(plus(self.bias, mid, self.model.W_U), hidden(block, mid), self.through)


class Unwatched:
    """Blocks from some layer on, of which no hook point is watched; every position is computed, and nothing drops out."""

    def __init__(self, model: HookedTransformer, first: int, n_pos: int):
        """
        Args:
            first: the first layer whose `behind` is asked for.
            n_pos: positions of the streams.
        """
        self.model, self.readout = model, Readout.of(model)
        self._projections = {i: model.block(i).attention.projection() for i in range(first + 1, model.config.n_layers)}
        ahead = model.W_E.new_zeros(n_pos, n_pos)  # added to scores
        self._ahead = ahead.fill_(-math.inf).triu(1) if model.config.causal else ahead

    def behind(self, layer: int, mid: Tensor) -> Tensor:
        """Outputs ``[batch, pos, out]`` of streams ``[batch, pos, d_model]`` behind a layer's attention."""
        for i in range(layer, self.model.config.n_layers - 1):
            mid = self._attention(i + 1, behind_mlp(self.model.block(i), mid))
        return self.readout.outputs(mid)

    def _attention(self, layer: int, stream: Tensor) -> Tensor:
        block, (weight, bias) = self.model.block(layer), self._projections[layer]
        heads, _, size = block.attention.W_Q.shape
        flat = plus(bias, block.ln1(stream), weight).unflatten(-1, (3, heads, size))  # [batch, pos, 3, head, d_head]
        q, k, v = flat.movedim(1, 3).movedim(1, 0)  # each [batch, head, pos, d_head]
        return behind_heads(block, stream, attend(q, k, v, self._ahead))
