"""Attention: every head's queries, keys, values and patterns, with TransformerLens's names and shapes."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from typing_extensions import override

from interp.hooked.hook_point import HookPoint
from interp.hooked.transformer.config import TransformerConfig
from interp.hooked.transformer.layer_norm import LayerNorm


class Attention(nn.Module):
    """Multi-head attention: ``W_Q``, ``W_K``, ``W_V [head, d_model, d_head]`` and ``W_O [head, d_head, d_model]``.

    Args:
        config: the transformer's.
    """

    W_Q: Tensor
    W_K: Tensor
    W_V: Tensor
    b_Q: Tensor
    b_K: Tensor
    b_V: Tensor
    b_O: Tensor
    hook_q: HookPoint
    hook_k: HookPoint
    hook_v: HookPoint
    hook_z: HookPoint

    def __init__(self, config: TransformerConfig):
        super().__init__()
        heads, d_model, d_head = config.n_heads, config.d_model, config.d_head
        self.scale = math.sqrt(d_head) if config.attn_scale is None else config.attn_scale
        self.causal, self.bias = config.causal, config.attn_bias
        for name in ("W_Q", "W_K", "W_V"):
            setattr(self, name, nn.Parameter(torch.zeros(heads, d_model, d_head)))
        self.W_O = nn.Parameter(torch.zeros(heads, d_head, d_model))
        if self.bias:
            for name in ("b_Q", "b_K", "b_V"):
                setattr(self, name, nn.Parameter(torch.zeros(heads, d_head)))
            self.b_O = nn.Parameter(torch.zeros(d_model))
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

    @override
    def forward(self, x: Tensor, first_query: int = 0, n_queries: int | None = None) -> Tensor:
        """Output ``[batch, query, d_model]`` of ``x [batch, pos, d_model]``, for some queries or all."""
        n_queries = x.shape[-2] if n_queries is None else n_queries
        q = self.hook_q(self._project(x.narrow(-2, first_query, n_queries), "Q"))
        k = self.hook_k(self._project(x, "K"))
        v = self.hook_v(self._project(x, "V"))
        return self.mix(q, k, v, first_query)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, first_query: int) -> Tensor:
        """Output ``[batch, query, d_model]`` of queries from ``first_query`` on, keys and values ``[.., pos, head, d_head]``."""
        return self.write(self.read(q, k, v, first_query))

    def write(self, z: Tensor) -> Tensor:
        """What the heads' outputs ``[..., head, d_head]`` write into the residual stream ``[..., d_model]``."""
        out = z.flatten(-2) @ self.W_O.flatten(0, 1)
        return out + self.b_O if self.bias else out

    def read(self, q: Tensor, k: Tensor, v: Tensor, first_query: int) -> Tensor:
        """Each head's output before ``W_O``: ``[batch, query, head, d_head]``."""
        pattern = self.hook_pattern(self.hook_attn_scores(self.scores(q, k, first_query)).softmax(-1))
        return self.hook_z((pattern @ v.transpose(-3, -2)).transpose(-3, -2))

    def scores(self, q: Tensor, k: Tensor, first_query: int) -> Tensor:
        """Attention scores ``[..., head, query, key]``, minus infinity where a query does not see a key."""
        scores = q.transpose(-3, -2) @ k.transpose(-3, -2).mT / self.scale
        if self.causal and first_query + 1 < k.shape[-3]:  # the last query sees everything
            seen = torch.ones(q.shape[-3], k.shape[-3], dtype=torch.bool, device=q.device).tril(first_query)
            scores = scores.where(seen, -math.inf)
        return scores

    def projection(self) -> tuple[Tensor, Tensor | None]:
        """Weight ``[d_model, 3 head d_head]`` and bias of queries (divided by the scale), keys and values in one product."""
        weights = [self.W_Q / self.scale, self.W_K, self.W_V]
        weight = torch.cat([w.transpose(0, 1).flatten(1) for w in weights], 1)
        if not self.bias:
            return weight, None
        return weight, torch.cat([b.flatten() for b in (self.b_Q / self.scale, self.b_K, self.b_V)])

    def follow(self, norm: nn.Module, clean: Tensor) -> Callable[[slice, Tensor, Tensor, Tensor], list[Tensor]]:
        """Queries, keys and values of residual streams that differ from a clean one by low-rank moves.

        Projections are linear except for the LayerNorm's scale, so no product of size ``d_model`` times ``d_model`` is
        computed again.

        Args:
            norm: the LayerNorm (or identity) before the attention.
            clean: streams ``[n, pos, d_model]``.

        Returns:
            a function of a slice of the n, ``moves [k, n, pos, size]``, ``rows [k, size, d_model]`` and the changed streams
            ``[k, n, pos, d_model]`` that gives q, k and v, each ``[k n, pos, head, d_head]``.
        """
        shape, normed = self.W_Q.shape, isinstance(norm, LayerNorm)
        weights = [getattr(self, f"W_{n}").transpose(0, 1).reshape(shape[1], -1) for n in "QKV"]
        biases = [getattr(self, f"b_{n}").flatten() if self.bias else None for n in "QKV"]
        if isinstance(norm, LayerNorm) and norm.affine:
            biases = [norm.b @ w if b is None else norm.b @ w + b for w, b in zip(weights, biases, strict=True)]
            weights = [norm.w[:, None] * w for w in weights]
        base = clean - clean.mean(-1, keepdim=True) if normed else clean
        projected = [base @ w for w in weights]

        def project(part: slice, moves: Tensor, rows: Tensor, changed: Tensor) -> list[Tensor]:
            scale = norm.scale(changed) if isinstance(norm, LayerNorm) else None
            along = rows - rows.mean(-1, keepdim=True) if normed else rows
            found = []
            for start, weight, bias in zip(projected, weights, biases, strict=True):
                x = moved(start[part], moves, along @ weight)
                x = x if scale is None else x / scale
                x = x if bias is None else x + bias
                found.append(x.flatten(0, 1).unflatten(-1, (shape[0], shape[2])))
            return found

        return project


def moved(start: Tensor, moves: Tensor, rows: Tensor) -> Tensor:
    """``start [n, ..., d]`` moved by ``moves [k, n, ..., size]`` along ``rows [k, size, d]``: ``[k, n, ..., d]``."""
    if rows.shape[1] == 1:  # one pass over the result
        return torch.addcmul(start, moves, rows.reshape(len(rows), *[1] * (moves.ndim - 2), -1))
    return start + torch.einsum("kn...s,ksd->kn...d", moves, rows)
