"""The shape of a transformer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import ClassVar, Literal

from interp.errors import InterpError
from interp.hooked.activation_functions import make_activation
from interp.hooked.config import Config
from interp.hooked.dropout import check_rate

Normalization = Literal["LN", "LNPre", "RMS"] | None


@dataclass(frozen=True)
class TransformerConfig(Config):
    """Shape of a `HookedTransformer`; the names are TransformerLens's.

    Args:
        n_layers: number of blocks.
        d_model: width of the residual stream.
        n_heads: attention heads in each block.
        d_head: width of a head's queries, keys and values.
        d_vocab: number of input tokens.
        d_vocab_out: number of logits.
        n_ctx: positions of the longest input.
        d_mlp: hidden neurons of each block's MLP; None leaves the MLPs out.
        act_fn: activation function of the MLPs, a key of `ACTIVATIONS`.
        normalization: None, ``"LN"``, ``"LNPre"`` (centre and scale without weights), or ``"RMS"`` (scale only, with weights).
        causal: whether a position attends only to itself and earlier ones.
        attn_bias: whether attention has biases.
        mlp_bias: whether the MLPs have biases.
        unembed_bias: whether the unembedding has a bias.
        ln_eps: added to a LayerNorm's variance.
        readout: compute the last block and the logits only at this position; keys and values still come from all. None
            computes every position.
        dropout: rate at which entries drop out of what attention and MLPs write into the residual stream.
        post_norm: whether the norms come after attention and MLP have been added to the residual stream, as in the
            original transformer (https://arxiv.org/abs/1706.03762), not before they read it.
        final_norm: whether a norm comes before the unembedding, if there is a normalization.
        gated_mlp: whether the MLPs multiply ``act_fn(x @ W_gate)`` by ``x @ W_in``
            (https://arxiv.org/abs/2002.05202).
        positions: whether positions have embeddings.
        attn_scale: attention scores are divided by it; None for the square root of ``d_head``.

    Raises:
        InterpError: a value outside its range.
        UnknownName: an activation function that is not known.
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
    post_norm: bool = False
    final_norm: bool = True
    gated_mlp: bool = False
    positions: bool = True
    attn_scale: float | None = None

    def __post_init__(self) -> None:
        self.require_counts(("n_layers", "d_model", "n_heads", "d_head", "d_vocab", "d_vocab_out", "n_ctx"))
        if self.d_mlp is not None:
            self.require_counts(["d_mlp"], low=0)
        if self.normalization not in (None, "LN", "LNPre", "RMS"):
            raise InterpError(f"normalization must be None, 'LN', 'LNPre' or 'RMS', got {self.normalization!r}")
        if self.post_norm and self.normalization is None:
            raise InterpError("post_norm says where the norms stand, but normalization is None: choose 'LN' or 'RMS'")
        self.require_flags(("causal", "post_norm", "final_norm", "gated_mlp", "positions"))
        if self.attn_scale is not None:
            number = isinstance(self.attn_scale, Real) and not isinstance(self.attn_scale, bool)
            if not number or not 0 < self.attn_scale < math.inf:
                raise InterpError(f"attn_scale must be a positive number, got {self.attn_scale!r}")
        if self.readout is not None and not -self.n_ctx <= self.readout < self.n_ctx:
            raise InterpError(f"readout {self.readout} is outside a context of {self.n_ctx}")
        check_rate(self.dropout)
        make_activation(self.act_fn)
