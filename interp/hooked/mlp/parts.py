"""The parts of a multilayer perceptron: embedding, layers and unembedding."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor, nn
from typing_extensions import override

from interp.hooked.activation_functions import make_activation
from interp.hooked.dropout import dropout
from interp.hooked.hook_point import HookPoint
from interp.hooked.inputs import require_vocabulary
from interp.hooked.mlp.config import Combine, MLPConfig
from interp.hooked.mlp.linear import linear


class Embed(nn.Module):
    """Token embeddings ``W_E [d_vocab, d_embed]``, or ``[operand, d_vocab, d_embed]`` with one table per operand."""

    def __init__(self, config: MLPConfig):
        super().__init__()
        self.per_operand = config.embedding == "per_operand"
        shape = (config.d_vocab or 0, config.d_embed or 0)
        self.W_E = nn.Parameter(torch.zeros((config.n_operands, *shape) if self.per_operand else shape))

    @override
    def forward(self, tokens: Tensor) -> Tensor:
        """Embeddings ``[..., operand, d_embed]``."""
        tables = (torch.arange(tokens.shape[-1], device=tokens.device),) if self.per_operand else ()
        try:
            if self.W_E.ndim == 2 + len(tables):
                return self.W_E[*tables, tokens]
            members = torch.arange(len(self.W_E), device=tokens.device).view(-1, 1, 1)
            return self.W_E[members, *tables, tokens]
        except IndexError:
            require_vocabulary(tokens, self.W_E.shape[-2])  # names the token
            raise


def combine(embedded: Tensor, how: Combine) -> Tensor:
    """Combine the operands' embeddings into the MLP's input.

    Args:
        embedded: ``[..., operand, unit]``.
        how: ``"concat"``, ``"sum"``, or ``"product"`` of the embeddings as square matrices.

    Returns:
        ``[..., features]``.
    """
    if how == "concat":
        return embedded.flatten(-2)
    if how == "sum":
        return embedded.sum(-2)
    side = math.isqrt(embedded.shape[-1])
    first, *rest = embedded.unflatten(-1, (side, side)).unbind(-3)  # each [..., m, m]
    return functools.reduce(torch.matmul, rest, first).flatten(-2)


class Layer(nn.Module):
    """``W [in, out]``, a bias unless switched off, and an activation function between two hook points."""

    def __init__(self, d_in: int, d_out: int, index: int, config: MLPConfig):
        super().__init__()
        self.act, self.bias = make_activation(config.act_fn), config.bias
        self.index, self.dropout = index, config.dropout
        self.W = nn.Parameter(torch.zeros(d_in, d_out))
        if self.bias:
            self.b = nn.Parameter(torch.zeros(d_out))
        self.hook_pre = HookPoint("batch", "unit")
        self.hook_post = HookPoint("batch", "unit")

    @override
    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """``[..., in]`` to ``[..., out]``."""
        return self.after_pre(self.hook_pre(linear(x, self.W, self.b if self.bias else None)), noise)

    def after_pre(self, pre: Tensor, noise: Tensor | None = None) -> Tensor:
        """The layer's output, from its ``hook_pre``."""
        # hook_post comes after the dropout: it passes what the next layer reads, so a change made there arrives unscaled
        return self.hook_post(dropout(self.act(pre), self.dropout, noise, salt=self.index))


class Unembed(nn.Module):
    """``W_U [in, d_out]`` and a bias unless switched off."""

    def __init__(self, d_in: int, config: MLPConfig):
        super().__init__()
        self.bias = config.unembed_bias
        self.W_U = nn.Parameter(torch.zeros(d_in, config.d_out))
        if self.bias:
            self.b_U = nn.Parameter(torch.zeros(config.d_out))

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Outputs ``[..., d_out]``."""
        return linear(x, self.W_U, self.b_U if self.bias else None)
