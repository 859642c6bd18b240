"""The parts of a transformer, with TransformerLens's names, shapes and hook points."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from torch import Tensor, nn

from interp.hooked.base import HookPoint, make_activation
from interp.hooked.dropout import dropout
from interp.hooked.transformer.attention import Attention, moved
from interp.hooked.transformer.config import TransformerConfig, make_norm, parameter


class Embed(nn.Module):
    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.W_E = parameter(config.d_vocab, config.d_model)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.W_E[tokens]


class PosEmbed(nn.Module):
    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.W_pos = parameter(config.n_ctx, config.d_model)

    def forward(self, batch: int, n_pos: int) -> Tensor:
        return self.W_pos[:n_pos].expand(batch, -1, -1)


class MLP(nn.Module):
    def __init__(self, config: TransformerConfig):
        super().__init__()
        d_mlp = config.d_mlp or 0
        self.act, self.bias = make_activation(config.act_fn), config.mlp_bias
        self.W_in, self.W_out = parameter(config.d_model, d_mlp), parameter(d_mlp, config.d_model)
        if self.bias:
            self.b_in, self.b_out = parameter(d_mlp), parameter(config.d_model)
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

    @property
    def attention(self) -> Attention:
        return cast(Attention, self.attn)

    def after_pre(self, resid: Tensor, readout: int | None, noise: Tensor | None = None) -> Tensor:
        first, n = (0, resid.shape[-2]) if readout is None else (readout % resid.shape[-2], 1)
        # the hook points are behind the dropout: what they pass is what the residual stream receives
        written = dropout(self.attn(self.ln1(resid), first, n), self.dropout, noise, salt=2 * self.index)
        return self._after_attn(resid.narrow(-2, first, n), written, noise)

    def _after_attn(self, resid: Tensor, written: Tensor, noise: Tensor | None = None) -> Tensor:
        return self.behind_attn(resid + self.hook_attn_out(written), noise)

    def behind_attn(self, mid: Tensor, noise: Tensor | None = None) -> Tensor:
        """The block's output, of the stream behind its attention."""
        return self.after_mid(self.hook_resid_mid(mid), noise) if self.has_mlp else self.hook_resid_post(mid)

    def follow(self, clean: Tensor) -> Callable[[slice, Tensor, Tensor], Tensor]:
        """The stream behind the attention, of streams that differ from ``clean`` by moves along rows; see `Attention.follow`."""
        attn = self.attention
        project = attn.follow(self.ln1, clean)

        def of(part: slice, moves: Tensor, rows: Tensor) -> Tensor:
            changed = moved(clean[part], moves, rows)
            q, k, v = project(part, moves, rows, changed)
            written = attn.mix(attn.hook_q(q), attn.hook_k(k), attn.hook_v(v), 0)
            return changed.flatten(0, 1) + self.hook_attn_out(written)

        return of

    def after_mid(self, mid: Tensor, noise: Tensor | None = None) -> Tensor:
        written = dropout(self.mlp(self.ln2(mid)), self.dropout, noise, salt=2 * self.index + 1)
        return self.hook_resid_post(mid + self.hook_mlp_out(written))


class Unembed(nn.Module):
    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.W_U = parameter(config.d_model, config.d_vocab_out)
        self.bias = config.unembed_bias
        if self.bias:
            self.b_U = parameter(config.d_vocab_out)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.W_U + self.b_U if self.bias else x @ self.W_U
