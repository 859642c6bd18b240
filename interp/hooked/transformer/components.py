"""The parts of a transformer, with TransformerLens's names, shapes and hook points."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from interp.hooked.activation_functions import make_activation
from interp.hooked.dropout import dropout
from interp.hooked.hook_point import HookPoint
from interp.hooked.transformer.attention import Attention, moved
from interp.hooked.transformer.config import TransformerConfig
from interp.hooked.transformer.layer_norm import make_norm


class PosEmbed(nn.Module):
    """Position embeddings ``W_pos [n_ctx, d_model]``; learned or fixed ones, such as sinusoids."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.W_pos = nn.Parameter(torch.zeros(config.n_ctx, config.d_model))

    @override
    def forward(self, batch: int, n_pos: int) -> Tensor:
        """``[batch, n_pos, d_model]``."""
        return self.W_pos[:n_pos].expand(batch, -1, -1)


class MLP(nn.Module):
    """``W_in [d_model, d_mlp]``, an activation function and ``W_out [d_mlp, d_model]``, with biases unless switched off.

    A gated MLP also has ``W_gate [d_model, d_mlp]``: ``hook_pre`` and the activation function are the gate's, and
    ``hook_post`` is the product, as in TransformerLens. Each bias belongs to the matrix of its name.
    """

    def __init__(self, config: TransformerConfig):
        super().__init__()
        d_mlp = config.d_mlp or 0
        self.act, self.bias, self.gated = make_activation(config.act_fn), config.mlp_bias, config.gated_mlp
        if self.gated:
            self.W_gate = nn.Parameter(torch.zeros(config.d_model, d_mlp))
            self.hook_pre_linear = HookPoint("batch", "pos", "unit")
            if self.bias:
                self.b_gate = nn.Parameter(torch.zeros(d_mlp))
        self.W_in, self.W_out = (
            nn.Parameter(torch.zeros(config.d_model, d_mlp)),
            nn.Parameter(torch.zeros(d_mlp, config.d_model)),
        )
        if self.bias:
            self.b_in, self.b_out = nn.Parameter(torch.zeros(d_mlp)), nn.Parameter(torch.zeros(config.d_model))
        self.hook_pre = HookPoint("batch", "pos", "unit")
        self.hook_post = HookPoint("batch", "pos", "unit")

    @override
    def forward(self, x: Tensor) -> Tensor:
        """``[..., d_model]`` to ``[..., d_model]``."""
        read = x @ self.W_in + self.b_in if self.bias else x @ self.W_in
        if self.gated:
            gate = x @ self.W_gate + self.b_gate if self.bias else x @ self.W_gate
            post = self.act(self.hook_pre(gate)) * self.hook_pre_linear(read)
        else:
            post = self.act(self.hook_pre(read))
        out = self.hook_post(post) @ self.W_out
        return out + self.b_out if self.bias else out


class Block(nn.Module):
    """Attention and, if the config has one, an MLP, each adding its output to the residual stream.

    With ``post_norm``, ``hook_resid_mid`` and ``hook_resid_post`` come before the norms that follow the sums, as in
    TransformerLens's BertBlock; ``hook_normalized_resid_post`` is what the next block receives.

    Args:
        config: the transformer's.
        index: the layer, which tells the blocks' dropout apart.
    """

    hook_resid_pre: HookPoint
    hook_attn_out: HookPoint
    hook_resid_post: HookPoint

    def __init__(self, config: TransformerConfig, index: int):
        super().__init__()
        self.index, self.dropout, self.post_norm = index, config.dropout, config.post_norm
        self.ln1, self.attn = make_norm(config), Attention(config)
        self.has_mlp = config.d_mlp is not None
        for name in ("hook_resid_pre", "hook_attn_out", "hook_resid_post"):
            setattr(self, name, HookPoint("batch", "pos", "unit"))
        if self.has_mlp:
            self.ln2, self.mlp = make_norm(config), MLP(config)
            self.hook_resid_mid = HookPoint("batch", "pos", "unit")
            self.hook_mlp_out = HookPoint("batch", "pos", "unit")
        if self.post_norm:
            self.hook_normalized_resid_post = HookPoint("batch", "pos", "unit")

    @override
    def forward(self, resid: Tensor, readout: int | None, noise: Tensor | None = None) -> Tensor:
        """The next residual stream, of ``resid [batch, pos, d_model]``; with ``readout`` it has only that position."""
        return self.after_pre(self.hook_resid_pre(resid), readout, noise)

    @property
    def attention(self) -> Attention:
        """``attn``, with its type."""
        return cast(Attention, self.attn)

    def after_pre(self, resid: Tensor, readout: int | None, noise: Tensor | None = None) -> Tensor:
        """The block's output, from the stream at ``hook_resid_pre``."""
        first, n = (0, resid.shape[-2]) if readout is None else (readout % resid.shape[-2], 1)
        # hook points come after the dropout: they pass what the residual stream receives
        read = resid if self.post_norm else self.ln1(resid)
        written = dropout(self.attn(read, first, n), self.dropout, noise, salt=2 * self.index)
        return self._after_attn(resid.narrow(-2, first, n), written, noise)

    def _after_attn(self, resid: Tensor, written: Tensor, noise: Tensor | None = None) -> Tensor:
        return self.after_attn(resid + self.hook_attn_out(written), noise)

    def after_attn(self, mid: Tensor, noise: Tensor | None = None) -> Tensor:
        """The block's output, from the stream after its attention."""
        if self.has_mlp:
            return self.after_mid(self.hook_resid_mid(mid), noise)
        return self.after_post(self.hook_resid_post(mid))

    def follow(self, clean: Tensor) -> Callable[[slice, Tensor, Tensor], Tensor]:
        """The stream after the attention, for streams that differ from ``clean`` by low-rank moves; see `Attention.follow`."""
        attn = self.attention
        project = attn.follow(self.ln1, clean)

        def streams(part: slice, moves: Tensor, rows: Tensor) -> Tensor:
            changed = moved(clean[part], moves, rows)
            q, k, v = project(part, moves, rows, changed)
            written = attn.mix(attn.hook_q(q), attn.hook_k(k), attn.hook_v(v), 0)
            return changed.flatten(0, 1) + self.hook_attn_out(written)

        return streams

    def after_mid(self, mid: Tensor, noise: Tensor | None = None) -> Tensor:
        """The block's output, from the stream at ``hook_resid_mid``."""
        read = self.ln1(mid) if self.post_norm else self.ln2(mid)
        written = dropout(self.mlp(read), self.dropout, noise, salt=2 * self.index + 1)
        start = read if self.post_norm else mid
        return self.after_post(self.hook_resid_post(start + self.hook_mlp_out(written)))

    def after_post(self, post: Tensor) -> Tensor:
        """The block's output, from the stream at ``hook_resid_post``."""
        return self.hook_normalized_resid_post(self.last_norm(post)) if self.post_norm else post

    @property
    def last_norm(self) -> nn.Module:
        """The norm after ``hook_resid_post``, in a block whose norms come last."""
        return self.ln2 if self.has_mlp else self.ln1


class Unembed(nn.Module):
    """``W_U [d_model, d_vocab_out]`` and, if the config has one, a bias."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.W_U = nn.Parameter(torch.zeros(config.d_model, config.d_vocab_out))
        self.bias = config.unembed_bias
        if self.bias:
            self.b_U = nn.Parameter(torch.zeros(config.d_vocab_out))

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Logits ``[..., d_vocab_out]`` of the final stream ``[..., d_model]``."""
        return x @ self.W_U + self.b_U if self.bias else x @ self.W_U
