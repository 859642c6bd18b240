"""A causal transformer's block from one position on, with everything before that position as in another run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from interp.hooked.transformer.components import Block


@dataclass(frozen=True)
class LaterBlock:
    """A block, and its activations in the other run.

    Attributes:
        block: with its weights.
        weight: of queries, keys and values together ``[d_model, 3 head d_head]``; queries include the scores' scale.
        bias: the same ``[3 head d_head]``; None without biases.
        held: queries, keys and values of the other run ``[3, batch, head, pos, d_head]``.
        keys: keys and values of the departing runs.
        stream: the block's input in the other run ``[batch, pos, d_model]``.
        ahead: added to scores ``[pos, pos]``: minus infinity where the key comes after the query, else 0.
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
        """The block of layer ``index``, with the other run's activations by hook point."""
        attn = block.attention
        weight, bias = attn.projection()
        held = torch.stack([run[f"blocks.{index}.attn.hook_{n}"].transpose(1, 2) for n in "qkv"])
        held[0] /= attn.scale
        ahead = held.new_full((held.shape[3], held.shape[3]), -math.inf).triu(1)
        return cls(block, weight, bias, held, _Keys(held[1:]), run[f"blocks.{index}.hook_resid_pre"], ahead)

    def step(self, below: Tensor | None, new: Tensor | None, position: int) -> Tensor | None:
        """The block's output ``[k, batch, n, d_model]`` at ``position`` and the n - 1 after it; None without runs."""
        mid = self.mid(below, new, position)
        return None if mid is None else add_mlp(self.block, mid)

    def mid(self, below: Tensor | None, new: Tensor | None, position: int) -> Tensor | None:
        """The residual stream after attention.

        Args:
            below: streams ``[.., batch, n, d_model]`` of runs that departed in an earlier block.
            new: streams ``[.., batch, d_model]`` at the position, of runs that depart here.
            position: where runs depart from the other run; n positions are left from there on.

        Returns:
            ``[k, batch, n, d_model]``, first the runs from below; None without runs.
        """
        if below is None and new is None:
            return None
        q, k, v = self._heads(below, new, position)
        return add_heads(self.block, self._streams(below, new, position), attend(q, k, v, self.ahead[position:]))

    def _streams(self, below: Tensor | None, new: Tensor | None, position: int) -> Tensor:
        """The block's input ``[k, batch, n, d_model]``."""
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
    """Keys and values of many runs; before the position of departure they equal the other run's, and are copied only once.

    Ascending positions are cheapest: each step then copies one more position.

    Args:
        held: the other run's ``[2, batch, head, pos, d_head]``.
    """

    def __init__(self, held: Tensor):
        self._held, self._own, self._same = held.unsqueeze(1), held.unsqueeze(1)[:, :0], 0

    def before(self, position: int, k: int) -> Tensor:
        """Keys and values of k runs ``[2, k, batch, head, pos, d_head]``; the caller fills them from the position on."""
        if k > self._own.shape[1]:
            self._own = self._held.repeat(1, k, 1, 1, 1, 1)
        elif position > self._same:
            self._own[..., self._same : position, :] = self._held[..., self._same : position, :]
        self._same = position
        return self._own[:, :k]


def attend(q: Tensor, k: Tensor, v: Tensor, ahead: Tensor) -> Tensor:
    """Attention outputs per head ``[..., n, d_head]`` for n queries, all keys and values, and a mask ``ahead [n, pos]``."""
    flat = [x.flatten(0, -3) for x in (q, k, v)]
    scores = torch.baddbmm(ahead, flat[0], flat[1].mT)
    return torch.bmm(scores.softmax(-1), flat[2]).view(q.shape)


def add_heads(block: Block, stream: Tensor, z: Tensor) -> Tensor:
    """The stream ``[..., n, d_model]`` plus the heads' output, from their ``z [..., head, n, d_head]``."""
    attn = block.attention
    written = plus(stream, z.transpose(-3, -2).flatten(-2), attn.W_O.flatten(0, 1))
    return written.add_(attn.b_O) if attn.bias else written


def add_mlp(block: Block, mid: Tensor) -> Tensor:
    """The stream ``[..., d_model]`` plus the MLP's output, if there is an MLP."""
    if not block.has_mlp:
        return mid
    written = plus(mid, hidden(block, mid), block.mlp.W_out)
    return written.add_(block.mlp.b_out) if block.mlp.bias else written


def hidden(block: Block, mid: Tensor) -> Tensor:
    """The MLP's neurons after their activation function ``[..., d_mlp]``."""
    mlp = block.mlp
    read = block.ln2(mid)
    linear = plus(mlp.b_in if mlp.bias else None, read, mlp.W_in)
    pre = plus(mlp.b_gate if mlp.bias else None, read, mlp.W_gate) if mlp.gated else linear
    post = pre.relu_() if mlp.act is torch.relu else mlp.act(pre)  # in place: much of the elementwise time
    return post * linear if mlp.gated else post


def plus(start: Tensor | None, x: Tensor, weight: Tensor) -> Tensor:
    """``start + x @ weight``, ``[..., out]``, in one pass over the result; start is ``[out]`` or ``[..., out]``."""
    if start is None or start.ndim == 1:
        return nn.functional.linear(x, weight.mT, start)
    return torch.addmm(start.flatten(0, -2), x.flatten(0, -2), weight).view(start.shape)
