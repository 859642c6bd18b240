"""A transformer's tensors, each with its place: found by names and shapes together."""

from __future__ import annotations

from dataclasses import dataclass

from interp.checkpoints.layouts.base import Weights
from interp.checkpoints.layouts.block_attention import AttentionParts, find_attention
from interp.checkpoints.layouts.block_mlp import MLPParts, find_mlp, order_norms
from interp.checkpoints.layouts.block_names import FEW, ROTARY, Module, NoFit, Skeleton, is_attention, modules, skeleton
from interp.checkpoints.layouts.outer_parts import OuterParts, find_outer, is_outer


@dataclass(frozen=True)
class Found:
    """A transformer's tensors, each with its place.

    Attributes:
        skeleton: blocks and what stands around them.
        outer: what stands around the blocks.
        attention: of each block.
        mlp: of each block; None without.
        norms: of each block, attention's first; empty without.
    """

    skeleton: Skeleton
    outer: OuterParts
    attention: AttentionParts
    mlp: MLPParts | None
    norms: tuple[Module, ...]

    @property
    def names(self) -> list[str]:
        """Names of the norms."""
        return [m.name for m in (*self.norms, *([self.outer.norm] if self.outer.norm else []))]


def find_transformer(weights: Weights, ordered: bool) -> Found:
    """Give every tensor its place.

    Args:
        weights: the tensors by name.
        ordered: whether they come in the order in which the network registered them.

    Returns:
        The transformer.

    Raises:
        NoFit: no attention (without a message), or something without a place.
    """
    rotary = [n for n in weights if ROTARY.search(n)]
    if rotary and any(is_attention(n, t.ndim) for n, t in weights.items()):
        raise NoFit(f"positions enter attention itself, which our transformer lacks: {', '.join(rotary[:FEW])}")
    bones = skeleton(weights)
    block, outer = modules(bones.blocks[0], weights, bones.blocks[0]), modules(bones.outer, weights)
    if not outer:
        outer = [m for m in block if is_outer(m)]
        block = [m for m in block if m not in outer]
    streams = {n for m in block if is_attention(m.weight, len(m.shape)) for n in m.shape}
    around = find_outer(outer, streams)
    attention = find_attention(block, around.d_model)
    rest = [m for m in block if not attention.used & set(m.tensors)]
    mlp = find_mlp([m for m in rest if len(m.shape) > 1], around.d_model, ordered)
    flat = [m for m in rest if len(m.shape) == 1]
    if odd := [m.weight for m in flat if m.shape != (around.d_model,) or m.weight.endswith("bias")]:
        raise NoFit(f"tensors of a block without a place: {', '.join(odd[:FEW])}")
    norms = order_norms(flat, mlp is not None, ordered)
    return Found(bones, around, attention, mlp, norms)
