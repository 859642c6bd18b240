"""The shape of a multilayer perceptron."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Literal

from interp.errors import InterpError, require_range
from interp.hooked.activation_functions import make_activation
from interp.hooked.config import MOST_LAYERS, Config
from interp.hooked.dropout import check_rate

Combine = Literal["concat", "sum", "product"]


@dataclass(frozen=True)
class MLPConfig(Config):
    """Shape of a `HookedMLP`.

    The input is either tokens ``[batch, operand]``, which are embedded and combined, or vectors ``[batch, d_in]``.

    Args:
        hidden: widths of the hidden layers, first to last; the unembedding follows the last.
        d_out: number of outputs.
        d_vocab: number of tokens; None for vectors.
        d_embed: width of a token's embedding.
        n_operands: tokens of an input.
        embedding: one ``"shared"`` table of embeddings, or one ``"per_operand"``.
        combine: ``"concat"`` or ``"sum"`` of the operands' embeddings, or their ``"product"`` in order as square
            matrices (Liu et al. 2022, https://arxiv.org/abs/2205.10343, for groups).
        d_in: width of vectors; None for tokens.
        act_fn: activation function of the hidden layers, a key of `ACTIVATIONS`.
        bias: whether hidden layers have biases.
        unembed_bias: whether the unembedding has a bias.
        dropout: rate at which entries drop out after every hidden activation function, before ``hook_post``.

    Raises:
        InterpError: values out of range, or that don't fit together.
        UnknownName: an activation function that is not known.
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
        if isinstance(self.hidden, (str, bytes)) or not isinstance(self.hidden, Iterable):
            raise InterpError(f"MLPConfig.hidden is a tuple of widths, such as (48,), got {self.hidden!r}")
        object.__setattr__(self, "hidden", tuple(self.hidden))
        require_range("the number of hidden layers", len(self.hidden), 0, MOST_LAYERS)
        if (self.d_vocab is None) == (self.d_in is None):
            raise InterpError("an MLPConfig takes either d_vocab (tokens in) or d_in (vectors in), not both")
        if self.d_vocab is not None and self.d_embed is None:
            raise InterpError("an MLPConfig with d_vocab also needs d_embed")
        inputs = ("d_in",) if self.d_vocab is None else ("d_vocab", "d_embed", "n_operands")
        self.require_counts(("hidden", "d_out", *inputs))
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
        check_rate(self.dropout)
        make_activation(self.act_fn)

    @property
    def width_in(self) -> int:
        """Number of inputs of the first layer."""
        if self.d_embed is None:
            return self.d_in or 0
        return self.d_embed * (self.n_operands if self.combine == "concat" else 1)
