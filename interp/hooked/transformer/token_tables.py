"""Forward pass of a transformer of one layer over many short inputs: scores and values are looked up by token, not computed.

A token at a position always has the same query, key and value, so the scores of a query with a key are a table over pairs of
tokens. An input of three positions costs one lookup of a score and a value per position, and the MLP.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from interp.hooked.inputs import require_vocabulary
from interp.hooked.transformer.fused import Readout, Transformer
from interp.hooked.transformer.readout_block import plus

PAIRS_PER_INPUT = 4  # pairs of tokens; a larger table costs more than it saves
LATE = (
    *(f"blocks.0.{name}" for name in ("attn.hook_z", "hook_attn_out", "hook_resid_mid", "ln2.", "mlp.", "hook_mlp_out")),
    "blocks.0.hook_resid_post", "ln_final.", "hook_logits",
)  # fmt: skip
PRECISE = (torch.float64, torch.float32)  # of half precision rounding always shows
ROWS = 1024  # inputs at once; their neurons stay within the processor's caches


class Tabled(Transformer, Protocol):
    """What the tables need of a `HookedTransformer`."""

    @property
    def W_pos(self) -> Tensor:
        """Position embeddings ``[n_ctx, d_model]``."""
        ...

    @property
    def adds_up(self) -> bool:
        """Whether the residual stream is a plain sum."""
        ...

    def watched_sites(self) -> list[str]:
        """Hook points that have hooks."""
        ...

    def resume(self, site: str, activation: Tensor) -> Tensor:
        """Run on from a site."""
        ...


class TokenTables:
    """Logits ``[batch, 1, d_vocab_out]`` of tokens ``[batch, pos]`` in a transformer of one layer that is read at one position.

    Nothing drops out. Hook points before the heads' outputs are skipped; without hooks on the others these are, too.

    Args:
        model: with its present weights and hooks.
        n_pos: positions of the inputs.
    """

    def __init__(self, model: Tabled, n_pos: int):
        block, attn = model.block(0), model.block(0).attention
        assert model.config.readout is not None
        self._model, self._query = model, model.config.readout % n_pos
        self._readout = None if model.watched_sites() else Readout.of(model)
        positions = model.W_pos[:n_pos, None] if model.config.positions else model.W_E.new_zeros(n_pos, 1, 1)
        stream = model.W_E + positions  # [pos, token, d_model]
        weight, bias = attn.projection()
        heads, _, size = attn.W_Q.shape
        q, k, self._values = plus(bias, block.ln1(stream), weight).unflatten(-1, (3, heads, size)).unbind(2)
        self._stream, seen = stream[self._query], self._query + 1 if attn.causal else n_pos
        self._scores = torch.einsum("qhd,pkhd->pqkh", q[self._query], k[:seen])  # of the query's token and each key's

    def __call__(self, tokens: Tensor) -> Tensor:
        """Logits of tokens ``[batch, pos]``."""
        block, attn = self._model.block(0), self._model.block(0).attention
        if self._readout is not None:
            parts = [(self._stream[part[:, self._query]], self._heads(part)) for part in tokens.split(ROWS)]
            return torch.cat([self._readout.outputs(resid + attn.write(z)) for resid, z in parts]).unsqueeze(1)
        written = attn.write(attn.hook_z(self._heads(tokens).unsqueeze(1)))
        resid = self._stream[tokens[:, self._query]].unsqueeze(1) + block.hook_attn_out(written)
        return self._model.resume("blocks.0.hook_resid_post", block.after_attn(resid))

    def _heads(self, tokens: Tensor) -> Tensor:
        """The heads' outputs at the readout ``[batch, head, d_head]``."""
        asking = tokens[:, self._query]
        try:
            scores = torch.stack([table[asking, tokens[:, i]] for i, table in enumerate(self._scores)], 1)
        except IndexError:
            require_vocabulary(tokens, self._model.config.d_vocab)  # names the token
            raise
        shares = scores.softmax(1).unsqueeze(-1)  # [batch, key, head, 1]
        z = shares[:, 0] * self._values[0][tokens[:, 0]]
        for i in range(1, shares.shape[1]):
            z.addcmul_(shares[:, i], self._values[i][tokens[:, i]])
        return z


def applies(model: Tabled, inputs: Tensor, coarse: bool) -> bool:
    """Whether `TokenTables` compute a model's outputs for some inputs, faster than it does.

    They do so for one layer that is read at one position, without gradients and without hooks before the heads' outputs,
    when there are enough inputs for the size of the vocabulary.

    Args:
        model: with its present hooks.
        inputs: ``[n, pos]``.
        coarse: whether float32 will do, where the model's own outputs differ visibly.

    Returns:
        Whether they do.
    """
    if torch.is_grad_enabled() or inputs.ndim != 2 or model.W_E.dtype not in PRECISE[: 1 + coarse]:
        return False
    config, n_pos = model.config, inputs.shape[1]
    one_read = config.n_layers == 1 and config.readout is not None and model.adds_up and 0 < n_pos <= config.n_ctx
    if not one_read or config.d_vocab**2 > PAIRS_PER_INPUT * len(inputs):
        return False
    return all(name.startswith(LATE) for name in model.watched_sites())
