"""Transformers built of torch.nn.MultiheadAttention, or of nn.TransformerEncoderLayer."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from interp.checkpoints.layouts.block_attention import AttentionParts
from interp.checkpoints.layouts.found_transformer import Found
from interp.checkpoints.layouts.transformer_blocks import TransformerBlocks


class MultiheadAttentionLayout(TransformerBlocks):
    """``in_proj_weight``, ``out_proj``: https://docs.pytorch.org/docs/stable/generated/torch.nn.MultiheadAttention.html."""

    name: ClassVar[str] = "multihead_attention"
    summary: ClassVar[str] = (
        "transformers of nn.MultiheadAttention (in_proj_weight, out_proj) or nn.TransformerEncoderLayer, any names around"
    )

    @override
    def owns(self, attention: AttentionParts) -> bool:
        return all(m.weight.endswith("_proj_weight") for m in attention.inputs)

    @override
    def default_norm_first(self, found: Found) -> bool:
        return super().default_norm_first(found) and not _is_encoder_layer(found)

    @override
    def default_causal(self, found: Found) -> bool:
        return not _is_encoder_layer(found)


def _is_encoder_layer(found: Found) -> bool:
    """Whether a block is torch's own layer, which puts its norms last and masks nothing unless told to."""
    return (
        found.mlp is not None
        and found.attention.inputs[0].name.startswith("self_attn.")
        and found.mlp.into.name == "linear1"
    )


LAYOUT = MultiheadAttentionLayout()
