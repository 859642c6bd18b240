"""Attention, whole or from a later position on, and what it takes from another run."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from interp.hooked.base import HookPoint
from interp.hooked.transformer_config import LayerNorm, TransformerConfig, parameter


class Attention(nn.Module):
    W_Q: Tensor
    W_K: Tensor
    W_V: Tensor
    b_O: Tensor
    hook_q: HookPoint
    hook_k: HookPoint
    hook_v: HookPoint
    hook_z: HookPoint

    def __init__(self, config: TransformerConfig):
        super().__init__()
        heads, d_model, d_head = config.n_heads, config.d_model, config.d_head
        self.scale, self.causal, self.bias = math.sqrt(d_head), config.causal, config.attn_bias
        for name in ("W_Q", "W_K", "W_V"):
            setattr(self, name, parameter(heads, d_model, d_head))
        self.W_O = parameter(heads, d_head, d_model)
        if self.bias:
            for name in ("b_Q", "b_K", "b_V"):
                setattr(self, name, parameter(heads, d_head))
            self.b_O = parameter(d_model)
        for name in ("hook_q", "hook_k", "hook_v", "hook_z"):
            setattr(self, name, HookPoint("batch", "pos", "head", "unit"))
        self.hook_attn_scores = HookPoint("batch", "head", "query", "key")
        self.hook_pattern = HookPoint("batch", "head", "query", "key")

    def _project(self, x: Tensor, which: str) -> Tensor:
        # one [d_model, head * d_head] product is faster than a product per head
        weight = getattr(self, f"W_{which}")
        flat = weight.transpose(0, 1).reshape(weight.shape[1], -1)
        out = (x @ flat).unflatten(-1, (weight.shape[0], weight.shape[2]))
        return out + getattr(self, f"b_{which}") if self.bias else out

    def forward(
        self, x: Tensor, first_query: int = 0, n_queries: int | None = None, past: Past | None = None
    ) -> Tensor:
        """``x [batch, pos, d_model]`` to ``[batch, query, d_model]`` for the queries asked for.

        With ``past``, x starts at a later position, and keys and values of the positions before it are given.
        """
        n_queries = x.shape[-2] if n_queries is None else n_queries
        q = self.hook_q(self._project(x.narrow(-2, first_query, n_queries), "Q"))
        k = self.hook_k(self._project(x, "K"))
        v = self.hook_v(self._project(x, "V"))
        if past is not None:
            k, v, first_query = past.before(k, "k"), past.before(v, "v"), first_query + past.first
        return self.mix(q, k, v, first_query)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, first_query: int) -> Tensor:
        """What heads write: queries ``[batch, query, head, d_head]`` from position ``first_query`` on, keys and values of all."""
        scores = q.transpose(-3, -2) @ k.transpose(-3, -2).mT / self.scale  # [..., head, query, key]
        if self.causal and first_query + 1 < k.shape[-3]:  # the last query sees everything
            seen = torch.ones(q.shape[-3], k.shape[-3], dtype=torch.bool, device=q.device).tril(first_query)
            scores = scores.where(seen, -math.inf)
        pattern = self.hook_pattern(self.hook_attn_scores(scores).softmax(-1))
        z = self.hook_z((pattern @ v.transpose(-3, -2)).transpose(-3, -2))  # [..., query, head, d_head]
        out = z.flatten(-2) @ self.W_O.flatten(0, 1)
        return out + self.b_O if self.bias else out

    def follow(self, norm: nn.Module, clean: Tensor) -> Callable[[slice, Tensor, Tensor, Tensor], list[Tensor]]:
        """Queries, keys and values of streams that differ from ``clean [n, pos, d_model]`` by moves along rows, by algebra.

        The function takes a slice of the n, ``moves [k, n, pos, size]``, ``rows [k, size, d_model]`` and the changed streams
        ``[k, n, pos, d_model]``, and gives q, k and v ``[k n, pos, head, d_head]``. Projections are linear, but for the
        LayerNorm's scale: nothing of the size of ``d_model`` times ``d_model`` is computed again.
        """
        shape, normed = self.W_Q.shape, isinstance(norm, LayerNorm)
        weights = [getattr(self, f"W_{n}").transpose(0, 1).reshape(shape[1], -1) for n in "QKV"]
        biases = [getattr(self, f"b_{n}").flatten() if self.bias else clean.new_zeros(()) for n in "QKV"]
        if isinstance(norm, LayerNorm) and norm.affine:
            biases = [norm.b @ w + b for w, b in zip(weights, biases, strict=True)]
            weights = [norm.w[:, None] * w for w in weights]
        base = clean - clean.mean(-1, keepdim=True) if normed else clean
        projected = [base @ w for w in weights]

        def of(part: slice, moves: Tensor, rows: Tensor, changed: Tensor) -> list[Tensor]:
            scale = norm.scale(changed) if isinstance(norm, LayerNorm) else None
            along = rows - rows.mean(-1, keepdim=True) if normed else rows
            found = []
            for start, weight, bias in zip(projected, weights, biases, strict=True):
                x = start[part] + torch.einsum("kn...s,kse->kn...e", moves, along @ weight)
                x = (x if scale is None else x / scale) + bias
                found.append(x.flatten(0, 1).unflatten(-1, (shape[0], shape[2])))
            return found

        return of

    def moved(self, x: Tensor, position: int, past: Past) -> Tensor:
        """What heads write at ``position`` and later, where only that position differs from another run.

        ``x [batch, 1, d_model]`` is what the layer reads there. Nothing else is projected anew.
        """
        q, k, v = (self._project(x, which) for which in "QKV")
        q = torch.cat([q, past.part("q", slice(position + 1, None), len(x))], -3)
        k, v = (
            torch.cat([past.part(n, slice(position), len(x)), own, past.part(n, slice(position + 1, None), len(x))], -3)
            for n, own in (("k", k), ("v", v))
        )
        return self.mix(q, k, v, position)


@dataclass(frozen=True)
class Past:
    """Another run of one layer, of which a run from a later position takes what lies before it.

    Attributes:
        points: that run's ``q``, ``k`` and ``v`` ``[batch, pos, head, d_head]`` and ``resid_pre [batch, pos, d_model]``.
        first: the first position that runs anew.
    """

    points: Mapping[str, Tensor]
    first: int

    def part(self, name: str, positions: slice, batch: int) -> Tensor:
        """Some positions, repeated for a batch of several tiles."""
        one = self.points[name][:, positions]
        return one.repeat(batch // len(one), *[1] * (one.ndim - 1))

    def before(self, own: Tensor, name: str) -> Tensor:
        return torch.cat([self.part(name, slice(self.first), len(own)), own], -3)
