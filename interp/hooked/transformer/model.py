"""A transformer small enough to read, with TransformerLens's names, shapes and hook points."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from interp.errors import InterpError, UnknownSite
from interp.hooked.base import HookedModel, HookPoint, NormedRest
from interp.hooked.transformer.attention import moved
from interp.hooked.transformer.components import Block, Embed, PosEmbed, Unembed
from interp.hooked.transformer.config import LayerNorm, TransformerConfig, make_norm
from interp.hooked.transformer.fused import Unwatched


class HookedTransformer(HookedModel):
    """Tokens ``[batch, pos]`` to logits ``[batch, pos, d_vocab_out]`` (one position with ``config.readout``).

    Hook points and weights carry the names and shapes of TransformerLens's former HookedTransformer:
    ``W_E [d_vocab, d_model]``, ``W_Q [layer, head, d_model, d_head]``, ``W_in [layer, d_model, d_mlp]``, ...

    ``forward(tokens, noise)``: ``noise`` is the key of this pass's dropout (`dropout.uniform`); without it, and in
    `resume`, nothing drops out. With a readout the last block has other entries to drop than without.
    """

    config_class = TransformerConfig
    config: TransformerConfig  # pyright: ignore[reportIncompatibleVariableOverride]  set once, by the constructor

    def __init__(self, config: TransformerConfig):
        super().__init__(config)
        self.embed, self.pos_embed = Embed(config), PosEmbed(config)
        self.hook_embed = HookPoint("batch", "pos", "unit")
        self.hook_pos_embed = HookPoint("batch", "pos", "unit")
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layers))
        self.ln_final, self.unembed = make_norm(config), Unembed(config)
        self.hook_logits = HookPoint("batch", "pos", "unit")
        self.setup()

    def forward(self, tokens: Tensor, noise: Tensor | None = None) -> Tensor:
        if tokens.shape[-1] > self.config.n_ctx:
            raise InterpError(f"{tokens.shape[-1]} positions given; the model's context is {self.config.n_ctx}")
        return self._after_embed(self.hook_embed(self.embed(tokens)), noise)

    def _after_embed(self, embedded: Tensor, noise: Tensor | None = None) -> Tensor:
        batch, n_pos = embedded.shape[:2]
        return self._from_block(embedded + self.hook_pos_embed(self.pos_embed(batch, n_pos)), 0, noise)

    def _from_block(self, resid: Tensor, first: int, noise: Tensor | None = None) -> Tensor:
        for layer in range(first, self.config.n_layers):
            resid = self.blocks[layer](resid, self._readout(layer), noise)
        return self.hook_logits(self.unembed(self.ln_final(resid)))

    def _readout(self, layer: int) -> int | None:
        return self.config.readout if layer == self.config.n_layers - 1 else None

    def read_at(self, position: int) -> HookedTransformer:
        """The same weights, computed in the last block at ``position`` alone (shared, not copied)."""
        with torch.device("meta"):
            reader = HookedTransformer(replace(self.config, readout=position))
        reader.load_state_dict(self.state_dict(keep_vars=True), strict=True, assign=True)
        return reader

    def resume(self, site: str, activation: Tensor) -> Tensor:
        """Run on from ``hook_embed`` or from ``blocks.i.hook_resid_pre``, ``_mid`` or ``_post``.

        ``activation [batch, pos, d_model]``; behind the last block's attention it may hold fewer positions.
        """
        if site == "hook_embed":
            return self._after_embed(activation)
        layer, point = self._place(site)
        if layer is not None:
            block = self.block(layer)
            if point == "hook_resid_pre":
                return self._from_block(block.after_pre(activation, self._readout(layer)), layer + 1)
            if point == "hook_resid_mid" and block.has_mlp:
                return self._from_block(block.after_mid(activation), layer + 1)
            if point == "hook_resid_post":
                return self._from_block(activation, layer + 1)
        raise UnknownSite(
            f"cannot resume a transformer at {site!r}; it resumes at hook_embed and at "
            f"blocks.0..{len(self.blocks) - 1}.hook_resid_pre, hook_resid_mid (where there is an MLP), hook_resid_post"
        )

    def block(self, layer: int) -> Block:
        block = self.blocks[layer]
        assert isinstance(block, Block)
        return block

    def _place(self, site: str) -> tuple[int | None, str]:
        """Layer and the rest of the name of a site inside a block."""
        parts = site.split(".", 2)
        if len(parts) == 3 and parts[0] == "blocks" and parts[1].isdigit() and int(parts[1]) < len(self.blocks):
            return int(parts[1]), parts[2]
        return None, site

    def follow(self, site: str, clean: Tensor) -> Callable[[slice, Tensor, Tensor], Tensor]:
        layer, point = self._place(site)
        index = -1 if layer is None else layer + ("resid_post" in point)
        readable = point in ("hook_resid_pre", "hook_resid_post") and 0 <= index < self.config.n_layers
        first = layer if point == "hook_resid_mid" else index if readable else None
        if first is not None and self._computes_all() and not self._watched_from(first):
            return self._follow_unwatched(point, first, clean)
        if not readable or self._readout(index) is not None or self._reads_watched(index):
            return super().follow(site, clean)
        block = self.block(index).follow(clean)

        def of(part: slice, moves: Tensor, rows: Tensor) -> Tensor:
            mid = self.block(index).behind_attn(block(part, moves, rows))
            return self._from_block(mid, index + 1).unflatten(0, moves.shape[:2])

        return of

    def _follow_unwatched(self, point: str, layer: int, clean: Tensor) -> Callable[[slice, Tensor, Tensor], Tensor]:
        rest = Unwatched(self, layer, clean.shape[-2])
        block = None if point == "hook_resid_mid" else self.block(layer).follow(clean)

        def of(part: slice, moves: Tensor, rows: Tensor) -> Tensor:
            mid = moved(clean[part], moves, rows).flatten(0, 1) if block is None else block(part, moves, rows)
            return rest.behind(layer, mid).unflatten(0, moves.shape[:2])

        return of

    def _computes_all(self) -> bool:
        return self.config.readout is None and not torch.is_grad_enabled()

    def _watched_from(self, layer: int) -> bool:
        """Whether somebody watches a hook point of a layer or of what comes behind it."""
        early = ("hook_embed", "hook_pos_embed", *(f"blocks.{i}." for i in range(layer)))
        return any(not name.startswith(early) for name in self.watched_sites())

    def _reads_watched(self, index: int) -> bool:
        """Whether somebody watches what the algebra of `follow` passes by."""
        names = ("hook_resid_pre", "ln1.hook_scale", "ln1.hook_normalized")
        points = (self.hook_dict.get(f"blocks.{index}.{name}") for name in names)
        return any(isinstance(p, HookPoint) and p.watched for p in points)

    def writes(self, site: str) -> tuple[str, Tensor | None]:
        """Neurons, heads and their outputs write into the residual stream behind them; the stream's sites into themselves."""
        layer, point = self._place(site)
        if layer is None:
            if site == "hook_embed":
                return site, None
        else:
            block = self.block(layer)
            post = f"blocks.{layer}.hook_resid_post"
            after_attn = f"blocks.{layer}.hook_resid_mid" if block.has_mlp else post
            if point == "attn.hook_z":
                return after_attn, block.attn.W_O.flatten(0, 1)
            if point == "hook_attn_out":
                return after_attn, None
            if point == "mlp.hook_post" and block.has_mlp:
                return post, block.mlp.W_out
            if point == "hook_mlp_out" and block.has_mlp:
                return post, None
            if point in ("hook_resid_pre", "hook_resid_mid", "hook_resid_post") and site in self.hook_dict:
                return site, None
        raise UnknownSite(
            f"a change at {site!r} does not arrive linearly at any site that the model can be resumed at; use "
            "hook_z, hook_attn_out, hook_post, hook_mlp_out or the residual stream"
        )

    def reads(self, parameter: str) -> str | None:
        """The last block's MLP acts on ``hook_resid_mid``, the unembedding on ``hook_resid_post``, both at the readout alone.

        What comes before would have to be kept at all positions: it is computed again.
        """
        last = f"blocks.{self.config.n_layers - 1}"
        if parameter.startswith(("unembed.", "ln_final.")):
            return f"{last}.hook_resid_post"
        return f"{last}.hook_resid_mid" if parameter.startswith((f"{last}.mlp.", f"{last}.ln2.")) else None

    def linear_rest(self, site: str) -> Tensor | NormedRest | None:
        """``W_U [d_model, d_vocab_out]`` after the last block, behind the final LayerNorm where there is one."""
        if site != f"blocks.{self.config.n_layers - 1}.hook_resid_post":
            return None
        if not isinstance(self.ln_final, LayerNorm):
            return self.W_U
        matrix = self.ln_final.w[:, None] * self.W_U if self.ln_final.affine else self.W_U
        return NormedRest(matrix, self.ln_final.eps)

    def init_std(self, name: str, parameter: Tensor) -> float | None:
        matrix = name.rsplit(".", 1)[-1]
        if not matrix.startswith("W_"):
            return None
        if matrix == "W_O":
            return 1 / math.sqrt(parameter.shape[0] * parameter.shape[1])
        if matrix in ("W_E", "W_pos"):
            return 1 / math.sqrt(parameter.shape[-1])
        return 1 / math.sqrt(parameter.shape[-2])

    @property
    def W_E(self) -> Tensor:
        return self.embed.W_E

    @property
    def W_pos(self) -> Tensor:
        return self.pos_embed.W_pos

    @property
    def W_U(self) -> Tensor:
        return self.unembed.W_U

    def _stack(self, module: str, name: str) -> Tensor:
        return torch.stack([getattr(getattr(block, module), name) for block in self.blocks])

    @property
    def W_Q(self) -> Tensor:
        return self._stack("attn", "W_Q")

    @property
    def W_K(self) -> Tensor:
        return self._stack("attn", "W_K")

    @property
    def W_V(self) -> Tensor:
        return self._stack("attn", "W_V")

    @property
    def W_O(self) -> Tensor:
        return self._stack("attn", "W_O")

    @property
    def W_in(self) -> Tensor:
        return self._stack("mlp", "W_in")

    @property
    def W_out(self) -> Tensor:
        return self._stack("mlp", "W_out")
