"""The parts of a multilayer perceptron: its config, embedding, layers and unembedding."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from interp.errors import InterpError
from interp.hooked.base import Config, HookPoint, make_activation
from interp.hooked.dropout import check_rate, dropout
from interp.hooked.mlp.linear import linear

Combine = Literal["concat", "sum", "product"]


@dataclass(frozen=True)
class MLPConfig(Config):
    """Shape of a `HookedMLP`.

    With ``d_vocab`` the input is tokens ``[batch, operand]``, embedded by one shared table or by one per operand and
    then concatenated, summed, or multiplied in order as square matrices (``"product"``: Liu et al. 2022, for groups);
    without it the input is vectors ``[batch, d_in]``. ``hidden`` lists the widths of the hidden layers, first to last;
    the unembedding follows the last. ``dropout`` acts behind every hidden activation, before ``hook_post``.
    """

    kind: ClassVar[str] = "mlp"

    hidden: tuple[int, ...]
    d_out: int
    d_vocab: int | None = None
    d_embed: int | None = None
    n_operands: int = 2
    embedding: Literal["shared", "per_operand"] = "shared"
    combine: Combine = "concat"
    d_in: int | None = None
    act_fn: str = "relu"
    bias: bool = True
    unembed_bias: bool = True
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if (self.d_vocab is None) == (self.d_in is None):
            raise InterpError("an MLPConfig takes either d_vocab (tokens in) or d_in (vectors in), and not both")
        if self.d_vocab is not None and self.d_embed is None:
            raise InterpError("an MLPConfig with d_vocab also needs d_embed")
        if self.embedding not in ("shared", "per_operand") or self.combine not in ("concat", "sum", "product"):
            raise InterpError(
                "MLPConfig.embedding is 'shared' or 'per_operand' and combine is 'concat', 'sum' or 'product'; "
                f"got {self.embedding!r} and {self.combine!r}"
            )
        if self.combine == "product" and (self.d_embed is None or math.isqrt(self.d_embed) ** 2 != self.d_embed):
            raise InterpError(
                "combine 'product' multiplies the operands' embeddings as m x m matrices, so MLPConfig.d_embed must be "
                f"a square number, got {self.d_embed}"
            )
        if min((self.d_out, *self.hidden)) < 1:
            raise InterpError(f"widths must be at least 1, got hidden {self.hidden} and d_out {self.d_out}")
        check_rate(self.dropout)
        make_activation(self.act_fn)

    @property
    def width_in(self) -> int:
        """Features that reach the first layer."""
        if self.d_embed is None:
            return self.d_in or 0
        return self.d_embed * (self.n_operands if self.combine == "concat" else 1)


class Embed(nn.Module):
    """``W_E [d_vocab, d_embed]``, or ``[operand, d_vocab, d_embed]`` with a table per operand."""

    def __init__(self, config: MLPConfig):
        super().__init__()
        self.per_operand = config.embedding == "per_operand"
        shape = (config.d_vocab or 0, config.d_embed or 0)
        self.W_E = nn.Parameter(torch.zeros((config.n_operands, *shape) if self.per_operand else shape))

    def forward(self, tokens: Tensor) -> Tensor:
        tables = (torch.arange(tokens.shape[-1], device=tokens.device),) if self.per_operand else ()
        if self.W_E.ndim == 2 + len(tables):
            return self.W_E[*tables, tokens]
        members = torch.arange(len(self.W_E), device=tokens.device).view(-1, 1, 1)
        return self.W_E[members, *tables, tokens]


def combine(embedded: Tensor, how: Combine) -> Tensor:
    """The operands' embeddings ``[..., operand, unit]`` as one vector ``[..., features]``."""
    if how == "concat":
        return embedded.flatten(-2)
    if how == "sum":
        return embedded.sum(-2)
    side = math.isqrt(embedded.shape[-1])
    first, *rest = embedded.unflatten(-1, (side, side)).unbind(-3)  # each [..., m, m]
    return functools.reduce(torch.matmul, rest, first).flatten(-2)


class Layer(nn.Module):
    """``W [in, out]``, a bias unless switched off, and an activation between two hook points."""

    def __init__(self, d_in: int, d_out: int, index: int, config: MLPConfig):
        super().__init__()
        self.act, self.bias = make_activation(config.act_fn), config.bias
        self.index, self.dropout = index, config.dropout
        self.W = nn.Parameter(torch.zeros(d_in, d_out))
        if self.bias:
            self.b = nn.Parameter(torch.zeros(d_out))
        self.hook_pre = HookPoint("batch", "unit")
        self.hook_post = HookPoint("batch", "unit")

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        return self.after_pre(self.hook_pre(linear(x, self.W, self.b if self.bias else None)), noise)

    def after_pre(self, pre: Tensor, noise: Tensor | None = None) -> Tensor:
        # hook_post is behind the dropout: it passes what the next layer reads, and a change made there arrives whole
        return self.hook_post(dropout(self.act(pre), self.dropout, noise, salt=self.index))


class Unembed(nn.Module):
    def __init__(self, d_in: int, config: MLPConfig):
        super().__init__()
        self.bias = config.unembed_bias
        self.W_U = nn.Parameter(torch.zeros(d_in, config.d_out))
        if self.bias:
            self.b_U = nn.Parameter(torch.zeros(config.d_out))

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.W_U, self.b_U if self.bias else None)
