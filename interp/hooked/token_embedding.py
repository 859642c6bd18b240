"""The table of token embeddings that transformers and recurrent networks share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from typing_extensions import override

from interp.hooked.inputs import require_vocabulary


class Embed(nn.Module):
    """Token embeddings ``W_E [d_vocab, width]``.

    Args:
        d_vocab: number of tokens.
        width: of an embedding.
    """

    def __init__(self, d_vocab: int, width: int):
        super().__init__()
        self.W_E = nn.Parameter(torch.zeros(d_vocab, width))

    @override
    def forward(self, tokens: Tensor) -> Tensor:
        """``[batch, pos, width]``."""
        try:
            return self.W_E[tokens]
        except IndexError:
            require_vocabulary(tokens, len(self.W_E))  # names the token
            raise
