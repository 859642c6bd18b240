"""GPT-2's names: nanoGPT (nn.Linear) and Hugging Face's GPT2LMHeadModel (Conv1D), told apart by their shapes."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from interp.checkpoints.layouts.block_attention import AttentionParts
from interp.checkpoints.layouts.found_transformer import Found
from interp.checkpoints.layouts.transformer_blocks import TransformerBlocks


class GPT2Layout(TransformerBlocks):
    """``h.N.attn.c_attn``: https://github.com/karpathy/nanoGPT and Hugging Face transformers."""

    name: ClassVar[str] = "gpt2"
    summary: ClassVar[str] = "nanoGPT (c_attn.weight [3d, d]) and Hugging Face GPT-2 (Conv1D, c_attn.weight [d, 3d])"

    @override
    def owns(self, attention: AttentionParts) -> bool:
        return attention.fused is not None and attention.fused.label == "c_attn"

    @override
    def default_activation(self, found: Found) -> str:
        fused = found.attention.fused
        conv1d = fused is not None and fused.shape[0] == found.attention.d_model
        return "gelu_new" if conv1d else "gelu"

    @override
    def default_norm_first(self, found: Found) -> bool:
        return True


LAYOUT = GPT2Layout()
