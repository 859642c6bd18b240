"""The shape of a transformer, and its LayerNorm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from interp.errors import InterpError
from interp.hooked.base import Config, HookPoint, make_activation
from interp.hooked.dropout import check_rate

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


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape))


class LayerNorm(nn.Module):
    """Centre and scale over the features, with weights ``w`` and ``b`` unless ``LNPre``."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.eps = config.ln_eps
        self.affine = config.normalization == "LN"
        if self.affine:
            self.w, self.b = nn.Parameter(torch.ones(config.d_model)), parameter(config.d_model)
        self.hook_scale = HookPoint("batch", "pos", "unit")
        self.hook_normalized = HookPoint("batch", "pos", "unit")

    def scale(self, x: Tensor) -> Tensor:
        """Standard deviation over the features, with eps ``[..., 1]``."""
        return (x.var(-1, correction=0, keepdim=True) + self.eps).sqrt()

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean(-1, keepdim=True)
        scale = self.hook_scale((x.pow(2).mean(-1, keepdim=True) + self.eps).sqrt())
        x = x / scale
        return self.hook_normalized(x * self.w + self.b if self.affine else x)


def make_norm(config: TransformerConfig) -> nn.Module:
    return LayerNorm(config) if config.normalization else nn.Identity()
