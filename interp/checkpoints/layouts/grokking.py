"""Checkpoints of neelnanda-io/Grokking (2022), which store most matrices as [out, in]."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

from einops import rearrange
from torch import Tensor
from typing_extensions import override

from interp.checkpoints.formats.tensors import TensorRef
from interp.checkpoints.layouts.base import Converted, FileInfo, Fit, Layout, Weights, unmapped_weights
from interp.hooked.transformer.config import TransformerConfig
from interp.tasks import ModularArithmetic, Task
from interp.tasks.modular import OPERATIONS

BLOCK = re.compile(r"(?:attn_)?blocks\.(\d{1,6})\.(attn\.W_[QKVO]|mlp\.(?:W_in|W_out|b_in|b_out))$")
OUTER = ("embed.W_E", "pos_embed.W_pos", "unembed.W_U")


class GrokkingLayout(Layout):
    """The transformers of Nanda et al. 2023 (https://arxiv.org/abs/2301.05217), as neelnanda-io/Grokking stores them."""

    name = "grokking"
    summary = (
        "neelnanda-io/Grokking checkpoints (W_E [d_model, vocab], W_O [d_model, head*d_head]; with or without MLP)"
    )
    options: ClassVar[Mapping[str, str]] = {"act_fn": "the MLP's activation (relu in the published runs)"}

    @override
    def matches(self, weights: Weights, info: FileInfo) -> Fit:
        blocks = _blocks(weights)
        missing = [n for n in OUTER if n not in weights]
        missing += [f"blocks.0.attn.W_{c}" for c in "QKVO" if f"0.attn.W_{c}" not in blocks]
        if missing:
            output = blocks.get("0.attn.W_O")
            sure = 0.5 if output is not None and output.ndim != 2 else 1.0
            return Fit(False, sure * (1 - len(missing) / 7), f"it also needs {', '.join(missing)}")
        if blocks["0.attn.W_O"].ndim != 2:
            return Fit(
                False, 0.8, f"W_O has {blocks['0.attn.W_O'].ndim} axes; this layout keeps [d_model, head*d_head]"
            )
        whole = {**{n: weights[n] for n in OUTER}, **blocks}
        if odd := next((n for n, ref in whole.items() if ref.ndim != _axes(n)), None):
            return Fit(False, 0.8, f"{odd} is {list(whole[odd].shape)}; this layout keeps {_axes(odd)} axes")
        d_model = weights["pos_embed.W_pos"].shape[-1]
        heads, d_head, _ = blocks["0.attn.W_Q"].shape if blocks["0.attn.W_Q"].ndim == 3 else (0, 0, 0)
        vocab = weights["embed.W_E"].shape[-1]
        expected: dict[str, tuple[TensorRef, tuple[int, ...]]] = {
            "embed.W_E": (weights["embed.W_E"], (d_model, vocab)),
            "unembed.W_U": (weights["unembed.W_U"], (d_model, weights["unembed.W_U"].shape[-1])),
        }
        for block, ref in blocks.items():
            part = block.partition(".")[2]
            if part in ("attn.W_Q", "attn.W_K", "attn.W_V"):
                expected[block] = (ref, (heads, d_head, d_model))
            elif part == "attn.W_O":
                expected[block] = (ref, (d_model, heads * d_head))
            elif part in ("mlp.W_in", "mlp.W_out"):
                d_mlp = ref.shape[0 if part == "mlp.W_in" else -1]
                expected[block] = (ref, (d_mlp, d_model) if part == "mlp.W_in" else (d_model, d_mlp))
        for name, (ref, shape) in expected.items():
            if ref.shape != shape:
                return Fit(False, 0.9, f"{name} is {list(ref.shape)}, expected {list(shape)}")
        return Fit(True, 1.0)

    @override
    def convert(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Converted:
        blocks = _blocks(weights)
        heads, d_head, d_model = blocks["0.attn.W_Q"].shape
        has_mlp = "0.mlp.W_in" in blocks
        config = TransformerConfig(
            n_layers=1 + max(int(n.partition(".")[0]) for n in blocks), d_model=d_model, n_heads=heads, d_head=d_head,
            d_vocab=weights["embed.W_E"].shape[-1], d_vocab_out=weights["unembed.W_U"].shape[-1],
            n_ctx=weights["pos_embed.W_pos"].shape[0], d_mlp=blocks["0.mlp.W_in"].shape[0] if has_mlp else None,
            act_fn=options.get("act_fn", info.config.get("act_type", "relu").lower()), causal=True,
        )  # fmt: skip
        converted = {
            "embed.W_E": weights["embed.W_E"].load().T,
            "pos_embed.W_pos": weights["pos_embed.W_pos"].load(),
            "unembed.W_U": weights["unembed.W_U"].load(),
        }
        for name, ref in blocks.items():
            converted[f"blocks.{name}"] = _ours(name, ref.load(), heads)
        kept = {*OUTER, *(n for n in weights if BLOCK.match(n))}
        extra = tuple(n for n in weights if n not in kept)
        return Converted(config, converted, extra, warnings=unmapped_weights(extra))

    @override
    def task(self, config: Mapping[str, Any]) -> tuple[Task | None, str | None]:
        """Modular arithmetic from ``p``, ``fn_name``, ``frac_train`` and ``seed``, split by Python's shuffle."""
        if "p" not in config or "fn_name" not in config:
            return None, None
        operation = {"x2xyy2": "x^2+xy+y^2"}.get(config["fn_name"], config["fn_name"])
        if operation not in OPERATIONS:
            return None, f"the config's function {operation!r} is not one of {', '.join(OPERATIONS)}: give --task"
        fraction, seed = config.get("frac_train", 0.3), config.get("seed", 0)
        return ModularArithmetic(int(config["p"]), operation, float(fraction), int(seed)), None


def _blocks(weights: Weights) -> dict[str, TensorRef]:
    """``0.attn.W_Q`` and so on, whether the file calls them ``blocks`` or ``attn_blocks``."""
    return {f"{m.group(1)}.{m.group(2)}": ref for n, ref in weights.items() if (m := BLOCK.match(n))}


def _axes(name: str) -> int:
    """The number of axes of a tensor."""
    part = name.rpartition(".")[2]
    return 3 if part in ("W_Q", "W_K", "W_V") else 2 if part.startswith("W_") else 1


def _ours(name: str, tensor: Tensor, heads: int) -> Tensor:
    part = name.rpartition(".")[2]
    if part in ("W_Q", "W_K", "W_V"):
        return rearrange(tensor, "head d_head d_model -> head d_model d_head")
    if part == "W_O":
        return rearrange(tensor, "d_model (head d_head) -> head d_head d_model", head=heads)
    return tensor.T if part in ("W_in", "W_out") else tensor


LAYOUT = GrokkingLayout()
