"""Base of the layouts of transformers that people write themselves: blocks under any prefix, found by names and shapes."""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from typing_extensions import override

from interp.checkpoints.layouts.activations import with_entries_below
from interp.checkpoints.layouts.architectures import Architecture, architecture_of, lacking
from interp.checkpoints.layouts.base import Converted, FileInfo, Fit, Layout, Weights
from interp.checkpoints.layouts.block_attention import AttentionParts
from interp.checkpoints.layouts.block_names import FUSED, Module, NoFit, is_attention
from interp.checkpoints.layouts.found_transformer import Found, find_transformer
from interp.checkpoints.layouts.transformer_reading import Defaults, TransformerReading
from interp.checkpoints.layouts.unstated import OPTIONS, Unstated
from interp.errors import InterpError

TRANSFORMER_LENS = {"embed.W_E", "pos_embed.W_pos", "unembed.W_U"}
OTHERS = re.compile(r"(?:attn_)?blocks\.\d+\.attn\.W_[QKVO]$")  # of transformer_lens and grokking


class TransformerBlocks(Layout):
    """Blocks of attention and MLP by any names; a subclass says which attention is its own, and what it assumes."""

    options: ClassVar[Mapping[str, str]] = OPTIONS
    causal: ClassVar[bool] = True

    @abstractmethod
    def owns(self, attention: AttentionParts) -> bool:
        """Whether this family keeps attention so."""

    def default_activation(self, found: Found) -> str:
        """The activation if nothing states it."""
        return "silu" if found.mlp is not None and found.mlp.gated else "relu"

    def default_norm_first(self, found: Found) -> bool:
        """Where the norms stand if nothing states it: a last norm is needed only where they come first."""
        return found.outer.norm is not None

    def default_causal(self, found: Found) -> bool:
        """Whether attention is causal if nothing states it."""
        return True

    @override
    def matches(self, weights: Weights, info: FileInfo) -> Fit:
        if TRANSFORMER_LENS & weights.keys() and any(OTHERS.match(n) for n in weights):
            return Fit(False, 0.0, "names and shapes are those of another layout")
        try:
            found = find_transformer(weights, info.ordered)
        except NoFit as why:
            mine = str(why) and self._speaks_of(weights)
            return Fit(False, 0.95 if mine else 0.0, str(why) or "it has no weights of queries, keys and values")
        if not self.owns(found.attention):
            return Fit(False, 0.0, "its attention is kept in another way")
        if problem := lacking(with_entries_below(info.config)):
            return Fit(False, 1.0, problem)
        unstated = Unstated(self, info.config, {})
        try:
            unstated.heads(found.attention.inner, found.attention.heads)
        except InterpError:
            return Fit(True, 1.0, certain=True, question="n_heads must be given")
        return Fit(True, 1.0, certain=True)

    def _speaks_of(self, weights: Weights) -> bool:
        """Whether the names of the attention are this family's, though something else does not fit."""
        named = [Module(re.sub(r"[._](?:weight|bias)$", "", n), n, None, t.shape, True) for n, t in weights.items()]
        fused = next((m for m in named if FUSED.fullmatch(m.label) and m.tensors[0].endswith("weight")), None)
        apart = tuple((m,) for m in named if is_attention(m.weight, len(m.shape)))
        return self.owns(AttentionParts(fused, apart, (), 1, 1, None))

    @override
    def convert(self, weights: Weights, info: FileInfo, options: Mapping[str, Any]) -> Converted:
        published = architecture_of(weights, info.config)
        unstated = Unstated(self, info.config, options, published)
        found = find_transformer(weights, info.ordered)
        defaults = self._defaults(found, published)
        reading = TransformerReading(weights, found, unstated, defaults)
        config = reading.config()
        try:
            converted = reading.weights_of(config)
        except NoFit as why:
            raise InterpError(f"layout {self.name}: {why}; open it with interp.wrap and your class") from None
        notes = (*unstated.note(), *reading.notes)
        return Converted(config, converted, found.skeleton.buffers, notes, warnings=tuple(reading.warnings))

    def _defaults(self, found: Found, published: Architecture | None) -> Defaults:
        """What is assumed where nothing states it: what the published code does, else what most do."""
        usually = {} if published is None else published.usually
        return Defaults(
            usually.get("act_fn", self.default_activation(found)),
            usually.get("norm_first", self.default_norm_first(found)),
            usually.get("causal", self.default_causal(found)),
        )
