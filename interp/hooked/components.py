"""The parts of a transformer, with TransformerLens's names, shapes and hook points."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from interp.errors import InterpError
from interp.hooked.base import Config, HookPoint, make_activation
from interp.hooked.dropout import check_rate, dropout

Normalization = Literal["LN", "LNPre"] | None


@dataclass(frozen=True)
class TransformerConfig(Config):
    """Shape of a `HookedTransformer`; the names are TransformerLens's.

    ``d_mlp=None`` leaves the MLPs out. ``normalization`` is None, ``"LN"`` or ``"LNPre"`` (centre and scale without
    weights). ``readout`` computes the last block, and the logits, at that one position alone; keys and values still
    come from all. ``dropout`` acts on what attention and MLPs write into the residual stream.
    """

    kind: ClassVar[str] = "transformer"

    n_layers: int
    d_model: int
    n_heads: int
    d_head: int
    d_vocab: int
    d_vocab_out: int
    n_ctx: int
    d_mlp: int | None = None
    act_fn: str = "relu"
    normalization: Normalization = None
    causal: bool = True
    attn_bias: bool = False
    mlp_bias: bool = True
    unembed_bias: bool = False
    ln_eps: float = 1e-5
    readout: int | None = None
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for name in ("n_layers", "d_model", "n_heads", "d_head", "d_vocab", "d_vocab_out", "n_ctx"):
            if getattr(self, name) < 1:
                raise InterpError(f"TransformerConfig.{name} must be at least 1, got {getattr(self, name)}")
        if self.normalization not in (None, "LN", "LNPre"):
            raise InterpError(f"normalization must be None, 'LN' or 'LNPre', got {self.normalization!r}")
        if self.readout is not None and not -self.n_ctx <= self.readout < self.n_ctx:
            raise InterpError(f"readout {self.readout} is outside a context of {self.n_ctx}")
        check_rate(self.dropout)
        make_activation(self.act_fn)


def _parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape))


class LayerNorm(nn.Module):
    """Centre and scale over the features, with weights ``w`` and ``b`` unless ``LNPre``."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.eps = config.ln_eps
        self.affine = config.normalization == "LN"
        if self.affine:
            self.w, self.b = nn.Parameter(torch.ones(config.d_model)), _parameter(config.d_model)
        self.hook_scale = HookPoint("batch", "pos", "unit")
        self.hook_normalized = HookPoint("batch", "pos", "unit")

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean(-1, keepdim=True)
        scale = self.hook_scale((x.pow(2).mean(-1, keepdim=True) + self.eps).sqrt())
        x = x / scale
        return self.hook_normalized(x * self.w + self.b if self.affine else x)


def make_norm(config: TransformerConfig) -> nn.Module:
    return LayerNorm(config) if config.normalization else nn.Identity()


class Embed(nn.Module):
    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.W_E = _parameter(config.d_vocab, config.d_model)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.W_E[tokens]


class PosEmbed(nn.Module):
    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.W_pos = _parameter(config.n_ctx, config.d_model)

    def forward(self, batch: int, n_pos: int) -> Tensor:
        return self.W_pos[:n_pos].expand(batch, -1, -1)


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
            setattr(self, name, _parameter(heads, d_model, d_head))
        self.W_O = _parameter(heads, d_head, d_model)
        if self.bias:
            for name in ("b_Q", "b_K", "b_V"):
                setattr(self, name, _parameter(heads, d_head))
            self.b_O = _parameter(d_model)
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


class MLP(nn.Module):
    def __init__(self, config: TransformerConfig):
        super().__init__()
        d_mlp = config.d_mlp or 0
        self.act, self.bias = make_activation(config.act_fn), config.mlp_bias
        self.W_in, self.W_out = _parameter(config.d_model, d_mlp), _parameter(d_mlp, config.d_model)
        if self.bias:
            self.b_in, self.b_out = _parameter(d_mlp), _parameter(config.d_model)
        self.hook_pre = HookPoint("batch", "pos", "unit")
        self.hook_post = HookPoint("batch", "pos", "unit")

    def forward(self, x: Tensor) -> Tensor:
        pre = self.hook_pre(x @ self.W_in + self.b_in if self.bias else x @ self.W_in)
        out = self.hook_post(self.act(pre)) @ self.W_out
        return out + self.b_out if self.bias else out


class Block(nn.Module):
    hook_resid_pre: HookPoint
    hook_attn_out: HookPoint
    hook_resid_post: HookPoint

    def __init__(self, config: TransformerConfig, index: int):
        super().__init__()
        self.index, self.dropout = index, config.dropout
        self.ln1, self.attn = make_norm(config), Attention(config)
        self.has_mlp = config.d_mlp is not None
        for name in ("hook_resid_pre", "hook_attn_out", "hook_resid_post"):
            setattr(self, name, HookPoint("batch", "pos", "unit"))
        if self.has_mlp:
            self.ln2, self.mlp = make_norm(config), MLP(config)
            self.hook_resid_mid = HookPoint("batch", "pos", "unit")
            self.hook_mlp_out = HookPoint("batch", "pos", "unit")

    def forward(self, resid: Tensor, readout: int | None, noise: Tensor | None = None) -> Tensor:
        """``resid [batch, pos, d_model]``; with ``readout`` the result has that one position alone."""
        return self.after_pre(self.hook_resid_pre(resid), readout, noise)

    def after_pre(
        self, resid: Tensor, readout: int | None, noise: Tensor | None = None, past: Past | None = None
    ) -> Tensor:
        first, n = (0, resid.shape[-2]) if readout is None else (readout % resid.shape[-2], 1)
        # the hook points are behind the dropout: what they pass is what the residual stream receives
        written = dropout(self.attn(self.ln1(resid), first, n, past), self.dropout, noise, salt=2 * self.index)
        mid = resid.narrow(-2, first, n) + self.hook_attn_out(written)
        return self.after_mid(self.hook_resid_mid(mid), noise) if self.has_mlp else self.hook_resid_post(mid)

    def moved(self, resid: Tensor, position: int, past: Past) -> Tensor:
        """The block's output at ``position`` and later, where its input differs from another run there alone.

        ``resid [batch, 1, d_model]``. Nothing drops out.
        """
        attn = cast(Attention, self.attn)
        later = past.part("resid_pre", slice(position + 1, None), len(resid))
        written = attn.moved(self.ln1(resid), position, past)
        mid = torch.cat([resid, later], -2) + self.hook_attn_out(written)
        return self.after_mid(self.hook_resid_mid(mid)) if self.has_mlp else self.hook_resid_post(mid)

    def after_mid(self, mid: Tensor, noise: Tensor | None = None) -> Tensor:
        written = dropout(self.mlp(self.ln2(mid)), self.dropout, noise, salt=2 * self.index + 1)
        return self.hook_resid_post(mid + self.hook_mlp_out(written))


class Unembed(nn.Module):
    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.W_U = _parameter(config.d_model, config.d_vocab_out)
        self.bias = config.unembed_bias
        if self.bias:
            self.b_U = _parameter(config.d_vocab_out)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.W_U + self.b_U if self.bias else x @ self.W_U
