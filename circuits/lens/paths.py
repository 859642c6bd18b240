"""Paths through a transformer's weights: what a part writes, times what later parts read; norms folded in."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from interp.errors import InterpError, kind_of
from interp.hooked.base import HookedModel
from interp.subject import Subject, as_subject
from probes.unembedding import Unembedding, require_transformer

PART = re.compile(r"L(\d+)\s?(?:H(\d+)(?:\s([QKV]))?|(mlp))")
ENDS = "embed, pos_embed, a head such as L0H1, an MLP such as 'L0 mlp', or unembed"


@dataclass(frozen=True)
class PathWeights:
    """A transformer's weights as paths use them, in float64 by default.

    What a part reads comes through a norm: its weights are multiplied in, and a LayerNorm's subtraction of the mean, while its
    scale, which depends on the input, is left out; so are all biases.

    Attributes:
        name: of the network.
        model: the transformer.
        fold: whether norms are folded in.
    """

    name: str
    model: Any
    fold: bool = True

    @classmethod
    def of(cls, given: Subject | HookedModel, fold: bool = True, dtype: torch.dtype | None = None) -> PathWeights:
        """The weights of a network.

        Args:
            given: a transformer, or a wrapped bridge, or a Subject with one.
            fold: whether norms are folded in.
            dtype: the subject's precision by default.

        Returns:
            its weights.

        Raises:
            InterpError: another kind of network, or one whose norms stand in the residual stream.
        """
        subject = as_subject(given)
        require_transformer(subject.model)
        model: Any = subject.cast(dtype).model
        if getattr(model.cfg, "post_norm", False):
            raise InterpError(
                "norms stand in the residual stream (post_norm), so no path through the weights is linear"
            )
        return cls(subject.name, model, fold)

    def writes(self, part: str) -> Tensor:
        """What a part writes into the stream ``[features, d_model]``: tokens, positions, a head's values, neurons."""
        if part in ("embed", "pos_embed"):
            return getattr(self.model, {"embed": "W_E", "pos_embed": "W_pos"}[part]).detach()
        layer, head, _ = self.parsed(part)
        return (self.model.W_out[layer] if head is None else self.model.W_O[layer, head]).detach()

    def reads(self, part: str) -> Tensor:
        """What a part reads from the stream ``[d_model, features]``: logits, neurons, a head's queries, keys or values."""
        if part == "unembed":
            read = Unembedding.of(self.model)
            return read.directions(read.W_U.T).T if self.fold else read.W_U
        layer, head, which = self.parsed(part)
        if head is None:
            return self._folded(self.model.W_in[layer].detach(), layer, "ln2")
        return self._folded(getattr(self.model, f"W_{which or 'V'}")[layer, head].detach(), layer, "ln1")

    def read_by_all(self, which: str) -> Tensor:
        """What every head reads ``[layer, head, d_model, d_head]``."""
        weights = getattr(self.model, f"W_{which}").detach()
        return torch.stack([self._folded(w, i, "ln1") for i, w in enumerate(weights)])

    def _folded(self, weight: Tensor, layer: int, name: str) -> Tensor:
        if not self.fold or self.model.cfg.normalization_type is None:
            return weight
        blocks = self.model.blocks if hasattr(self.model, "blocks") else self.model.module.blocks
        norm = getattr(blocks[layer], name)
        scale = next((w.detach() for n in ("w", "weight") if isinstance(w := getattr(norm, n, None), Tensor)), None)
        weight = weight if scale is None else scale[:, None] * weight
        centred = self.model.cfg.normalization_type in ("LN", "LNPre")
        return weight - weight.mean(-2, keepdim=True) if centred else weight

    def parsed(self, part: str) -> tuple[int, int | None, str | None]:
        """Layer, head (None for an MLP), and what of a head is meant.

        Args:
            part: such as ``"L0H1"``, ``"L1H0 Q"`` or ``"L0 mlp"``.

        Returns:
            the three.

        Raises:
            InterpError: no such part in this network.
        """
        match = PART.fullmatch(part) if isinstance(part, str) else None
        cfg = self.model.cfg
        if match is None:
            raise InterpError(f"a path goes through {ENDS}, got {part!r}")
        layer, head = int(match[1]), None if match[2] is None else int(match[2])
        if layer >= cfg.n_layers or (head is not None and head >= cfg.n_heads) or (head is None and cfg.attn_only):
            parts = f"layers 0 to {cfg.n_layers - 1}, heads 0 to {cfg.n_heads - 1}" + (
                ", no MLPs" if cfg.attn_only else ""
            )
            raise InterpError(f"{self.name} has no {part!r}: {parts}")
        return layer, head, match[3]

    def order(self, part: str) -> float:
        """Where a part stands: parts write only for those after them."""
        if part in ("embed", "pos_embed"):
            return -1.0
        if part == "unembed":
            return math.inf
        layer, head, _ = self.parsed(part)
        return 2.0 * layer + (head is None)

    def scale(self, layer: int) -> float:
        """What attention scores are divided by."""
        if hasattr(self.model, "block"):
            return self.model.block(layer).attention.scale
        cfg = self.model.cfg
        if not cfg.use_attn_scale:
            return 1.0
        return float(cfg.attn_scale) if cfg.attn_scale > 0 else math.sqrt(cfg.d_head)  # -1 stands for the square root


def product(weights: PathWeights, path: str | Sequence[str]) -> Tensor:
    """The product of the weights along a path.

    Args:
        weights: of the network.
        path: parts, from the first to the last; or one text with arrows, ``"embed -> L0H1 -> unembed"``. Heads in between
            pass on what their values read (the OV circuit).

    Returns:
        ``[features of the first, features of the last]``.

    Raises:
        InterpError: no such path.
    """
    if isinstance(path, str):
        path = [one.strip() for one in path.split("->")]
    if not isinstance(path, (list, tuple)) or not all(isinstance(one, str) for one in path) or len(path) < 2:
        raise InterpError(f"a path is two or more parts, such as 'embed -> L0H1 -> unembed', got {_shown(path)}")
    places = [weights.order(one) for one in path]
    if any(a >= b for a, b in pairwise(places)):
        raise InterpError(f"a path runs from earlier parts to later ones, got {' -> '.join(path)}")
    if path[-1] in ("embed", "pos_embed") or path[0] == "unembed":
        raise InterpError(
            f"a path begins with what writes and ends with what reads the stream, got {' -> '.join(path)}"
        )
    found = weights.writes(path[0])
    for one in path[1:-1]:
        if weights.parsed(one)[1] is None:
            raise InterpError(
                f"{one} is not linear: a path may begin or end with neurons, and passes through heads only"
            )
        found = found @ weights.reads(one) @ weights.writes(one)
    return found @ weights.reads(path[-1])


def _shown(path: object) -> str:
    return repr(path) if isinstance(path, (str, list, tuple)) else kind_of(path)
