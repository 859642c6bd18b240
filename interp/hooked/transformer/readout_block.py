"""A block of a causal transformer from one position on, with all that lies before it as in another run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from interp.hooked.transformer.components import Block


@dataclass(frozen=True)
class LaterBlock:
    """A block, and what it held in the other run.

    Attributes:
        weight: of queries, keys and values at once ``[d_model, 3 head d_head]``, ``bias [3 head d_head]``; the scores'
            scale is in the queries.
        held: queries, keys and values ``[3, batch, head, pos, d_head]``; ``keys`` of the runs that depart.
        stream: what the block read ``[batch, pos, d_model]``.
        ahead: added to scores: minus infinity where a key stands behind its query ``[pos, pos]``, else 0.
    """

    block: Block
    weight: Tensor
    bias: Tensor | None
    held: Tensor
    keys: _Keys
    stream: Tensor
    ahead: Tensor

    @classmethod
    def of(cls, block: Block, index: int, run: Mapping[str, Tensor]) -> LaterBlock:
        attn = block.attention
        weight, bias = attn.projection()
        held = torch.stack([run[f"blocks.{index}.attn.hook_{n}"].transpose(1, 2) for n in "qkv"])
        held[0] /= attn.scale
        ahead = held.new_full((held.shape[3], held.shape[3]), -math.inf).triu(1)
        return cls(block, weight, bias, held, _Keys(held[1:]), run[f"blocks.{index}.hook_resid_pre"], ahead)

    def step(self, below: Tensor | None, new: Tensor | None, position: int) -> Tensor | None:
        """What the block writes ``[k, batch, n, d_model]`` at ``position`` and the n - 1 behind it; None without runs."""
        mid = self.mid(below, new, position)
        return None if mid is None else behind_mlp(self.block, mid)

    def mid(self, below: Tensor | None, new: Tensor | None, position: int) -> Tensor | None:
        """The stream behind attention ``[k, batch, n, d_model]``.

        Args:
            below: streams ``[.., batch, n, d_model]`` of runs that started before.
            new: ``[.., batch, d_model]`` at that position, of runs that start here.
        """
        if below is None and new is None:
            return None
        q, k, v = self._heads(below, new, position)
        return behind_heads(self.block, self._streams(below, new, position), attend(q, k, v, self.ahead[position:]))

    def _streams(self, below: Tensor | None, new: Tensor | None, position: int) -> Tensor:
        """What the block reads ``[k, batch, n, d_model]``."""
        if new is None:
            assert below is not None
            return below
        starting = self.stream[:, position:].repeat(len(new), 1, 1, 1)
        starting[:, :, 0] = new
        return starting if below is None else torch.cat([below, starting])

    def _heads(self, below: Tensor | None, new: Tensor | None, position: int) -> tuple[Tensor, Tensor, Tensor]:
        """Queries ``[k, batch, head, n, d_head]`` from the position on, keys and values ``[k, batch, head, pos, d_head]``."""
        first, batch, n_heads, n_pos, size = 0 if below is None else len(below), *self.held.shape[1:]
        k = first + (0 if new is None else len(new))
        q = self.held.new_empty(k, batch, n_heads, n_pos - position, size)
        keys = self.keys.before(position, k)  # and values
        later = keys[..., position:, :]
        if below is not None:
            own = self._project(below).transpose(-3, -2)
            q[:first], later[:, :first] = own[0], own[1:]
        if new is not None:
            own, held = self._project(new), self.held[..., position:, :]
            q[first:], later[:, first:] = held[0], held[1:, None]
            q[first:, ..., 0, :], later[:, first:, ..., 0, :] = own[0], own[1:]
        return q, keys[0], keys[1]

    def _project(self, x: Tensor) -> Tensor:
        """``[..., d_model]`` to ``[3, ..., head, d_head]``."""
        flat = plus(self.bias, self.block.ln1(x), self.weight)
        return flat.unflatten(-1, (3, self.held.shape[2], self.held.shape[4])).movedim(-3, 0)


class _Keys:
    """Keys and values of many runs, which before a position are those of the other run: those stay where they are copied to.

    Positions that ascend cost least: then one more position is copied each time.
    """

    def __init__(self, held: Tensor):
        """``held [2, batch, head, pos, d_head]``: the other run's."""
        self._held, self._own, self._same = held.unsqueeze(1), held.unsqueeze(1)[:, :0], 0

    def before(self, position: int, k: int) -> Tensor:
        """Of k runs ``[2, k, batch, head, pos, d_head]``, filled before the position; the caller fills the rest."""
        if k > self._own.shape[1]:
            self._own = self._held.repeat(1, k, 1, 1, 1, 1)
        elif position > self._same:
            self._own[..., self._same : position, :] = self._held[..., self._same : position, :]
        self._same = position
        return self._own[:, :k]


def attend(q: Tensor, k: Tensor, v: Tensor, ahead: Tensor) -> Tensor:
    """What heads read ``[..., n, d_head]``: n queries, keys and values of every position, ``ahead [n, pos]``."""
    flat = [x.flatten(0, -3) for x in (q, k, v)]
    scores = torch.baddbmm(ahead, flat[0], flat[1].mT)
    return torch.bmm(scores.softmax(-1), flat[2]).view(q.shape)


def behind_heads(block: Block, stream: Tensor, z: Tensor) -> Tensor:
    """The stream ``[..., n, d_model]`` with what the heads write, of what they read ``[..., head, n, d_head]``."""
    attn = block.attention
    written = plus(stream, z.transpose(-3, -2).flatten(-2), attn.W_O.flatten(0, 1))
    return written.add_(attn.b_O) if attn.bias else written


def behind_mlp(block: Block, mid: Tensor) -> Tensor:
    """The stream with what the MLP writes, if there is one ``[..., d_model]``."""
    if not block.has_mlp:
        return mid
    written = plus(mid, hidden(block, mid), block.mlp.W_out)
    return written.add_(block.mlp.b_out) if block.mlp.bias else written


def hidden(block: Block, mid: Tensor) -> Tensor:
    """The neurons behind their activation ``[..., d_mlp]``."""
    mlp = block.mlp
    pre = plus(mlp.b_in if mlp.bias else None, block.ln2(mid), mlp.W_in)
    return pre.relu_() if mlp.act is torch.relu else mlp.act(pre)  # in place: a large share of the elementwise work


def plus(start: Tensor | None, x: Tensor, weight: Tensor) -> Tensor:
    """``start + x @ weight``, ``[..., out]``, in one pass over the result; start is ``[out]`` or ``[..., out]``."""
    if start is None or start.ndim == 1:
        return nn.functional.linear(x, weight.mT, start)
    return torch.addmm(start.flatten(0, -2), x.flatten(0, -2), weight).view(start.shape)
