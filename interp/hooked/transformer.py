"""A transformer small enough to read, with TransformerLens's names, shapes and hook points."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from interp.errors import InterpError, UnknownSite
from interp.hooked.base import Config, HookedModel, HookPoint, make_activation

Normalization = Literal["LN", "LNPre"] | None


@dataclass(frozen=True)
class TransformerConfig(Config):
    """Shape of a `HookedTransformer`; the names are TransformerLens's.

    ``d_mlp=None`` leaves the MLPs out. ``normalization`` is None, ``"LN"`` or ``"LNPre"`` (centre and scale without
    weights). ``readout`` computes the last block, and the logits, at that one position alone; keys and values still
    come from all.
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

    def __post_init__(self) -> None:
        for name in ("n_layers", "d_model", "n_heads", "d_head", "d_vocab", "d_vocab_out", "n_ctx"):
            if getattr(self, name) < 1:
                raise InterpError(f"TransformerConfig.{name} must be at least 1, got {getattr(self, name)}")
        if self.normalization not in (None, "LN", "LNPre"):
            raise InterpError(f"normalization must be None, 'LN' or 'LNPre', got {self.normalization!r}")
        if self.readout is not None and not -self.n_ctx <= self.readout < self.n_ctx:
            raise InterpError(f"readout {self.readout} is outside a context of {self.n_ctx}")
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


def _norm(config: TransformerConfig) -> nn.Module:
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

    def forward(self, x: Tensor, first_query: int = 0, n_queries: int | None = None) -> Tensor:
        """``x [batch, pos, d_model]`` to ``[batch, query, d_model]`` for the queries asked for."""
        n_queries = x.shape[-2] if n_queries is None else n_queries
        q = self.hook_q(self._project(x.narrow(-2, first_query, n_queries), "Q"))
        k = self.hook_k(self._project(x, "K"))
        v = self.hook_v(self._project(x, "V"))
        scores = q.transpose(-3, -2) @ k.transpose(-3, -2).mT / self.scale  # [..., head, query, key]
        if self.causal and first_query + 1 < x.shape[-2]:  # the last query sees everything
            seen = torch.ones(n_queries, x.shape[-2], dtype=torch.bool, device=x.device).tril(first_query)
            scores = scores.where(seen, -math.inf)
        pattern = self.hook_pattern(self.hook_attn_scores(scores).softmax(-1))
        z = self.hook_z((pattern @ v.transpose(-3, -2)).transpose(-3, -2))  # [..., query, head, d_head]
        out = z.flatten(-2) @ self.W_O.flatten(0, 1)
        return out + self.b_O if self.bias else out


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

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.ln1, self.attn = _norm(config), Attention(config)
        self.has_mlp = config.d_mlp is not None
        for name in ("hook_resid_pre", "hook_attn_out", "hook_resid_post"):
            setattr(self, name, HookPoint("batch", "pos", "unit"))
        if self.has_mlp:
            self.ln2, self.mlp = _norm(config), MLP(config)
            self.hook_resid_mid = HookPoint("batch", "pos", "unit")
            self.hook_mlp_out = HookPoint("batch", "pos", "unit")

    def forward(self, resid: Tensor, readout: int | None) -> Tensor:
        """``resid [batch, pos, d_model]``; with ``readout`` the result has that one position alone."""
        return self.after_pre(self.hook_resid_pre(resid), readout)

    def after_pre(self, resid: Tensor, readout: int | None) -> Tensor:
        first, n = (0, resid.shape[-2]) if readout is None else (readout % resid.shape[-2], 1)
        mid = resid.narrow(-2, first, n) + self.hook_attn_out(self.attn(self.ln1(resid), first, n))
        return self.after_mid(self.hook_resid_mid(mid)) if self.has_mlp else self.hook_resid_post(mid)

    def after_mid(self, mid: Tensor) -> Tensor:
        return self.hook_resid_post(mid + self.hook_mlp_out(self.mlp(self.ln2(mid))))


class Unembed(nn.Module):
    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.W_U = _parameter(config.d_model, config.d_vocab_out)
        self.bias = config.unembed_bias
        if self.bias:
            self.b_U = _parameter(config.d_vocab_out)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.W_U + self.b_U if self.bias else x @ self.W_U


class HookedTransformer(HookedModel):
    """Tokens ``[batch, pos]`` to logits ``[batch, pos, d_vocab_out]`` (one position with ``config.readout``).

    Hook points and weights carry the names and shapes of TransformerLens's former HookedTransformer:
    ``W_E [d_vocab, d_model]``, ``W_Q [layer, head, d_model, d_head]``, ``W_in [layer, d_model, d_mlp]``, ...
    """

    config_class = TransformerConfig
    config: TransformerConfig  # pyright: ignore[reportIncompatibleVariableOverride]  set once, by the constructor

    def __init__(self, config: TransformerConfig):
        super().__init__(config)
        self.embed, self.pos_embed = Embed(config), PosEmbed(config)
        self.hook_embed = HookPoint("batch", "pos", "unit")
        self.hook_pos_embed = HookPoint("batch", "pos", "unit")
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.ln_final, self.unembed = _norm(config), Unembed(config)
        self.hook_logits = HookPoint("batch", "pos", "unit")
        self.setup()

    def forward(self, tokens: Tensor) -> Tensor:
        if tokens.shape[-1] > self.config.n_ctx:
            raise InterpError(f"{tokens.shape[-1]} positions given; the model's context is {self.config.n_ctx}")
        return self._after_embed(self.hook_embed(self.embed(tokens)))

    def _after_embed(self, embedded: Tensor) -> Tensor:
        batch, n_pos = embedded.shape[:2]
        return self._from_block(embedded + self.hook_pos_embed(self.pos_embed(batch, n_pos)), 0)

    def _from_block(self, resid: Tensor, first: int) -> Tensor:
        for layer in range(first, self.config.n_layers):
            resid = self.blocks[layer](resid, self._readout(layer))
        return self.hook_logits(self.unembed(self.ln_final(resid)))

    def _readout(self, layer: int) -> int | None:
        return self.config.readout if layer == self.config.n_layers - 1 else None

    def read_at(self, position: int) -> HookedTransformer:
        """The same weights, computed in the last block at ``position`` alone (shared, not copied)."""
        with torch.device("meta"):
            reader = HookedTransformer(replace(self.config, readout=position))
        reader.load_state_dict(self.state_dict(keep_vars=True), strict=True, assign=True)
        return reader

    def resume(self, site: str, activation: Tensor) -> Tensor:
        """Run on from ``hook_embed`` or from ``blocks.i.hook_resid_pre``, ``_mid`` or ``_post``.

        ``activation [batch, pos, d_model]``; behind the last block's attention it may hold fewer positions.
        """
        if site == "hook_embed":
            return self._after_embed(activation)
        layer, point = self._place(site)
        if layer is not None:
            block = self.block(layer)
            if point == "hook_resid_pre":
                return self._from_block(block.after_pre(activation, self._readout(layer)), layer + 1)
            if point == "hook_resid_mid" and block.has_mlp:
                return self._from_block(block.after_mid(activation), layer + 1)
            if point == "hook_resid_post":
                return self._from_block(activation, layer + 1)
        raise UnknownSite(
            f"cannot resume a transformer at {site!r}; it resumes at hook_embed and at "
            f"blocks.0..{len(self.blocks) - 1}.hook_resid_pre, hook_resid_mid (where there is an MLP), hook_resid_post"
        )

    def block(self, layer: int) -> Block:
        block = self.blocks[layer]
        assert isinstance(block, Block)
        return block

    def _place(self, site: str) -> tuple[int | None, str]:
        """Layer and the rest of the name of a site inside a block."""
        parts = site.split(".", 2)
        if len(parts) == 3 and parts[0] == "blocks" and parts[1].isdigit() and int(parts[1]) < len(self.blocks):
            return int(parts[1]), parts[2]
        return None, site

    def writes(self, site: str) -> tuple[str, Tensor | None]:
        """Neurons, heads and their outputs write into the residual stream behind them; the stream's sites into themselves."""
        layer, point = self._place(site)
        if layer is None:
            if site == "hook_embed":
                return site, None
        else:
            block = self.block(layer)
            post = f"blocks.{layer}.hook_resid_post"
            after_attn = f"blocks.{layer}.hook_resid_mid" if block.has_mlp else post
            if point == "attn.hook_z":
                return after_attn, block.attn.W_O.flatten(0, 1)
            if point == "hook_attn_out":
                return after_attn, None
            if point == "mlp.hook_post" and block.has_mlp:
                return post, block.mlp.W_out
            if point == "hook_mlp_out" and block.has_mlp:
                return post, None
            if point in ("hook_resid_pre", "hook_resid_mid", "hook_resid_post") and site in self.hook_dict:
                return site, None
        raise UnknownSite(
            f"a change at {site!r} does not arrive linearly at any site that the model can be resumed at; use "
            "hook_z, hook_attn_out, hook_post, hook_mlp_out or the residual stream"
        )

    def linear_rest(self, site: str) -> Tensor | None:
        """``W_U [d_model, d_vocab_out]`` after the last block, where no LayerNorm follows."""
        last = f"blocks.{self.config.n_layers - 1}.hook_resid_post"
        return self.W_U if site == last and self.config.normalization is None else None

    def _init_std(self, name: str, parameter: Tensor) -> float | None:
        matrix = name.rsplit(".", 1)[-1]
        if not matrix.startswith("W_"):
            return None
        if matrix == "W_O":
            return 1 / math.sqrt(parameter.shape[0] * parameter.shape[1])
        if matrix in ("W_E", "W_pos"):
            return 1 / math.sqrt(parameter.shape[-1])
        return 1 / math.sqrt(parameter.shape[-2])

    @property
    def W_E(self) -> Tensor:
        return self.embed.W_E

    @property
    def W_pos(self) -> Tensor:
        return self.pos_embed.W_pos

    @property
    def W_U(self) -> Tensor:
        return self.unembed.W_U

    def _stack(self, module: str, name: str) -> Tensor:
        return torch.stack([getattr(getattr(block, module), name) for block in self.blocks])

    @property
    def W_Q(self) -> Tensor:
        return self._stack("attn", "W_Q")

    @property
    def W_K(self) -> Tensor:
        return self._stack("attn", "W_K")

    @property
    def W_V(self) -> Tensor:
        return self._stack("attn", "W_V")

    @property
    def W_O(self) -> Tensor:
        return self._stack("attn", "W_O")

    @property
    def W_in(self) -> Tensor:
        return self._stack("mlp", "W_in")

    @property
    def W_out(self) -> Tensor:
        return self._stack("mlp", "W_out")
