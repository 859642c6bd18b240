"""Forward pass of a transformer of one layer over many short inputs: scores and values are looked up by token, not computed.

A token at a position always has the same query, key and value, so the scores of a query with a key are a table over pairs of
tokens. An input of three positions costs one lookup of a score and a value per position, and the MLP.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from interp.hooked.base import HookedModel
from interp.hooked.inputs import require_vocabulary
from interp.hooked.transformer.fused import Readout
from interp.hooked.transformer.model import HookedTransformer
from interp.hooked.transformer.readout_block import plus

PAIRS_PER_INPUT = 4  # pairs of tokens; a larger table costs more than it saves
ROWS = 1024  # inputs at once; their neurons stay within the processor's caches


class TokenTables:
    """Logits ``[batch, 1, d_vocab_out]`` of tokens ``[batch, pos]`` in a transformer of one layer that is read at one position.

    Hook points are skipped, and nothing drops out.

    Args:
        model: with its present weights.
        n_pos: positions of the inputs.
    """

    def __init__(self, model: HookedTransformer, n_pos: int):
        block, attn = model.block(0), model.block(0).attention
        assert model.config.readout is not None
        self._model, self._query, self._readout = model, model.config.readout % n_pos, Readout.of(model)
        positions = model.W_pos[:n_pos, None] if model.config.positions else model.W_E.new_zeros(n_pos, 1, 1)
        stream = model.W_E + positions  # [pos, token, d_model]
        weight, bias = attn.projection()
        heads, _, size = attn.W_Q.shape
        q, k, values = plus(bias, block.ln1(stream), weight).unflatten(-1, (3, heads, size)).unbind(2)
        self._values, self._stream = values, stream[self._query]
        seen = self._query + 1 if attn.causal else n_pos
        self._scores = torch.einsum("qhd,pkhd->pqkh", q[self._query], k[:seen])  # of the query's token and each key's

    def __call__(self, tokens: Tensor) -> Tensor:
        """Logits of tokens ``[batch, pos]``."""
        return torch.cat([self._outputs(part) for part in tokens.split(ROWS)])

    def _outputs(self, tokens: Tensor) -> Tensor:
        asking = tokens[:, self._query]
        try:
            scores = torch.stack([table[asking, tokens[:, i]] for i, table in enumerate(self._scores)], 1)
        except IndexError:
            require_vocabulary(tokens, self._model.config.d_vocab)  # names the token
            raise
        z = None  # [batch, head, d_head]
        for i, share in enumerate(scores.softmax(1).unsqueeze(-1).unbind(1)):
            value = self._values[i][tokens[:, i]]
            z = share * value if z is None else z.addcmul_(share, value)
        assert z is not None
        attn = self._model.block(0).attention
        mid = plus(self._stream[asking], z.flatten(1), attn.W_O.flatten(0, 1))
        return self._readout.outputs(mid + attn.b_O if attn.bias else mid).unsqueeze(1)


def cheapest(model: HookedModel, inputs: Tensor) -> Callable[[Tensor], Tensor]:
    """What computes a model's outputs for all of these inputs, part by part: `TokenTables` where they apply, or the model.

    Tables apply to a transformer of one layer that is read at one position, without hooks and gradients, when there are
    enough inputs for the size of its vocabulary. Rounding differs.

    Args:
        model: any.
        inputs: ``[n, ...]``.

    Returns:
        a function of a part of the inputs.
    """
    if type(model) is not HookedTransformer or torch.is_grad_enabled() or inputs.ndim != 2:
        return model
    config, n_pos = model.config, inputs.shape[1]
    one_read = config.n_layers == 1 and config.readout is not None and model.adds_up and 0 < n_pos <= config.n_ctx
    if not one_read or config.d_vocab**2 > PAIRS_PER_INPUT * len(inputs) or model.watched_sites():
        return model
    return TokenTables(model, n_pos)
