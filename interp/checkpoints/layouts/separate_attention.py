"""Transformers whose attention is written out: a matrix each for queries, keys, values, one module a head, or ``qkv``."""

from __future__ import annotations

import re
from typing import ClassVar

from typing_extensions import override

from interp.checkpoints.layouts.block_attention import AttentionParts
from interp.checkpoints.layouts.found_transformer import Found
from interp.checkpoints.layouts.transformer_blocks import TransformerBlocks

FIRST = re.compile(r"input_|pre_|attention_norm|(?<!self_)attn_norm|ln_?1|ln1")


class SeparateAttentionLayout(TransformerBlocks):
    """Attention of Linear layers or bare matrices: ``W_q``, ``query``, ``to_q``, ``q_proj``, ``heads.H.W_Q``, ``qkv``."""

    name: ClassVar[str] = "separate_attention"
    summary: ClassVar[str] = (
        "transformers whose attention is written out: W_q, W_k, W_v, W_o (any names), one module a head, fused qkv"
    )

    @override
    def owns(self, attention: AttentionParts) -> bool:
        of_torch = all(m.weight.endswith("_proj_weight") for m in attention.inputs)
        return bool(attention.inputs) and not of_torch and attention.inputs[0].label != "c_attn"

    @override
    def default_activation(self, found: Found) -> str:
        gelu = found.mlp is not None and found.mlp.into.label == "c_fc"
        return "gelu" if gelu else super().default_activation(found)

    @override
    def default_norm_first(self, found: Found) -> bool:
        return super().default_norm_first(found) or any(FIRST.search(m.name) for m in found.norms)


LAYOUT = SeparateAttentionLayout()
