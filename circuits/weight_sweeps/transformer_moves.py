"""Moves of a transformer that is read at one position: only what follows the changed weights is computed.

Before the last block nothing is computed again, and of attention only what the query at the readout sees. What follows is
linear after the last MLP's neurons, so that one neuron, or one entry of the residual stream after them, changes the outputs by
a product of two vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from circuits.weight_sweeps.directions import Direction
from circuits.weight_sweeps.output_change import OutputChange
from circuits.weight_sweeps.plain_moves import PlainMoves
from interp.activations.batches import placed
from interp.hooked.transformer.model import HookedTransformer
from interp.hooked.transformer.readout_block import hidden


@dataclass(frozen=True)
class _Rows:
    """What attention reads ``[n, pos, d_model]``, every different row once: in the first block a row per token and position.

    Attributes:
        rows: the rows ``[row, d_model]``.
        index: of each example and position ``[n, pos]``.
    """

    rows: Tensor
    index: Tensor

    @classmethod
    def of(cls, read: Tensor, tokens: Tensor | None) -> _Rows:
        """The rows; ``tokens [n, pos]`` tell which are the same, None: all differ."""
        n, pos = read.shape[:2]
        if tokens is None:
            return cls(read.flatten(0, 1), torch.arange(n * pos, device=read.device).view(n, pos))
        place = tokens[:, :pos] * pos + torch.arange(pos, device=read.device)
        known, index = place.unique(return_inverse=True)
        first = torch.empty_like(known).scatter_(0, index.flatten(), torch.arange(n * pos, device=read.device))
        return cls(read.flatten(0, 1)[first], index)

    def spread(self, by_row: Tensor) -> Tensor:
        """A value per row ``[row, ...]`` at every example and position ``[n, pos, ...]``."""
        return by_row[self.index]


class TransformerMoves:
    """Moves of a transformer with a readout, whose norms come before what they feed.

    Args:
        model: computes its last block only where it is read; left as it is.
        inputs: all examples.
        read: what the task reads of the model's outputs.

    Attributes:
        base: outputs of the unchanged network ``[n, width]``.
    """

    @torch.no_grad()
    def __init__(self, model: HookedTransformer, inputs: Tensor, read: Callable[[Tensor], Tensor]):
        self._given = (model, inputs, read)
        self._model, self._tokens = model, placed(inputs, model)
        self._layer = model.config.n_layers - 1
        self._block = block = model.block(self._layer)
        self._at = (model.config.readout or 0) % self._tokens.shape[1]
        self._out = read(model.W_U.detach())
        self._attend(self._stream())
        self._normed = not isinstance(model.ln_final, nn.Identity)
        if block.has_mlp:
            self._bare = isinstance(block.ln2, nn.Identity) and not block.mlp.gated
            self._pre = self._preactivations() if self._bare else None
            self._post = hidden(block, self._mid.clone()) if self._pre is None else block.mlp.act(self._pre)
            self._to_out = block.mlp.W_out @ self._out
        self._end(read)

    def _stream(self) -> Tensor:
        stream = self._model.stream(self._tokens)
        for layer in range(self._layer):
            stream = self._model.block(layer)(stream, None)
        return stream

    def _attend(self, stream: Tensor) -> None:
        """Keep what the query at the readout sees: queries, keys and values ``[n, pos, head, d_head]``, and pattern."""
        attn, at = self._block.attention, self._at
        read = self._block.ln1(stream)
        self._read = _Rows.of(read[:, : at + 1] if attn.causal else read, self._tokens if self._layer == 0 else None)
        self._q = attn._project(read[:, at], "Q")
        self._k, self._v = attn._project(self._read.rows, "K"), attn._project(self._read.rows, "V")
        self._values = self._read.spread(self._v)
        self._scores = torch.einsum("nhe,nphe->nhp", self._q, self._read.spread(self._k)) / attn.scale
        self._pattern = self._scores.softmax(-1)
        self._z = self._mix(self._pattern)
        mid = stream[:, at] + self._z.flatten(1) @ attn.W_O.flatten(0, 1)
        self._mid = mid + attn.b_O if attn.bias else mid

    def _mix(self, pattern: Tensor) -> Tensor:
        """Values weighted by ``pattern [n, head, pos]``: ``[n, head, d_head]``."""
        found = pattern[..., :1] * self._values[:, 0]
        for pos in range(1, pattern.shape[-1]):  # one pass over the result for each; positions are few
            found = torch.addcmul(found, pattern[..., pos : pos + 1], self._values[:, pos])
        return found

    def _preactivations(self) -> Tensor:
        mlp = self._block.mlp
        pre = self._mid @ mlp.W_in
        return pre + mlp.b_in if mlp.bias else pre

    def _end(self, read: Callable[[Tensor], Tensor]) -> None:
        """Keep the last stream, normed, which the unembedding reads, and the outputs."""
        final = self._mid
        if self._block.has_mlp:
            mlp = self._block.mlp
            final = torch.addmm(final, self._post, mlp.W_out)
            final = final + mlp.b_out if mlp.bias else final
        self._last = self._model.ln_final(final)
        self.base = self._last @ self._out
        if self._model.unembed.bias:
            self.base = self.base + read(self._model.unembed.b_U)

    @cached_property
    def _plain(self) -> PlainMoves:
        return PlainMoves(*self._given)

    @torch.no_grad()
    def change(self, direction: Direction, step: float) -> OutputChange:
        """The change of all outputs after a step along a direction."""
        own = None if direction.column is None else self._own(direction.parameter or "")
        if own is None:
            return self._plain.change(direction, step)
        return own(direction.vector.to(self.base) * step, direction.column)

    def _own(self, name: str) -> Callable[..., OutputChange] | None:
        """What computes a change in a column of a parameter; None where the whole network has to run."""
        last = f"blocks.{self._layer}."
        first = self._layer == 0 and isinstance(self._block.ln1, nn.Identity)
        if name == "unembed.W_U":
            return self._unembedding
        if name == f"{last}mlp.W_out" and not self._normed:
            return self._mlp_output
        if name == f"{last}mlp.W_in" and self._bare and not self._normed:
            return self._neuron
        if name in ("embed.W_E", "pos_embed.W_pos") and first:
            return self._embedding if name == "embed.W_E" else self._position
        attn = {
            "W_Q": self._queries, "W_K": self._keys, "W_V": self._value, "W_O": self._head_outputs,
            "b_Q": self._query_bias, "b_K": self._key_bias, "b_V": self._value_bias,
        }  # fmt: skip
        return attn.get(name.removeprefix(f"{last}attn.")) if name.startswith(f"{last}attn.") else None

    def _unembedding(self, vector: Tensor, column: int) -> OutputChange:
        return OutputChange.of_output(self._last @ vector, column, self.base.shape[1])

    def _mlp_output(self, vector: Tensor, column: int) -> OutputChange:
        return OutputChange((self._post @ vector).unsqueeze(1), self._out[column : column + 1])

    def _neuron(self, vector: Tensor, column: int) -> OutputChange:
        assert self._pre is not None
        after = self._block.mlp.act(self._pre[:, column] + self._mid @ vector) - self._post[:, column]
        return OutputChange(after.unsqueeze(1), self._to_out[column : column + 1])

    def _head_outputs(self, vector: Tensor, column: int) -> OutputChange:
        return self._after_mid((self._z.flatten(1) @ vector).unsqueeze(1), self._axis(column))

    def _value(self, vector: Tensor, column: int) -> OutputChange:
        moved = (self._pattern * self._along(self._by_head(vector))).sum(-1)
        return self._after_mid(moved, self._block.attention.W_O[:, column])

    def _value_bias(self, vector: Tensor, column: int) -> OutputChange:
        return self._after_mid(vector.expand(len(self.base), -1), self._block.attention.W_O[:, column])

    def _queries(self, vector: Tensor, column: int) -> OutputChange:
        moved = self._along(self._by_head(vector))[..., self._at]
        return self._rescored(moved.unsqueeze(2) * self._keys_at(column))

    def _query_bias(self, vector: Tensor, column: int) -> OutputChange:
        return self._rescored(vector[:, None] * self._keys_at(column))

    def _keys(self, vector: Tensor, column: int) -> OutputChange:
        return self._rescored(self._q[..., column].unsqueeze(2) * self._along(self._by_head(vector)))

    def _key_bias(self, vector: Tensor, column: int) -> OutputChange:
        return self._rescored((self._q[..., column] * vector).unsqueeze(2).expand_as(self._scores))

    def _rescored(self, by: Tensor) -> OutputChange:
        """Attention scores ``[n, head, pos]`` move, before they are divided by the scale."""
        attn = self._block.attention
        pattern = (self._scores + by / attn.scale).softmax(-1)
        return self._after_mid(self._mix(pattern - self._pattern).flatten(1), attn.W_O.flatten(0, 1))

    def _along(self, vectors: Tensor) -> Tensor:
        """What attention reads along a vector for each head ``[head, d_model]``: ``[n, head, pos]``."""
        return self._read.spread(self._read.rows @ vectors.T).mT

    def _keys_at(self, column: int) -> Tensor:
        """One entry of all keys ``[n, head, pos]``."""
        return self._read.spread(self._k[..., column]).mT

    def _embedding(self, vector: Tensor, column: int) -> OutputChange:
        return self._first_stream(vector[self._tokens[:, : self._scores.shape[2]]], column)

    def _position(self, vector: Tensor, column: int) -> OutputChange:
        here = vector[: self._scores.shape[2]]
        return self._first_stream(here.expand(len(self._tokens), -1), column)

    def _first_stream(self, moved: Tensor, column: int) -> OutputChange:
        """One entry of the first block's input moves by ``moved [n, pos]``."""
        attn, own = self._block.attention, moved[:, self._at]
        w_q, w_k, w_v = attn.W_Q[:, column], attn.W_K[:, column], attn.W_V[:, column]  # [head, d_head]
        by_query = own[:, None, None] * self._read.spread((self._k * w_q).sum(-1)).mT
        by_key = moved.unsqueeze(1) * torch.einsum("nhe,he->nh", self._q, w_k).unsqueeze(2)
        both = own[:, None, None] * moved.unsqueeze(1) * (w_q * w_k).sum(1)[:, None]
        pattern = (self._scores + (by_query + by_key + both) / attn.scale).softmax(-1)
        z = self._mix(pattern - self._pattern)
        z = torch.addcmul(z, (pattern * moved.unsqueeze(1)).sum(-1, keepdim=True), w_v)
        through = torch.cat([attn.W_O.flatten(0, 1), self._axis(column)])
        return self._after_mid(torch.cat([z.flatten(1), own.unsqueeze(1)], 1), through)

    def _after_mid(self, moved: Tensor, through: Tensor) -> OutputChange:
        """The stream after attention moves by ``moved [n, k] @ through [k, d_model]``."""
        block = self._block
        if not block.has_mlp and not self._normed:
            return OutputChange(moved, through @ self._out)
        if self._normed:
            mid = torch.addmm(self._mid, moved, through)
            final = block.after_mid(mid.unsqueeze(1)).squeeze(1) if block.has_mlp else mid
            return OutputChange((self._model.ln_final(final) - self._last) @ self._out)
        if self._pre is not None:
            pre = torch.addmm(self._pre, moved, through @ block.mlp.W_in)
            post = pre.relu_() if block.mlp.act is torch.relu else block.mlp.act(pre)
        else:
            post = hidden(block, torch.addmm(self._mid, moved, through))
        return OutputChange(torch.addmm(moved @ (through @ self._out), post.sub_(self._post), self._to_out))

    def _by_head(self, vector: Tensor) -> Tensor:
        return vector.view(self._block.attention.W_Q.shape[0], -1)

    def _axis(self, column: int) -> Tensor:
        return nn.functional.one_hot(torch.tensor([column]), self._mid.shape[1]).to(self._mid)
