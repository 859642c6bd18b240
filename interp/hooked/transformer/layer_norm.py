"""LayerNorm and RMSNorm, with hook points at their scale and their output."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from typing_extensions import override

from interp.hooked.hook_point import HookPoint
from interp.hooked.transformer.config import TransformerConfig


class LayerNorm(nn.Module):
    """Centre and scale over the features, with weights ``w`` and ``b`` unless ``LNPre``.

    Args:
        config: the transformer's.
    """

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.eps = config.ln_eps
        self.affine = config.normalization == "LN"
        if self.affine:
            self.w, self.b = nn.Parameter(torch.ones(config.d_model)), nn.Parameter(torch.zeros(config.d_model))
        self.hook_scale = HookPoint("batch", "pos", "unit")
        self.hook_normalized = HookPoint("batch", "pos", "unit")

    def scale(self, x: Tensor) -> Tensor:
        """Standard deviation over the features, including eps, ``[..., 1]``."""
        return (x.var(-1, correction=0, keepdim=True) + self.eps).sqrt()

    @override
    def forward(self, x: Tensor) -> Tensor:
        """``x [..., d_model]`` normalised, of the same shape."""
        x = x - x.mean(-1, keepdim=True)
        scale = self.hook_scale((x.pow(2).mean(-1, keepdim=True) + self.eps).sqrt())
        x = x / scale
        return self.hook_normalized(x * self.w + self.b if self.affine else x)


class RMSNorm(nn.Module):
    """Scale by the root mean square over the features, with weights ``w``: https://arxiv.org/abs/1910.07467.

    Args:
        config: the transformer's.
    """

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.eps, self.w = config.ln_eps, nn.Parameter(torch.ones(config.d_model))
        self.hook_scale = HookPoint("batch", "pos", "unit")
        self.hook_normalized = HookPoint("batch", "pos", "unit")

    @override
    def forward(self, x: Tensor) -> Tensor:
        """``x [..., d_model]`` normalised, of the same shape."""
        scale = self.hook_scale((x.pow(2).mean(-1, keepdim=True) + self.eps).sqrt())
        return self.hook_normalized(x / scale * self.w)


def make_norm(config: TransformerConfig) -> nn.Module:
    """A norm of the config's kind, or the identity if it has none."""
    if config.normalization is None:
        return nn.Identity()
    return RMSNorm(config) if config.normalization == "RMS" else LayerNorm(config)
